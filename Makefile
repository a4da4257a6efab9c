# Everything a developer does, each target installing what it lacks into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := __init__.py __main__.py cli training benchmarks export datasets fcn_models runtime

.PHONY: help install demo test check format lint types layers benchmark clean

help:
	@echo "make demo       segment a short video with an exported FCN-8s; results under out/"
	@echo "make test       the tests"
	@echo "make check      format, lint, types, import layers, tests"
	@echo "make benchmark  speed and memory on this machine, into benchmarks/results/"
	@echo "make install    only the development environment, .venv"

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[cpu,export]" --group dev
	@# Type checkers know packages by their folder's name: this link is the folder `fcnrt`, whatever the clone is called.
	mkdir -p $(VENV)/types && ln -sfn ../.. $(VENV)/types/fcnrt
	touch $@

install: $(VENV)/installed

demo: install
	$(BIN)/python examples/demo.py out

test: install
	$(BIN)/python -m pytest

check: format lint types layers test

format: install
	$(BIN)/ruff format --check .

lint: install
	$(BIN)/ruff check .

types: install
	MYPYPATH=$(VENV)/types $(BIN)/mypy

layers: install
	$(BIN)/lint-imports

benchmark: install
	$(BIN)/python -m fcnrt.benchmarks.run

clean:
	rm -rf $(VENV) build out
