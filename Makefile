# Everything a person types often. `make` alone shows the list.
# What goes with ARGS is never shown: it may hold a password.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
EXTRAS ?= test
STUDY  ?= dropout
DATA   ?=
ARGS   ?=
PORT   ?= 5000
BIN    := .venv/bin
comma  := ,
chosen  = data="$(DATA)"; test -n "$$data" || data=$$($(BIN)/python -m pipeline.data); \
	name=$$([ "$$data" = digits ] && echo "study.name=$(STUDY)_digits" || true);
READY  := .venv/.ready-$(subst $(comma),-,$(EXTRAS))

.PHONY: help setup study forecast export serve replicate ui test test-faults test-slow test-gpu chaos pictures lint types bench check clean lock

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  STUDY=dropout DATA=mnist|digits ARGS='train.epochs=5' go with make study; EXTRAS=test,ray with make setup"

setup: $(READY) ## create .venv and install the pinned packages, once

$(READY): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "Plumbline needs Python 3.11, 3.12 or 3.13; set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[$(EXTRAS)]'
	@touch $@

study: $(READY) ## run a study: STUDY=dropout DATA=mnist (without DATA: mnist if it can be had, else digits)
	@$(chosen) \
	echo "search.optimize +study=$(STUDY) data=$$data $$name $(and $(ARGS),ARGS)"; \
	$(BIN)/python -m search.optimize +study=$(STUDY) data=$$data $$name $(ARGS)

forecast: $(READY) ## say what STUDY=full will take before it starts: time, memory, disk, launches
	@$(chosen) $(BIN)/python -m search.forecast +study=$(STUDY) data=$$data $$name $(ARGS)

export: $(READY) ## write the best model of STUDY=dropout to exports/, checked and registered in MLflow
	@$(BIN)/python -m search.export study.name=$(STUDY) $(ARGS)

serve: $(READY) ## answer on http://127.0.0.1:5001/invocations with the champion of STUDY=dropout
	@$(BIN)/python -m search.serve study.name=$(STUDY) $(ARGS)

replicate: $(READY) ## run the published networks and compare; LONG=1 for those of 200 epochs and more
	@$(BIN)/python -m search.replicate replicate.long=$(if $(LONG),true,false) $(ARGS)

ui: $(READY) ## open the MLflow UI on http://127.0.0.1:5000, or on another PORT=5001
	@if (exec 3<>/dev/tcp/127.0.0.1/$(PORT)) 2>/dev/null; then \
		echo "ui: port $(PORT) is taken, by another UI perhaps (make ui PORT=$$(($(PORT) + 1)) takes the next one)" >&2; exit 69; fi
	$(BIN)/python -m mlflow ui --workers 1 --port $(PORT)

test: $(READY) ## the tests, in under three minutes
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not faults"

test-faults: $(READY) ## kill, stop and launch twice what runs: minutes
	$(BIN)/python -m pytest -n auto --dist loadfile -m "faults and not slow"

test-slow: $(READY) ## the tests that take longer: chaos, serving, real workers
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow

test-gpu: $(READY) ## run docs/gpu.md on a real GPU, command after command: at most eight minutes (EXTRAS=test,gpu)
	@$(BIN)/python -m tests.gpu $(ARGS)

chaos: $(READY) ## strike running studies N=100 times (kill, stop, full disk, lost server), and count what was lost
	@$(BIN)/python -m tests.faults.campaign $(or $(N),100) $(ARGS)

pictures: ## make the README's pictures again: two studies of MNIST, the MLflow UI, Chromium
	$(MAKE) --no-print-directory setup EXTRAS=test,browser
	$(BIN)/python -m tests.ui.pictures .pictures +study=full train.epochs=10 study.trials=30

lint: $(READY) ## ruff: style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

bench: ## measure against hand-written loops on MNIST: DATA=mnist.npz (default: MNIST_PATH)
	$(MAKE) --no-print-directory setup EXTRAS=test,bench
	@$(BIN)/python -m benchmarks.compare "$(or $(filter-out mnist digits,$(DATA)),$(MNIST_PATH))" $(ARGS)

check: test lint types ## everything before a commit

lock: ## pin every package again, for Python 3.11 to 3.13 (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --no-header --output-file requirements.lock

clean: ## remove what tools left; .venv, mlflow.db and mlruns/ stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find pipeline search tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
