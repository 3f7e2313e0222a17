# Every target does its own set-up: a virtual environment in .venv, the locked tools, cleanbots itself.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WHAT ?= compare
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: demo test lint format docs bench guard chaos audit install lock clean

install: $(READY)

$(READY): pyproject.toml requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "cleanbots needs Python 3.11 or newer, and none was found"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)
	@$(BIN)/python config/demo/run.py

test: lint
	@$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY)
	@$(BIN)/cleanbots fields --markdown > docs/fields.md
	@$(BIN)/cleanbots bots pages docs/bots
	@$(BIN)/cleanbots schema events > harmonization/event.schema.json
	@$(BIN)/python -m cleanbots.config.schema

bench: $(READY)
	@$(BIN)/python -m benchmarks.$(WHAT)

guard: $(READY)
	@$(BIN)/python -m benchmarks.guard

chaos: $(READY)
	@$(BIN)/python -m pytest tests/chaos --long -n 0 -s

lock:
	@$(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip install --quiet --upgrade pip
	@$(VENV)-lock/bin/python -m pip install --quiet --group dev .
	@{ echo "# Made by 'make lock': the development tools and all that they and cleanbots need."; \
	   $(VENV)-lock/bin/python -m pip freeze --exclude cleanbots; } > requirements-dev.lock
	@rm -rf $(VENV)-lock

clean:
	@rm -rf $(VENV) demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
