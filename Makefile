# One target a task; `make help` lists them all. Everything a target needs is installed by it.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Where it is set, each of the many processes that the tests start compiles all of its libraries again.
unexport PYTHONDONTWRITEBYTECODE

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= python3
STAMP  := $(VENV)/.synced-$(shell sha256sum requirements-dev.txt requirements-bootstrap.txt | sha256sum | cut -c1-12)
SOURCE := operator:agent-image:trainer-image:artifacts:dataset:tests:testbed
RUN    := PYTHONPATH=$(SOURCE) $(BIN)/python
STATE  ?= /tmp/modelfleet-demo
ARGUMENTS := operator/modelfleet/training/hyperparameters.json
MUTANTS := build/mutants
LOCK   := $(abspath $(BIN))/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

help:  ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Setting up
venv: $(STAMP)  ## Make .venv with the locked development dependencies

$(STAMP): requirements-dev.txt requirements-bootstrap.txt
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "python3-venv is missing: installing it"; apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.txt
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.txt
	@rm -f $(VENV)/.synced-*; touch $@

lock: $(STAMP)  ## Resolve every lock file again (exact versions and hashes, no URLs)
	printf 'uv\n' | $(LOCK) - -o requirements-bootstrap.txt
	$(LOCK) --group dev pyproject.toml -o requirements-dev.txt
	$(LOCK) pyproject.toml -o operator/requirements.txt
	cd agent-image && $(LOCK) --extra image pyproject.toml -o requirements.txt
	cd trainer-image && $(LOCK) pyproject.toml -o requirements.txt   # in its folder: for the overrides in its pyproject
	cd trainer-image && $(LOCK) --group test -c requirements.txt -o test-requirements.txt
	printf 'mutmut>=3.8,<3.9\n' | $(LOCK) - -c requirements-dev.txt -o tests/mutants/requirements.txt
	cd benchmarks/drift && printf 'river\n' | $(LOCK) -c ../../requirements-dev.txt --no-emit-package numpy --no-emit-package scipy - -o requirements.txt

crds: $(STAMP)  ## Generate crds/ (and the chart's copy) from the pydantic models
	$(RUN) -m modelfleet.api.crd crds
	rm -rf charts/modelfleet/files/crds && mkdir -p charts/modelfleet/files && cp -r crds charts/modelfleet/files/crds

reasons: $(STAMP)  ## Write docs/reasons.md, the page of conditions and reasons, from the catalogue in the code
	$(RUN) -m modelfleet.api.reasons > docs/reasons.md.new && mv docs/reasons.md.new docs/reasons.md

arguments: build  ## Write the table of training arguments from the trainer image's ultralytics, and its page
	$(RUN) -m harness argument-table > $(ARGUMENTS).new && mv $(ARGUMENTS).new $(ARGUMENTS)
	$(RUN) -m trainer.argument_table page $(ARGUMENTS) > docs/training-arguments.md

##@ Checking
format: $(STAMP)  ## Format the code and fix what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)  ## Format check, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=operator $(BIN)/lint-imports

test: $(STAMP)  ## All tests, from nothing: unit, images, cluster, trainer, e2e
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-unit test-images
	$(MAKE) --no-print-directory build
	$(MAKE) --no-print-directory --jobs=2 test-in-front test-behind

# Two lanes, since much of the first is waiting: real trainings go on behind it, with the processor time that it leaves.
test-in-front:
	$(MAKE) --no-print-directory test-cluster
	$(BIN)/pytest -m e2e -s tests/e2e/test_demo.py

test-behind:
	@mkdir -p build
	@echo "behind this: make test-trainer, and the e2e test of resuming; what they say goes to build/behind.log"
	@{ nice -n 19 $(MAKE) --no-print-directory test-trainer && \
		nice -n 19 $(BIN)/pytest -m e2e -s tests/e2e --ignore=tests/e2e/test_demo.py; } > build/behind.log 2>&1 \
		|| { cat build/behind.log; exit 1; }
	@cat build/behind.log

