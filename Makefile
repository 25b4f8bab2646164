# Every target does all of its own set-up: Python 3.11 or newer is all that a machine needs. uv is used where it is there.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
ABLATE := $(BIN)/ablate

.PHONY: help install quickstart reports test lint types imports pytest clean

help:
	@echo "make quickstart   train a small study (48 runs) and write reports/quickstart.html"
	@echo "make reports      the published results as pages: reports/index.html and reports/README.md, from results.db"
	@echo "make test         everything that a change must pass"
	@echo "make install      the virtual environment .venv alone"
	@echo "make clean        what the targets above left behind, results.db excepted"

install: $(READY)

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "ablate needs Python 3.11 or newer; none was found. Set PYTHON=/path/to/python3."; exit 1; }
	@if command -v uv >/dev/null; then \
		test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) .venv; \
		uv pip install --quiet --python $(BIN)/python --editable '.[dev]'; \
	else \
		test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'; \
	fi
	@touch $@

quickstart: $(READY)
	$(ABLATE) grid run experiments/quickstart.yaml --workers 2 --db quickstart.db
	@$(ABLATE) report experiments/quickstart.yaml --db quickstart.db >/dev/null

reports: $(READY)
	$(ABLATE) report --all

test: lint types imports pytest

lint: $(READY)
	$(BIN)/ruff check ablate tests benchmarks
	$(BIN)/ruff format --check ablate tests benchmarks

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

pytest: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet --numprocesses auto --dist loadfile $(PYTEST_ARGS)

clean:
	rm -rf .venv quickstart.db* reports/*.html reports/*.js build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
