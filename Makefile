# `make help` lists the targets. A fresh clone needs Python 3.11 or later, pip and make; the rest is set up on first use.

DEFAULT_PYTHON := $(shell python3.11 -c "" >/dev/null 2>&1 && echo python3.11 || echo python3)
PYTHON ?= $(DEFAULT_PYTHON)
PYTEST_ARGS ?=

# Another interpreter gets an environment of its own: `make test PYTHON=python3.12` uses .venv-3.12.
VERSION := $(shell $(PYTHON) -c "import sys; print('%d.%d' % sys.version_info[:2])" 2>/dev/null)
ifeq ($(PYTHON),$(DEFAULT_PYTHON))
VENV := .venv
else
VENV := .venv-$(VERSION)
endif
BIN := $(VENV)/bin

# Training and engines have environments of their own, whose locks leave PyTorch out: which build is right depends on the machine, and no
# list of hashes has them all. On Linux the plain release brings CUDA, several GB; TORCH='torch==2.13.0 --index-url ADDRESS', with the address of
# PyTorch's CPU builds, or a folder of wheels in PIP_FIND_LINKS, keeps it out.
TRAIN_VENV := $(VENV)-train
ENGINES_VENV := $(VENV)-engines
CHAT_VENV := $(VENV)-chat
TORCH ?= torch==2.13.0

PARTS := graphs nodes tools state
# Settings of the caller's shell must not choose what a lock holds.
UV := env -u UV_INDEX -u UV_INDEX_URL -u UV_DEFAULT_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS -u UV_CONFIG_FILE \
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help demo test test-train test-engines test-chat test-browser lint style types format generate vendor dev studio lock wheel clean
.DELETE_ON_ERROR:
.SUFFIXES:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.12 uses another interpreter, PYTEST_ARGS='-k house' goes to pytest, UPGRADE=--upgrade to the lock"

demo: $(VENV)/base.stamp ## run MAgICoRe and its baselines on toy problems, without a key or network
	@$(BIN)/symposia demo

test: lint ## ruff, mypy, then every test that needs no GPU, hub or data set
	$(BIN)/pytest -q -n auto --dist worksteal $(PYTEST_ARGS)

test-train: $(TRAIN_VENV)/train.stamp ## train tiny models on an export with TRL, on the CPU; TORCH=... chooses PyTorch's build
	HF_HUB_OFFLINE=1 $(TRAIN_VENV)/bin/python -m pytest -q -m train tests/train $(PYTEST_ARGS)

test-engines: $(VENV)/dev.stamp $(ENGINES_VENV)/engines.stamp ## serve tiny models on the CPU, loaded and unloaded as they are wanted
	ENGINES_BIN=$(ENGINES_VENV)/bin $(BIN)/pytest -q -m engines tests/engines $(PYTEST_ARGS)

test-chat: $(CHAT_VENV)/chat.stamp ## drive the example Chainlit app in headless Chromium
	$(CHAT_VENV)/bin/python -m pytest -q -m chat tests/chat $(PYTEST_ARGS)

test-browser: $(VENV)/dev.stamp ## drive the step viewer in headless Chromium
	$(BIN)/pytest -q -m browser tests/browser $(PYTEST_ARGS)

lint: style types ## ruff and mypy strict

