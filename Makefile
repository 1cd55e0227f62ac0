# Everything a developer runs. Needs Python >= 3.11, git and make; the rest is put into .venv.
#
#   make demo      the example services under real requests, checked as they go
#   make test      the whole suite on the Python found here (PYTHON=... with `make clean` chooses another)
#   make test-all  the suite on each supported Python found, without extras, with all of them
#                  and with the lowest versions allowed; lint, types, coverage of all together
#   make test-long the frameworks' own suites, as they are and with every application instrumented;
#                  PYTEST_ARGS="-k flask" runs one of them
#   make lint      what ruff, mypy and pyright say
#   make bench     what a request costs, side by side with others
#   make clean     removes the environments and all that the tools left

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The first of these that is new enough; looked for only when the environment has to be made.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11,\
	$(if $(shell $(python) -c '$(NEW_ENOUGH)' 2>/dev/null && echo yes),$(python))))

.DEFAULT_GOAL := test
.PHONY: demo test test-all test-long lint bench clean

demo: $(READY)
	$(BIN)/python -m examples.demo

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
	@test -n "$(PYTHON)" || { echo "make: no Python >= 3.11 found; say which with PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[all]' --group dev
	@touch $@
