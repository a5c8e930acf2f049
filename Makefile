# The habits of this repository. `make help` lists them; each is three lines at most.
PYTHON ?= python3
BIN := .venv/bin
SET_UP := PYTHON=$(PYTHON) .ci/set-up
.DEFAULT_GOAL := help
.PHONY: help run test test-slow fuzz test-devices test-gpu install dev format lint types check bench docs docs-check site scout build clean

help:  ## list what can be asked for
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run:  ## set up and run the main job: the check of this machine, then the live loop on the take that ships with it
	@$(SET_UP) base
	@$(BIN)/mm-edge doctor
	@$(BIN)/mm-edge run --demo --loop --text "the red cube" --view 8700

test: dev  ## set up what tests need and pass them
	@$(BIN)/pytest

test-slow: dev  ## the tests that take more than ten seconds
	@$(BIN)/pytest -m "slow and not device and not gpu"

fuzz: dev  ## thousands of new broken manifests (half an hour)
	@$(BIN)/pytest tests/sdk/test_manifest_fuzz.py --hypothesis-profile thorough --timeout 3600

test-devices: dev  ## the tests on a virtual machine with a real camera and microphone driver
	@tests/devices/guest/build && $(BIN)/pytest -m device tests/devices

test-gpu: dev  ## check and time every engine on the GPU that is here (over ten minutes each; docs/gpu-status.md)
	@$(BIN)/pytest -m gpu tests/e2e/test_gpu.py

dev:  ## set up .venv for development; again after adding a file (2 s), as the editable install is a tree of links
	@$(SET_UP) dev

install: dev

format: dev  ## put the code in order
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lint: dev  ## what ruff says
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: dev  ## what mypy says
	@$(BIN)/mypy

check: lint types test  ## all that must pass before a commit

bench: dev  ## measure on this machine against the budgets
	@$(BIN)/mm-edge bench

docs: dev  ## write the generated documents again
	@$(BIN)/python docs/write_all.py
	@$(BIN)/python -m mm_edge.benchmarks.studies.startup > docs/startup.md
	@$(BIN)/python -m mm_edge.benchmarks.studies.document > docs/benchmarks.md

docs-check: dev  ## the documents: their links, commands, examples and generated pages, and that the site builds
	@$(BIN)/pytest -m "slow or not slow" tests/test_documents.py tests/test_site.py tests/sdk/test_config.py

site: dev  ## build the documentation site into build/site/, which opens without a server
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo build/site/index.html

scout: dev  ## train, prove and ship the bundle that `mm-edge run` takes by default (over an hour)
	@$(BIN)/mm-edge train zoo:scout --out runs/scout && $(BIN)/python -m mm_edge.zoo.ship scout runs/scout
	@test -d runs/key || $(BIN)/mm-edge keygen runs/key; cp runs/key/mm-edge.pub sdk/data/scout.pub
	@$(BIN)/mm-edge export zoo:scout -o sdk/data/scout.mmb --precision fp32 --samples 64 --sign runs/key/mm-edge.key

build: dev  ## the wheel and the source archive, in dist/
	@$(BIN)/python -m build --no-isolation --outdir dist

clean:  ## remove what was made, and .venv
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
