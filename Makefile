# The developer's commands. They need Python >= 3.11, git and make; the rest goes into .venv.
#
#   make demo      runs the example services under real requests and checks them
#   make test      runs the whole suite (after `make clean`, PYTHON=... selects another Python);
#                  MEASURED="coverage run -m" records its coverage, which takes longer
#   make test-all  runs the suite on each supported Python found, without extras, with all extras
#                  and with the lowest versions allowed; then lint, types and combined coverage
#   make test-long runs the frameworks' own test suites, bare and instrumented, and compares them;
#                  and calls of models by heavy SDKs and by frameworks that make their own clients;
#                  PYTEST_ARGS="-k flask" runs one of them
#   make fuzz      fuzzes the doors, the renderer and redaction, FUZZ_SECONDS (60) for each of them
#   make soak      serves requests under load for SOAK_SECONDS (60) a server; see bench/soak.py
#                  and has 1,000 open streams recorded; see bench/soak_recorder.py
#   make audit     looks for known vulnerabilities in what an installation brings
#   make lint      runs ruff, mypy and pyright
#   make bench     measures the cost of a request, side by side with the peers; writes the figures
#                  and charts of docs/performance.md; BENCH_ARGS="--only story" measures a part
#   make bench-check
#                  fails if a request takes many more instructions than the code by hand; it needs
#                  valgrind, and is skipped without; `make bench-where` shows what they are spent on
#   make llm-conformance
#                  runs the same calls of models under this library and its peers, and writes
#                  docs/llm-conformance.md; it needs a network
#   make clean     removes the environments and the files of the tools

# The suite starts hundreds of interpreters: where this is set, each would compile all that it
# imports. Their caches are ignored by git, and `make clean` removes them.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The first Python that is new enough; evaluated only when the environment is made.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11,\
	$(if $(shell $(python) -c '$(NEW_ENOUGH)' 2>/dev/null && echo yes),$(python))))

.DEFAULT_GOAL := test
.PHONY: demo test test-all test-long fuzz soak audit lint bench bench-check bench-where bench-pins llm-conformance clean

demo: $(READY)
	@$(BIN)/python -m examples.demo

test: $(READY)
	$(BIN)/python -m $(MEASURED) pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-all: $(READY)
	$(BIN)/coverage erase
	$(BIN)/nox

test-long: $(READY)
	$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/long/framework_suites.py \
		tests/long/sdk_clients.py tests/long/llm_frameworks.py $(PYTEST_ARGS)

# Other examples in each run: first Hypothesis's own choice, then atheris's, which looks for new
# branches. atheris has wheels for Linux only.
FUZZ_SECONDS ?= 60
fuzz: $(READY)
	$(BIN)/python -m pytest -o faulthandler_timeout=0 --hypothesis-profile fuzz \
		--numprocesses auto tests/fuzz $(PYTEST_ARGS)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group fuzz
	@for target in asgi wsgi renderer redaction; do \
		$(BIN)/python -m tests.fuzz.guided $$target -max_total_time=$(FUZZ_SECONDS) || exit; done

SOAK_SECONDS ?= 60
soak: $(READY)
	$(BIN)/python -m bench.soak --seconds $(SOAK_SECONDS)
	$(BIN)/python -m bench.soak_recorder

# It asks PyPI about each package, so it needs a network.
audit: $(READY)
	$(BIN)/uv pip compile --quiet --all-extras --output-file .audit.txt pyproject.toml
	$(BIN)/uv tool run pip-audit --strict --no-deps --disable-pip --requirement .audit.txt

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

# The contenders have an environment of their own, with the versions that are pinned there.
# `make bench-pins` moves the pins to the newest versions.
BENCH := .nox/bench
BENCH_ARGS ?= --save docs/performance

bench: $(BENCH)/.ready
	$(BENCH)/bin/python -m bench $(BENCH_ARGS)

bench-check: $(BENCH)/.ready
	$(BENCH)/bin/python -m bench.check

bench-where: $(BENCH)/.ready
	@$(BENCH)/bin/python -m bench.where

bench-pins: $(READY)
	$(BIN)/uv pip compile --quiet --upgrade --universal --no-annotate --no-header --all-extras \
		--group bench --no-emit-package pantheon-obs -o bench/requirements.txt pyproject.toml

$(BENCH)/.ready: bench/requirements.txt $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH)
	$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python -r bench/requirements.txt
	$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python --no-deps --editable .
	@touch $@

# Each library has an environment of its own, in .nox/conformance.
llm-conformance: $(READY)
	$(BIN)/python -m bench.conformance

clean:
	rm -rf $(VENV) .nox .hypothesis .audit.txt .mypy_cache .pytest_cache .ruff_cache build dist .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no Python >= 3.11 found; set PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Making the environment in $(VENV), once (about a minute):"
	@echo "  1/3 $(PYTHON) -m venv"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "  2/3 uv, the installer"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@printf "  3/3 the packages of pyproject.toml "
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[all]' --group dev & \
		installer=$$!; trap 'kill $$installer' INT TERM; \
		while kill -0 $$installer 2>/dev/null; do printf .; sleep 1; done; echo; wait $$installer
	@touch $@
