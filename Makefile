# One target a task; `make help` lists them all. Everything a target needs is installed by it.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Where it is set, each of the many processes that the tests start compiles all of its libraries again.
unexport PYTHONDONTWRITEBYTECODE
# Processor time is what tests are short of, and memory is not: API servers, kubectl and promtool collect their garbage
# less often. Measured on 98 tests of the cluster's, twice: a sixth less processor time for all processes together.
test test-%: export GOGC ?= 400

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= python3
STAMP  := $(VENV)/.synced-$(shell sha256sum requirements-dev.txt requirements-bootstrap.txt | sha256sum | cut -c1-12)
SOURCE := operator:cli:agent-image:labeler-image:trainer-image:artifacts:dataset:tests:testbed
RUN    := PYTHONPATH=$(SOURCE) $(BIN)/python
STATE  ?= /tmp/modelfleet-demo
ARGUMENTS := operator/modelfleet/training/hyperparameters.json
MUTANTS := build/mutants
SITE   := build/zensical
RELEASE := build/release
OBJECTS ?= 100000
LOCK   := $(abspath $(BIN))/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

help:  ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
	$(LOCK) --extra operator --group dev pyproject.toml -o requirements-dev.txt
	$(LOCK) --extra operator pyproject.toml -o operator/requirements.txt
	cd cli && $(LOCK) --no-emit-package modelfleet pyproject.toml -o requirements.txt   # modelfleet: from this repository
	cd agent-image && $(LOCK) --extra image pyproject.toml -o requirements.txt
	cd labeler-image && $(LOCK) pyproject.toml -o requirements.txt
	cd trainer-image && $(LOCK) pyproject.toml -o requirements.txt   # in its folder: for the overrides in its pyproject
	cd trainer-image && $(LOCK) --group test -c requirements.txt -o test-requirements.txt
	printf 'mutmut>=3.8,<3.9\n' | $(LOCK) - -c requirements-dev.txt -o tests/mutants/requirements.txt
	printf 'label-studio>=1.23,<1.24\n' | $(LOCK) - -o testbed/tools/label-studio/requirements.txt
	printf 'setuptools>=80\nshiv>=1.0.8,<2\n' | $(LOCK) - -o testbed/release/requirements.txt
	cd testbed/tools/azurite && npm install --package-lock-only --ignore-scripts --no-audit --no-fund --omit=optional --omit-lockfile-registry-resolved
	printf 'zensical==0.0.57\n' | $(LOCK) - -o testbed/tools/zensical/requirements.txt
	cd benchmarks/drift && printf 'river\n' | $(LOCK) -c ../../requirements-dev.txt --no-emit-package numpy --no-emit-package scipy - -o requirements.txt

crds: $(STAMP)  ## Generate crds/ (and the chart's copy) from the pydantic models
	$(RUN) -m modelfleet.api.crd crds
	rm -rf charts/modelfleet/files/crds && mkdir -p charts/modelfleet/files && cp -r crds charts/modelfleet/files/crds

reasons: $(STAMP)  ## Write docs/reasons.md, the page of conditions and reasons, from the catalogue in the code
	$(RUN) -m modelfleet.api.reasons > docs/reasons.md.new && mv docs/reasons.md.new docs/reasons.md

observability: $(STAMP)  ## Write dashboards, rules, runbooks and the table of metrics from the code
	$(RUN) -m modelfleet.observability

gitops:  ## Copy the scripts for Argo CD from gitops/ into the chart
	rm -rf charts/modelfleet/files/argocd && mkdir -p charts/modelfleet/files/argocd
	cd gitops/argocd/resource_customizations && find . -name '*.lua' -exec cp --parents {} $(CURDIR)/charts/modelfleet/files/argocd ';'

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
	PYTHONPATH=operator:cli $(BIN)/lint-imports