build: $(STAMP)  ## Build what is not cached: Kubernetes, tools, images (20 min on a fresh machine)
	$(RUN) -m harness build

test-unit: $(STAMP)  ## The operator's decisions, half a minute
	$(BIN)/pytest -q --numprocesses=2 tests/unit

test-images: $(STAMP)  ## What goes into the images, without training; another half
	$(BIN)/pytest -q --numprocesses=4 -m "not cluster" agent-image artifacts dataset trainer-image --ignore=trainer-image/tests/training

test-cluster: build  ## Real API server, KWOK nodes, real Prometheus
	$(BIN)/pytest -m "cluster and not alone" --numprocesses=3 --dist=loadfile --durations=15 \
		tests/cluster agent-image artifacts dataset trainer-image --ignore=trainer-image/tests/training
	@# equal versions in real time: the gate keeps its promise in 99 of 100 gates, and so many have a second chance
	$(BIN)/pytest -m alone tests/cluster || $(BIN)/pytest -m alone tests/cluster

test-trainer: build  ## Real training, inside the trainer image
	$(RUN) -m harness test-trainer

test-e2e: build  ## The demo's chapters as a test, and resuming: real kubelets, training, Prometheus
	$(BIN)/pytest -m e2e -s tests/e2e

mutants: $(MUTANTS)/venv/.synced  ## Do the unit tests find out changed code? ONLY=files, SAMPLE=n of each: docs/mutants.md (hours)
	PYTHONPATH=tests $(MUTANTS)/venv/bin/python -m mutants.run --out $(MUTANTS) $(if $(ONLY),--only $(ONLY)) $(if $(SAMPLE),--sample $(SAMPLE))

# The tool comes in the tests' own processes, so what they need is in its environment, too.
$(MUTANTS)/venv/.synced: $(STAMP) tests/mutants/requirements.txt
	$(PYTHON) -m venv $(MUTANTS)/venv
	$(BIN)/uv pip sync --quiet --python $(MUTANTS)/venv/bin/python --require-hashes requirements-dev.txt tests/mutants/requirements.txt
	touch $@

bench-gate: $(STAMP)  ## Every judge on simulated fleets: table and plots in docs/ (7 min)
	cd benchmarks && OPENBLAS_NUM_THREADS=1 PYTHONPATH=../operator:. $(abspath $(BIN)/python) -m gate.run --jobs $$(nproc) --out ../docs

bench-drift: $(STAMP)  ## Every judge of drift on simulated fleets: tables and plots in docs/ (12 min)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --target build/river --no-deps --require-hashes -r benchmarks/drift/requirements.txt
	cd benchmarks && OPENBLAS_NUM_THREADS=1 PYTHONPATH=../operator:../testbed:.:../build/river $(abspath $(BIN)/python) -m drift.run --jobs $$(nproc) --out ../docs

bench-trainer: $(STAMP)  ## Our trainer against plain `yolo train`: time and model, page in docs/ (8 min)
	cd benchmarks && PYTHONPATH=../operator:../tests:../testbed:. $(abspath $(BIN)/python) -m training.run --out ../docs

bench-scale: $(STAMP)  ## The operator with many Rollouts and many nodes; RIVAL=argo: Argo Rollouts, too (15 min)
	cd benchmarks && PYTHONPATH=../operator:../tests:../testbed:. $(abspath $(BIN)/python) -m scale.run --out ../docs

##@ Seeing it
demo: $(STAMP)  ## The whole story on a real cluster (KEEP=1 leaves it up)
	$(RUN) -m e2e.demo --state $(STATE) $(if $(KEEP),--keep)

demo-down: $(STAMP)  ## Remove a cluster left by KEEP=1
	$(RUN) -m harness down --state $(STATE)

clean:  ## Remove what this folder's builds made (caches in ~/.cache/modelfleet stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build

.PHONY: help venv lock crds reasons arguments format lint test test-in-front test-behind build test-unit test-images test-cluster test-trainer test-e2e mutants bench-gate bench-drift bench-trainer bench-scale demo demo-down clean
