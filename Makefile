# The two commands of a newcomer are `make run` and `make test`; both make their own environment.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run test check bench format lock clean setup-run setup-test

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: setup-run ## a whole small country with a virtual bin; prints the address of its page
	@exec $(BIN)/boxback try

test: setup-test ## every test: CPython, MicroPython, brokers, a real browser
	@$(BIN)/pytest -n $(JOBS) --dist worksteal $(ARGS)

check: setup-test ## lint, format, types, import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy --config-file .mypy-firmware.ini
	@$(BIN)/lint-imports

bench: setup-test ## measure what the README states: times, memory, sizes
	@$(BIN)/python -m tools.load.bench
	@$(BIN)/python -m tools.load.limits

format: setup-test ## let ruff format and mend what it can
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: setup-test ## renew the lock files from pyproject.toml (hashes, no addresses)
	@$(BIN)/python -m tools.lock

clean: ## remove what was built, installed and stored by `make run`
	rm -rf .venv build .boxback .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

setup-run:
	@$(PYTHON) tools/setup_env.py run

setup-test:
	@$(PYTHON) tools/setup_env.py test
