# The developer's commands. They need Python >= 3.11, git and make; the rest goes into .venv.
#
#   make demo      runs the example services under real requests and checks them
#   make test      runs the whole suite (after `make clean`, PYTHON=... selects another Python)
#   make test-all  runs the suite on each supported Python found, without extras, with all extras
#                  and with the lowest versions allowed; then lint, types and combined coverage
#   make test-long runs the frameworks' own test suites, bare and instrumented, and compares them;
#                  PYTEST_ARGS="-k flask" runs one of them
#   make lint      runs ruff, mypy and pyright
#   make bench     measures the cost of a request, side by side with the peers
#   make clean     removes the environments and the files of the tools

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The first Python that is new enough; evaluated only when the environment is made.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11,\
	$(if $(shell $(python) -c '$(NEW_ENOUGH)' 2>/dev/null && echo yes),$(python))))

.DEFAULT_GOAL := test
.PHONY: demo test test-all test-long lint bench clean

demo: $(READY)
	@$(BIN)/python -m examples.demo

test: $(READY)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses auto --dist loadfile $(PYTEST_ARGS)

test-all: $(READY)
	$(BIN)/coverage erase
	$(BIN)/nox

test-long: $(READY)
	$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/long/framework_suites.py $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(READY)
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .nox .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist .coverage .coverage.*
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
