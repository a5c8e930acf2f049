# The common tasks of this repository. `make help` lists them; each is at most three lines.
PYTHON ?= python3
BIN := .venv/bin
SET_UP := PYTHON=$(PYTHON) .ci/set-up
.DEFAULT_GOAL := help
.PHONY: help run test test-slow fuzz test-openvino test-devices test-gpu install dev format lint types check bench docs schemas \
	docs-check site scout build clean

help:  ## list the available targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run:  ## set up, check this machine, and run the live loop on the demo take
	@$(SET_UP) base
	@$(BIN)/mm-edge doctor
	@$(BIN)/mm-edge run --demo --loop --text "the red cube" --view 8700

test: dev  ## set up and run the tests
	@$(BIN)/pytest

test-slow: dev  ## the tests that take more than ten seconds
	@$(BIN)/pytest -m "slow and not device and not gpu"

fuzz: dev  ## fuzz manifests, command lines, configurations, specs and takes with thousands of new examples (an hour)
	@$(BIN)/pytest tests/sdk/test_manifest_fuzz.py tests/fuzz --hypothesis-profile thorough --timeout 3600

test-openvino: dev  ## run the tests of the OpenVINO engine, which is installed below build/ for them
	@test -d build/openvino/openvino || $(BIN)/pip install -q --no-deps --target build/openvino "openvino>=2026"
	@PYTHONPATH=build/openvino $(BIN)/pytest tests/runtime/engines/test_openvino.py tests/runtime/test_openvino_run.py

test-devices: dev  ## run the tests on a virtual machine with real camera and microphone drivers
	@tests/devices/guest/build && $(BIN)/pytest -m device tests/devices

test-gpu: dev  ## verify and time every engine on this machine's GPU (over ten minutes each; docs/gpu-status.md)
	@$(BIN)/pytest -m gpu tests/e2e/test_gpu.py

dev:  ## set up .venv for development; repeat after adding a file (2 s), since the editable install is a tree of links
	@$(SET_UP) dev

install: dev

format: dev  ## format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lint: dev  ## run ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: dev  ## run mypy
	@$(BIN)/mypy

check: lint types test  ## everything that must pass before a commit

bench: dev  ## measure the default bundle on this machine
	@$(BIN)/mm-edge bench

docs: dev  ## regenerate the generated documents
	@$(BIN)/python docs/write_all.py
	@$(BIN)/python -m mm_edge.benchmarks.studies.startup > docs/startup.md
	@$(BIN)/python -m mm_edge.benchmarks.studies.document > docs/benchmarks.md

schemas: dev  ## regenerate the JSON Schemas from the records
	@$(BIN)/python -m mm_edge.cli.schemas sdk/data/schemas

docs-check: dev  ## test the documents: links, commands, examples, generated pages, and that the site builds
	@$(BIN)/pytest -m "slow or not slow" tests/test_documents.py tests/test_site.py tests/sdk/test_config.py

site: dev  ## build the documentation site into build/site/, which opens without a server
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo build/site/index.html

scout: dev  ## train, export and sign the default bundle of `mm-edge run` (over an hour)
	@$(BIN)/mm-edge train zoo:scout --out runs/scout && $(BIN)/python -m mm_edge.zoo.ship scout runs/scout
	@test -d runs/key || $(BIN)/mm-edge keygen runs/key; cp runs/key/mm-edge.pub sdk/data/scout.pub
	@$(BIN)/mm-edge export zoo:scout -o sdk/data/scout.mmb --precision fp32 --samples 64 --sign runs/key/mm-edge.key

build: dev  ## build the wheel and the source archive, in dist/
	@$(BIN)/python -m build --no-isolation --outdir dist

clean:  ## remove build products and .venv
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