test: $(STAMP)  ## All tests, from nothing: unit, images, cluster, trainer, e2e
	@rm -f build/tries/*.again
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-unit test-images site
	$(MAKE) --no-print-directory build
	$(MAKE) --no-print-directory test-alone
	$(MAKE) --no-print-directory --jobs=4 test-demo beside-nodes beside-cluster beside-gitops
	@if compgen -G 'build/tries/*.again' > /dev/null; then echo 'Green only when tried again, alone:'; cat build/tries/*.again; fi

# Side by side, since much of each but the cluster's tests is waiting. The demos' gates and the real nodes are judged in
# real time, and go first; what is nice gives way to them, and so does what it starts (testbed/harness/supervisor.py).
# No nicer than that: at 15, beside builds, API servers did not start in time, and requests to them timed out.
beside-nodes:
	$(call beside,0:test-nodes 0:test-demo-context 5:test-trainer)
beside-cluster:
	$(call beside,5:test-cluster)
beside-gitops:
	$(call beside,5:test-gitops 5:test-kueue 5:test-release)

# $(1): niceness:target, one after the other. What they say is shown at their end.
define beside
@mkdir -p build
@echo "beside this: $(1) (what they say goes to build/$@.log)"
+@for each in $(1); do nice -n $${each%%:*} $(MAKE) --no-print-directory $${each#*:} || exit 1; done > build/$@.log 2>&1 || { cat build/$@.log; exit 1; }
@cat build/$@.log
endef

# $(1): pytest's arguments. Tests with servers share two processors with the other lanes, and those with whoever else is on
# the machine. What is red there has one more try, with servers started for it alone; who is red twice is red. Which ones
# needed that is said, and said again at the end of `make test`: a test that is often there is a defect.
define twice
$(BIN)/pytest -o cache_dir=build/tries/$@ $(1) || { \
	[ $$? = 1 ] || exit 1; \
	$(BIN)/python -c 'import json, sys; print(*json.load(sys.stdin), sep="\n")' \
		< build/tries/$@/v/cache/lastfailed > build/tries/$@.again; \
	echo "$@: one more try, alone:"; cat build/tries/$@.again; \
	$(BIN)/pytest -o cache_dir=build/tries/$@ $(1) --numprocesses=0 --last-failed --last-failed-no-failures=none --verbose; \
}
endef

build: $(STAMP)  ## Build what is not cached: Kubernetes, tools, images (20 min on a fresh machine)
	$(RUN) -m harness build

test-unit: $(STAMP)  ## The operator's decisions, half a minute
	$(BIN)/pytest -q --numprocesses=2 tests/unit

test-images: $(STAMP)  ## What goes into the images, without training; another half
	$(BIN)/pytest -q --numprocesses=4 -m "not cluster" agent-image labeler-image artifacts dataset trainer-image --ignore=trainer-image/tests/training

test-cluster: build  ## Real API server, KWOK nodes, real Prometheus
	$(call twice,-m "cluster and not alone" --numprocesses=3 --dist=loadfile --no-loadscope-reorder --durations=15 \
		tests/cluster agent-image labeler-image artifacts dataset trainer-image --ignore=trainer-image/tests/training \
		$(GITOPS:%=--ignore=%) $(KUEUE:%=--ignore=%))

# Equal versions in real time: the gate keeps its promise in 99 of 100 gates, and so many have a second chance. Beside the
# builds of another lane nodes are scraped too rarely, nice or not: what a cluster starts has sessions of its own, and the
# kernel shares the processors between sessions first.
test-alone: build  ## What is judged in real time, with the machine for itself
	$(call twice,-m alone tests/cluster)

# Their tools take minutes to build and nothing else needs them: built when the tests ask for them.
GITOPS = tests/cluster/test_flux.py tests/cluster/test_argocd.py tests/cluster/test_argocd_application.py tests/cluster/test_argocd_live.py
KUEUE = tests/cluster/test_kueue.py

test-gitops: build  ## Real Flux and Argo CD; builds both first (20 min on a fresh machine)
	$(call twice,-m cluster -s $(GITOPS))

test-kueue: build  ## Real Kueue lets the Jobs of TrainingJobs run; builds it first (5 min on a fresh machine)
	$(call twice,-m cluster -s $(KUEUE))

test-trainer: build  ## Real training, inside the trainer image
	$(RUN) -m harness test-trainer

test-demo: build  ## The demo's chapters as a test, in a cluster of its own
	$(BIN)/pytest -m e2e -s tests/e2e/test_demo.py

test-demo-context: build  ## The demo's first chapters in a cluster that is somebody else's
	$(BIN)/pytest -m e2e -s tests/e2e/test_demo_context.py

test-nodes: build  ## What needs real nodes, but for the demos
	$(call twice,-m e2e -s tests/cluster tests/e2e --ignore-glob='*/test_demo*.py')

