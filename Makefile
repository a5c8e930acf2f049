# The habits of this repository. `make help` lists them; each is a few lines at most.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help

.PHONY: help run test test-slow test-devices install dev format lint types check bench build clean

help:  ## list what can be asked for
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run  ## set up and run the main job
	@$(BIN)/mm-edge doctor
	@$(BIN)/mm-edge run --demo

test: install  ## set up what tests need and pass them
	@$(BIN)/pytest

install: $(VENV)/.dev  ## the package, strict editable: new files are seen after this
	@flock $(VENV)/.lock $(BIN)/pip install -q --no-deps --no-build-isolation --disable-pip-version-check -e . --config-settings editable_mode=strict

$(VENV)/.dev: pyproject.toml
	@touch $@