style: $(VENV)/dev.stamp ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/dev.stamp ## let ruff fix and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The folders stand at the top and import as symposia.*; links show a type checker the tree that an installation has.
types: $(VENV)/dev.stamp ## mypy strict over the five packages, and over bench
	@rm -rf .typecheck && mkdir -p .typecheck/symposia
	@ln -s $(foreach entry,$(wildcard symposia/*) $(PARTS),../../$(entry)) .typecheck/symposia/
	$(BIN)/mypy .typecheck/symposia $(sort $(wildcard bench/*.py))

generate: $(VENV)/dev.stamp ## langgraph.json and the README's table of methods, from the code
	$(BIN)/python -m symposia.generate

# The page's libraries are files of this repository, so that nobody needs Node to run or change it; only this target does.
VENDOR := $(CURDIR)/symposia/viewer/static/vendor
vendor: $(VENV)/dev.stamp ## bundle the viewer's libraries as vendor.json names them, with npm in a temporary folder
	@made=$$(mktemp -d) && trap 'rm -rf "$$made"' EXIT && cd "$$made" && npm init --yes >/dev/null && \
		npm install --silent --no-save --no-package-lock --ignore-scripts $$($(abspath $(BIN))/python -m symposia.viewer.vendor packages) && \
		cp $(VENDOR)/entry.js . && node_modules/.bin/esbuild entry.js --bundle --format=esm --minify --log-level=warning --outfile=$(VENDOR)/preact.js && \
		cp node_modules/@dagrejs/dagre/dist/dagre.esm.js $(VENDOR)/ && \
		$(abspath $(BIN))/python -m symposia.viewer.vendor keep node_modules

dev: $(VENV)/dev.stamp ## the environment with everything that tests and development need

studio: $(VENV)/studio.stamp ## LangGraph's development server with every method
	LANGGRAPH_CLI_NO_ANALYTICS=1 $(BIN)/langgraph dev --no-browser --host 127.0.0.1

lock: $(VENV)/lock.stamp ## resolve the locks again (UPGRADE=--upgrade for newer releases)
	$(UV) --group build -o requirements/build.txt
	$(UV) pyproject.toml --extra dev -c requirements/build.txt -o requirements/dev.txt
	$(UV) pyproject.toml --extra studio --extra eval -c requirements/build.txt -c requirements/dev.txt -o requirements/studio.txt
	$(UV) pyproject.toml --extra eval -c requirements/build.txt -c requirements/dev.txt -o requirements/base.txt
	echo torch | $(UV) pyproject.toml --extra train --group pytest --excludes /dev/stdin -c requirements/build.txt \
		-c requirements/dev.txt -o requirements/train.txt
	echo torch | $(UV) --group engines --excludes /dev/stdin -c requirements/build.txt -o requirements/engines.txt
	$(UV) pyproject.toml --extra chat --group pytest --group browser -c requirements/build.txt -o requirements/chat.txt
	$(UV) --group lock -o requirements/lock.txt

wheel: $(VENV)/dev.stamp ## build dist/*.whl
	@rm -rf build  # what an earlier build left there would get into the wheel
	$(BIN)/python -m pip wheel -q --no-deps --no-build-isolation -w dist .
	@rm -rf build

clean: ## remove environments, caches and build outputs; runs and stores stay
	rm -rf .venv .venv-* .typecheck .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find $(wildcard $(PARTS) symposia tests bench) -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment, one stamp per lock: a changed lock or project file installs again, and a second call costs nothing.
# The build tools come first, from their own lock, so that nothing that is built on the way fetches a tool unchecked.
PIP_INSTALL = -q --disable-pip-version-check --no-warn-script-location --no-build-isolation
define install
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "make: Symposia needs Python 3.11 or later; '$(PYTHON)' is not. Name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "make: installing $< into $(@D)" >&2
	@$(@D)/bin/python -c "" 2>/dev/null || $(PYTHON) -m venv --clear $(@D) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(@D)
	@pip="$(@D)/bin/python -m pip"; $$pip --version >/dev/null 2>&1 || pip="$(PYTHON) -m pip --python $(@D)/bin/python"; \
		$$pip install $(PIP_INSTALL) --require-hashes -r requirements/build.txt
	@$(@D)/bin/python -m pip install $(PIP_INSTALL) --require-hashes $(LOCK_OPTIONS) -r $<
	@$(if $(WITHOUT_PROJECT),,PYTHONWARNINGS=ignore $(@D)/bin/python -m pip install $(PIP_INSTALL) --no-deps -e .)
endef

$(VENV)/%.stamp: requirements/%.txt requirements/build.txt pyproject.toml setup.py
	$(install)
	@touch $@

# pip would look for PyTorch in the lock, so it takes the lock as it stands; then PyTorch, and the check that nothing is missing or at odds.
define install-with-torch
	$(install)
	@$(@D)/bin/python -m pip install $(PIP_INSTALL) $(TORCH)
	@$(@D)/bin/python -m pip check
	@touch $@
endef

$(TRAIN_VENV)/train.stamp $(ENGINES_VENV)/engines.stamp: LOCK_OPTIONS := --no-deps
$(TRAIN_VENV)/train.stamp: requirements/train.txt requirements/build.txt pyproject.toml setup.py
	$(install-with-torch)

$(ENGINES_VENV)/engines.stamp: WITHOUT_PROJECT := yes
$(ENGINES_VENV)/engines.stamp: requirements/engines.txt requirements/build.txt
	$(install-with-torch)

$(CHAT_VENV)/chat.stamp: requirements/chat.txt requirements/build.txt pyproject.toml setup.py
	$(install)
	@touch $@
