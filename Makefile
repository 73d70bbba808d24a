# The interpreter that the environments are made with. Airflow 2.11, the lowest that is supported, runs on Python
# 3.11 and 3.12: name one of them in LOWEST_PYTHON if PYTHON is newer.
PYTHON ?= python3
LOWEST_PYTHON ?= $(PYTHON)

NEWEST := .venv
LOWEST := .venv-lowest

# Identifiers of known vulnerabilities that nothing can be done about, each with the reason in a line above.
ACCEPTED_VULNERABILITIES :=

# What `make matrix` runs, of the environments in tox.ini; and where pyenv keeps interpreters, if there is one.
ENVIRONMENTS ?= $(shell $(NEWEST)/bin/tox list -q --no-desc | paste -sd ,)
PYENV := $(subst $() ,,$(patsubst %,:%,$(wildcard $(HOME)/.pyenv/versions/3.*/bin)))
COMMA := ,

# End-to-end tests that others would disturb.
E2E_ALONE := tests/resilience/chaos tests/e2e/test_demo.py tests/e2e/test_guides.py tests/e2e/whole_airflow

.DEFAULT_GOAL := help
.PHONY: help audit bench chaos dist docs load demo matrix record screenshots test test-distributed lint unit unit-lowest e2e e2e-alone e2e-beside e2e-lowest install format constraints clean

help: ## Show this help
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

demo: $(NEWEST)/installed ## Run the example Dag on a whole Airflow against the emulator (KEEP=1: leave its UI open)
	$(NEWEST)/bin/python -m scripts.demo

test: $(NEWEST)/installed $(LOWEST)/installed ## Run everything that must pass: lint, types and all tests on both sets
	# Two targets at a time, the longest first, each one's output in one piece if make can do that; then what needs the
	# machine for itself: it starts more processes than there are cores, or looks at all that run.
	$(MAKE) --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) \
		e2e-beside unit unit-lowest lint e2e-lowest
	$(MAKE) e2e-alone

lint: $(NEWEST)/installed ## Check style, security and types, and tell of known vulnerabilities
	$(NEWEST)/bin/ruff check
	$(NEWEST)/bin/ruff format --check
	$(NEWEST)/bin/zizmor --offline --quiet .github/workflows
	$(NEWEST)/bin/mypy
	# Told, and no error here: what is published today, or an index that is silent, is no fault of the change at hand.
	-@$(MAKE) --no-print-directory audit

audit: $(NEWEST)/installed ## Fail if what users install has known vulnerabilities, or the package index does not say
	@mkdir -p build
	$(call resolve,build/installed-by-users,--constraint constraints/newest.txt)
	$(NEWEST)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off --timeout 5 \
		$(ACCEPTED_VULNERABILITIES:%=--ignore-vuln %) --requirement build/installed-by-users.txt

unit: $(NEWEST)/installed ## Run the unit tests on the newest supported versions
	$(NEWEST)/bin/python -m pytest tests/unit tests/project

unit-lowest: $(LOWEST)/installed ## Run the unit tests on the lowest supported versions
	$(LOWEST)/bin/python -m pytest tests/unit tests/project

e2e: $(NEWEST)/installed ## Run the end-to-end tests on the newest supported versions
	$(NEWEST)/bin/python -m pytest tests/e2e

e2e-alone: $(NEWEST)/installed
	$(NEWEST)/bin/python -m pytest $(E2E_ALONE)

e2e-beside: $(NEWEST)/installed
	$(NEWEST)/bin/python -m pytest tests/e2e $(E2E_ALONE:%=--ignore=%)

e2e-lowest: $(LOWEST)/installed ## Run the end-to-end tests on the lowest supported versions
	$(LOWEST)/bin/python -m pytest tests/e2e

matrix: $(NEWEST)/installed ## Test the built wheel on every version of Airflow and Python, and print a table (ENVIRONMENTS=py311-lowest,...)
	rm -f build/matrix.json
	-PATH="$(PATH)$(PYENV)" UV_PYTHON_DOWNLOADS=never $(NEWEST)/bin/tox run-parallel --parallel 3 --parallel-no-spinner \
		--result-json build/matrix.json -e $(ENVIRONMENTS)
	$(NEWEST)/bin/python -m scripts.matrix_table build/matrix.json $(subst $(COMMA), ,$(ENVIRONMENTS))

chaos: $(NEWEST)/installed ## Kill tasks, triggerer and scheduler 500 times, count imports, files and deletions; many random lives
	$(NEWEST)/bin/python -m pytest tests/unit/test_idempotency.py --hypothesis-profile=chaos
	CHAOS_KILLS=$(or $(KILLS),20) $(NEWEST)/bin/python -m pytest tests/resilience/chaos

load: $(NEWEST)/installed ## Wait for 1,000 imports through faults, and with 300 deferred tasks (half an hour)
	FAULTS_WAITS=$(or $(WAITS),1000) FAULTS_OUTAGE=60 $(NEWEST)/bin/python -m pytest tests/resilience/test_faults.py
	LOAD_TASKS=$(or $(TASKS),300) $(NEWEST)/bin/python -m pytest tests/resilience/load