# A broken link or anchor fails it. Then its pages are looked through for what they would fetch from elsewhere.
site: $(SITE)/.synced $(SITE)/mermaid/mermaid.min.js  ## The docs as a site in build/site: strict, and nothing in it comes from another host
	rm -rf build/site
	$(SITE)/bin/zensical build --strict
	mkdir build/site/javascripts && cp $(SITE)/mermaid/* build/site/javascripts/
	$(BIN)/pytest -q tests/site

$(SITE)/.synced: $(STAMP) testbed/tools/zensical/requirements.txt
	$(PYTHON) -m venv $(SITE)
	$(BIN)/uv pip sync --quiet --python $(SITE)/bin/python --require-hashes testbed/tools/zensical/requirements.txt
	touch $@

# One file of the npm package, by version and hash; its licence goes with it. The package depends on others for its
# sources alone: this file has them in it.
$(SITE)/mermaid/mermaid.min.js: testbed/tools/zensical/mermaid.sha256
	@command -v npm >/dev/null || { echo "npm is missing: installing it"; apt-get update -qq && apt-get install -y -qq --no-install-recommends npm; }
	rm -rf $(@D) && mkdir -p $(@D)
	cd $(@D) && npm pack --silent "mermaid@$$(sed -E 's/.* mermaid-(.*)\.tgz/\1/' $(abspath $<))" >/dev/null
	cd $(@D) && sha256sum --check --quiet $(abspath $<)
	cd $(@D) && tar -xzf mermaid-*.tgz --strip-components=1 package/dist/mermaid.min.js package/LICENSE && rm mermaid-*.tgz
	mv $(@D)/LICENSE $(@D)/mermaid.LICENSE.txt && mv $(@D)/dist/mermaid.min.js $@ && rmdir $(@D)/dist && touch $@

mutants: $(MUTANTS)/venv/.synced  ## Do the unit tests find out changed code? ONLY=files, SAMPLE=n of each, QUICK=1: docs/mutants.md (hours)
	PYTHONPATH=tests $(MUTANTS)/venv/bin/python -m mutants.run --out $(MUTANTS) $(if $(ONLY),--only $(ONLY)) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(QUICK),--quick)

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

bench-fetch: $(STAMP)  ## 200 nodes fetch a model from one S3 gateway at once: page in docs/ (4 min, alone)
	cd benchmarks && PYTHONPATH=../agent-image:../artifacts:../testbed:. $(abspath $(BIN)/python) -m fetch.run --out ../docs

bench-capture: $(STAMP)  ## Inference with every capture rule on against none, in turns: page in docs/ (6 min, alone)
	cd benchmarks && PYTHONPATH=. $(abspath $(BIN)/python) -m capture.run --out ../docs

bench-agent: $(STAMP)  ## The agent beside bare onnxruntime and OpenVINO, in turns: page in docs/ (6 min, alone)
	cd benchmarks && PYTHONPATH=../operator:../tests:../testbed:. $(abspath $(BIN)/python) -m inference.run --out ../docs

bench-listing: $(STAMP)  ## A sync of 100,000 (OBJECTS=) captured objects on a real S3 gateway: figures to stdout (2 min)
	cd benchmarks && PYTHONPATH=.:$(subst $() ,:,$(addprefix ../,$(subst :, ,$(SOURCE)))) $(abspath $(BIN)/python) -m listing.run

##@ Releasing
images: $(STAMP)  ## Build all images for REGISTRY=... by buildah, podman or docker (BUILDER=, PLATFORM=, BASE=, PUSH=1, DEMO=1, MATERIALS=folder for SBOMs)
	$(RUN) -m release.images --registry '$(REGISTRY)' $(if $(BUILDER),--builder $(BUILDER)) \
		$(if $(PLATFORM),--platform $(PLATFORM)) $(if $(BASE),--base $(BASE)) $(if $(PUSH),--push) $(if $(DEMO),--demo) \
		$(if $(MATERIALS),--materials $(MATERIALS))

package: $(RELEASE)/.synced  ## Chart, CRDs, the plugin as wheels and archives, SBOMs, checksums, in build/package
	$(RUN) -m release.package --tools $(RELEASE) build/package

$(RELEASE)/.synced: $(STAMP) testbed/release/requirements.txt
	$(PYTHON) -m venv $(RELEASE)
	$(BIN)/uv pip sync --quiet --python $(RELEASE)/bin/python --require-hashes testbed/release/requirements.txt
	touch $@

test-release: package  ## What is packaged runs, and what is locked has wheels for amd64 and arm64
	$(BIN)/pytest -q tests/release

##@ Seeing it
dashboards-picture: $(STAMP)  ## Draw the dashboards into docs/dashboards with Grafana's own components (npm, 500 MB; DEMO=URL of its Prometheus)
	$(RUN) -m pictures.draw docs/dashboards $(if $(DEMO),--demo $(DEMO))

demo: $(STAMP)  ## The whole story on a real cluster (KEEP=1 leaves it up; CONTEXT=, REGISTRY=: on one that is there)
	$(RUN) -m e2e.demo --state $(STATE) $(if $(KEEP),--keep) $(if $(CONTEXT),--context '$(CONTEXT)') $(if $(REGISTRY),--registry '$(REGISTRY)')

demo-down: $(STAMP)  ## Remove a cluster left by KEEP=1, or with CONTEXT= what a demo left there
	$(RUN) -m $(if $(CONTEXT),e2e.demo --down --context '$(CONTEXT)',harness down --state $(STATE))

clean:  ## Remove what this folder's builds made (caches in ~/.cache/modelfleet stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build

.PHONY: help venv lock crds reasons observability gitops arguments format lint test test-demo test-demo-context test-nodes beside-nodes beside-cluster beside-gitops build test-unit test-images test-cluster test-trainer mutants bench-gate bench-drift bench-trainer bench-scale bench-capture bench-agent bench-fetch bench-listing dashboards-picture test-release images package site test-gitops test-kueue demo demo-down clean