test-distributed: $(NEWEST)/installed ## Import with PostgreSQL, Redis, two workers and two triggerers, and kill them (10 minutes)
	DISTRIBUTED_IMPORTS=$(or $(IMPORTS),300) $(NEWEST)/bin/python -m pytest tests/resilience/distributed

bench: $(NEWEST)/installed ## Measure waits, imports and files beside what else one could write, and judge (some minutes)
	$(NEWEST)/bin/python -m benchmarks.waiting
	$(NEWEST)/bin/python -m benchmarks.import_time
	$(NEWEST)/bin/python -m benchmarks.task_cost
	$(NEWEST)/bin/python -m benchmarks.prepare

dist: $(NEWEST)/installed ## Build the wheel and the sdist of what is committed into dist/, and test these files
	@git diff --quiet HEAD && test -z "$$(git ls-files --others --exclude-standard)" || \
		{ git status --short; echo "dist/ is made of what is committed: commit or stash these changes first." >&2; exit 1; }
	rm -rf dist
	$(NEWEST)/bin/uv build --quiet --wheel --sdist --build-constraint constraints/newest.txt --out-dir dist
	$(NEWEST)/bin/twine check --strict dist/*
	DIST_FOLDER=dist $(NEWEST)/bin/python -m pytest tests/e2e/test_wheel.py
	@git log -1 --format='dist/ is made of %H' && sha256sum dist/*

record: $(NEWEST)/installed $(LOWEST)/installed ## Record what Airflow stores of this version's waits, for later versions' tests
	$(NEWEST)/bin/python -m scripts.record_release
	$(LOWEST)/bin/python -m scripts.record_release

docs: $(NEWEST)/installed ## Build the documentation into build/docs; a warning is an error
	$(NEWEST)/bin/python -m sphinx -W --keep-going -n -q -b html -d build/doctrees docs build/docs
	@echo "The documentation is in build/docs/index.html"

screenshots: $(NEWEST)/installed ## Make the pictures and log captures of the documentation anew (needs Chromium)
	$(NEWEST)/bin/python -m scripts.screenshots

install: $(NEWEST)/installed ## Set up the development environment in .venv

format: $(NEWEST)/installed ## Rewrite the code in the project's style
	$(NEWEST)/bin/ruff check --fix
	$(NEWEST)/bin/ruff format

constraints: $(NEWEST)/installed ## Resolve all sets of pinned versions anew
	@mkdir -p build
	$(call resolve,constraints/newest,--upgrade --group dev --constraint constraints/newest.in)
	# The lowest versions that the package's metadata allows; then what the tests need is added.
	$(call resolve,build/lowest,--upgrade $(LOWEST_DATE) --resolution lowest-direct)
	$(call resolve,constraints/lowest,--upgrade --group test $(LOWEST_DATE) --constraint build/lowest.txt)
	$(call resolve,constraints/airflow-2.11.0,--upgrade --group test $(LOWEST_DATE) --constraint constraints/airflow-2.11.0.in)
	$(call resolve,constraints/airflow-2.11.2,--upgrade --group test --exclude-newer 2026-03-24 --constraint constraints/airflow-2.11.2.in)
	$(call resolve,constraints/airflow-3.0.6,--upgrade --group test --exclude-newer 2025-09-05 --constraint constraints/airflow-3.0.6.in)
	$(call resolve,constraints/airflow-3.1.8,--upgrade --group test --exclude-newer 2026-03-20 --constraint constraints/airflow-3.1.8.in)
	$(call resolve,constraints/airflow-3.2.2,--upgrade --group test --exclude-newer 2026-06-08 --constraint constraints/airflow-3.2.2.in)

clean: ## Remove everything that make has made
	rm -rf $(NEWEST) $(LOWEST) .airflow-demo .airflow-benchmark build dist .tox

# The version is part of what is installed.
$(NEWEST)/installed: pyproject.toml constraints/newest.txt airflow_provider_ads/__init__.py
	$(call install,$(PYTHON),$(NEWEST),newest,dev)

$(LOWEST)/installed: pyproject.toml constraints/lowest.txt airflow_provider_ads/__init__.py
	@$(LOWEST_PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13) and "Airflow 2.11 needs Python 3.11 or 3.12: make LOWEST_PYTHON=python3.12 ...")'
	$(call install,$(LOWEST_PYTHON),$(LOWEST),lowest,test)

# $(call install,interpreter,folder,set of constraints,dependency group)
define install
	$(1) -m venv --clear $(2)
	$(2)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints/newest.txt uv
	VIRTUAL_ENV=$(2) $(2)/bin/uv pip install --quiet --compile-bytecode --constraint constraints/$(3).txt \
		--build-constraint constraints/newest.txt --editable '.[emulator]' --group $(4)
	touch $@
endef

LOWEST_DATE := --exclude-newer 2025-05-30

# $(call resolve,file of pinned versions without its suffix,options)
define resolve
	$(NEWEST)/bin/uv pip compile --quiet --universal --python-version 3.11 --extra emulator --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links $(2) pyproject.toml --output-file $(1).txt
endef
