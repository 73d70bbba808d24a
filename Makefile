# The interpreter that the environments are made with. Airflow 2.11, the lowest supported version, runs on Python 3.11
# and 3.12: set LOWEST_PYTHON to one of them if PYTHON is newer.
PYTHON ?= python3
LOWEST_PYTHON ?= $(PYTHON)

NEWEST := .venv
LOWEST := .venv-lowest

# The set of versions that a target uses: newest or lowest.
SET ?= newest
VENV = $(or $(if $(filter newest,$(SET)),$(NEWEST)),$(if $(filter lowest,$(SET)),$(LOWEST)),$(error SET is newest or lowest))

# Identifiers of known vulnerabilities that nothing can be done about, each with the reason in a line above.
ACCEPTED_VULNERABILITIES :=

# The environments of tox.ini that `make matrix` runs, separated by commas; and where pyenv keeps its interpreters.
ENVIRONMENTS ?= $(shell $(NEWEST)/bin/tox list -q --no-desc | paste -sd ,)
PYENV := $(subst $() ,,$(patsubst %,:%,$(wildcard $(HOME)/.pyenv/versions/3.*/bin)))
COMMA := ,

# The end-to-end tests in groups, each with an Airflow of its own.
E2E_EXAMPLE := tests/e2e/test_example_import.py
E2E_GUIDES := tests/e2e/test_demo.py tests/e2e/test_guides.py
E2E_TAB := tests/e2e/imports_tab
E2E_OTHERS := tests/e2e $(patsubst %,--ignore=%,$(E2E_EXAMPLE) $(E2E_GUIDES) $(E2E_TAB))

# The unit tests in two groups, which run at the same time. Three parts of `make test` run at a time, because tests of
# waits mostly wait.
UNIT_MODULES := $(wildcard tests/unit/test_*.py)
UNIT_SUBPACKAGES := $(dir $(wildcard tests/unit/*/__init__.py))

STARTED := $(shell date +%s)

.SECONDEXPANSION:
.DEFAULT_GOAL := help
.PHONY: help demo test test-all unit e2e resilience matrix lint types audit install browser docs bench drawings \
	screenshots constraints record dist clean

help: ## Show this help
	@awk -F ':.*## ' '/^##@/ { print "\n" substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use
demo: $(NEWEST)/installed ## Run the example Dag on a whole Airflow against the emulator (KEEP=1 keeps its UI open)
	$(NEWEST)/bin/python -m scripts.demo

##@ Test
test: $(NEWEST)/installed ## Check style, types, unit tests and the example on a whole Airflow (5 minutes)
	@$(NEWEST)/bin/python -m scripts.run_parts "make test" --since $(STARTED) --jobs 3 \
		"{} unit tests: unit TESTS='$(UNIT_MODULES)'" "1 whole-Airflow run: e2e TESTS=$(E2E_EXAMPLE)" \
		"{} unit tests of subpackages: unit TESTS='$(UNIT_SUBPACKAGES)'" "{} project tests: unit TESTS=tests/project" \
		"types: types" "lint: lint"

test-all: $(NEWEST)/installed $(LOWEST)/installed browser ## Run all other tests that must pass: lowest versions, whole Airflow, guides (25 minutes)
	@$(NEWEST)/bin/python -m scripts.run_parts "make test-all" --since $(STARTED) \
		"{} end-to-end tests: e2e TESTS='$(E2E_OTHERS)'" "{} unit tests on the lowest versions: unit SET=lowest" \
		"{} tests of the Imports tab: e2e TESTS=$(E2E_TAB)" \
		"{} end-to-end tests on the lowest versions: e2e SET=lowest" \
		--alone "{} tests of the demo and the guides: e2e TESTS='$(E2E_GUIDES)'" --alone "{} resilience tests: resilience"

unit: $$(VENV)/installed ## Run the unit and project tests (SET=lowest, TESTS=tests/unit/test_hooks.py)
	$(VENV)/bin/python -m pytest $(or $(TESTS),tests/unit tests/project)

e2e: $$(VENV)/installed $(if $(filter-out $(E2E_EXAMPLE),$(or $(TESTS),all)),browser) ## Run the end-to-end tests on a whole Airflow (SET=lowest, TESTS=...)
	$(VENV)/bin/python -m pytest $(or $(TESTS),tests/e2e)

resilience: $(NEWEST)/installed ## Kill processes, inject faults (longer with KILLS=20, WAITS=1000, OUTAGE=60, STS=45, TASKS=300, IMPORTS=300)
	$(if $(KILLS),$(NEWEST)/bin/python -m pytest tests/unit/test_idempotency.py --hypothesis-profile=resilience)
	$(foreach name,KILLS WAITS OUTAGE STS TASKS IMPORTS,$(if $($(name)),RESILIENCE_$(name)=$($(name)))) \
		$(NEWEST)/bin/python -m pytest $(or $(TESTS),tests/resilience)

matrix: $(NEWEST)/installed browser ## Test the built wheel on all versions of Airflow and Python (ENVIRONMENTS=py311-lowest,...)
	rm -f build/matrix.json
	-PATH="$(PATH)$(PYENV)" UV_PYTHON_DOWNLOADS=never $(NEWEST)/bin/tox run-parallel --parallel 3 --parallel-no-spinner \
		--result-json build/matrix.json -e $(ENVIRONMENTS)
	$(NEWEST)/bin/python -m scripts.matrix_table build/matrix.json $(subst $(COMMA), ,$(ENVIRONMENTS))

##@ Develop
install: $(NEWEST)/installed ## Set up the development environment in .venv

browser: ## Install Chromium from Debian's packages if it is missing; tests of the Imports tab and screenshots need it
	@command -v chromium > /dev/null && command -v chromedriver > /dev/null || if [ "$$(id -u)" = 0 ]; \
		then apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install chromium chromium-driver; \
		else echo "Chromium is missing. Install it: sudo apt-get install chromium chromium-driver" >&2; exit 1; fi

lint: $(NEWEST)/installed ## Check style and security, and report known vulnerabilities (FIX=1 corrects the style)
	@$(NEWEST)/bin/ruff check --quiet $(if $(FIX),--fix)
	@$(NEWEST)/bin/ruff format --quiet $(if $(FIX),,--check)
	@mkdir -p build
	@$(NEWEST)/bin/zizmor --offline --quiet .github > build/zizmor.txt || { cat build/zizmor.txt; exit 1; }
	@# A new advisory is not this change's fault, so it is reported and fails only `make audit`.
	@($(audit)) > build/audit.txt 2>&1 || if grep -q "^Found .* known vulnerabilit" build/audit.txt; then cat build/audit.txt; \
		else echo "Known vulnerabilities could not be checked: see build/audit.txt."; fi

types: $(NEWEST)/installed ## Check types
	@$(NEWEST)/bin/mypy --no-error-summary

docs: $(NEWEST)/installed ## Build the documentation into build/docs; warnings are errors
	$(NEWEST)/bin/python -m sphinx -W --keep-going -n -q -b html -d build/doctrees docs build/docs

bench: $(NEWEST)/installed ## Compare the cost of waits, imports and files with the alternatives (some minutes)
	$(NEWEST)/bin/python -m benchmarks.waiting
	$(NEWEST)/bin/python -m benchmarks.import_time
	$(NEWEST)/bin/python -m benchmarks.task_cost
	$(NEWEST)/bin/python -m benchmarks.prepare

drawings: $(NEWEST)/installed ## Write the documentation's drawings, with the numbers of the benchmarks' page and of limits.py
	$(NEWEST)/bin/python -m scripts.drawings

screenshots: $(NEWEST)/installed browser ## Renew the documentation's pictures and log captures
	$(NEWEST)/bin/python -m scripts.screenshots

constraints: resolve-newest resolve-lowest $(patsubst constraints/%.in,resolve-%,$(wildcard constraints/airflow-*.in)) ## Resolve all sets of pinned versions again

clean: ## Remove everything that make has created
	rm -rf $(NEWEST) $(LOWEST) .airflow-demo .airflow-benchmark .mypy_cache .ruff_cache build dist .tox .pytest_cache .hypothesis

##@ Release
audit: $(NEWEST)/installed ## Fail if the packages that users install have known vulnerabilities, or if none could be checked
	@mkdir -p build
	$(audit)

record: $(NEWEST)/installed $(LOWEST)/installed ## Record what Airflow stores of this version's waits, for later versions' tests
	$(NEWEST)/bin/python -m scripts.record_release
	$(LOWEST)/bin/python -m scripts.record_release

dist: $(NEWEST)/installed ## Build the wheel and the sdist of the last commit into dist/, and test them
	@git diff --quiet HEAD && test -z "$$(git ls-files --others --exclude-standard)" || \
		{ git status --short; echo "dist/ is built from the last commit: commit or stash these changes first." >&2; exit 1; }
	rm -rf dist
	$(NEWEST)/bin/uv build --quiet --wheel --sdist --build-constraint constraints/newest.txt --out-dir dist
	$(NEWEST)/bin/twine check --strict dist/*
	DIST_FOLDER=dist $(NEWEST)/bin/python -m pytest tests/e2e/test_wheel.py
	@git log -1 --format='dist/ is built from %H' && sha256sum dist/*

# The environments. The package's version is part of what is installed.
$(NEWEST)/installed: pyproject.toml constraints/newest.txt airflow_provider_ads/__init__.py
	$(call install,$(PYTHON),$(NEWEST),newest,dev)

$(LOWEST)/installed: pyproject.toml constraints/lowest.txt airflow_provider_ads/__init__.py
	@$(LOWEST_PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13) and "Airflow 2.11 needs Python 3.11 or 3.12: make LOWEST_PYTHON=python3.12 ...")'
	$(call install,$(LOWEST_PYTHON),$(LOWEST),lowest,test)

# $(call install,interpreter,folder,set of constraints,dependency group): pip prints only errors.
define install
	@$(1) -m venv --clear $(2)
	@$(2)/bin/python -m pip install -qq --disable-pip-version-check --constraint constraints/newest.txt uv
	@VIRTUAL_ENV=$(2) $(2)/bin/uv pip install --quiet --compile-bytecode --constraint constraints/$(3).txt \
		--build-constraint constraints/newest.txt --editable '.[emulator]' --group $(4)
	@touch $@
endef

# The lowest versions that the package's metadata allows; then what the tests need is added.
resolve-lowest: $(NEWEST)/installed
	@mkdir -p build
	$(call resolve,build/lowest,--upgrade $(call as_of,airflow-2.11.0) --resolution lowest-direct)
	$(call resolve,constraints/lowest,--upgrade --group test $(call as_of,airflow-2.11.0) --constraint build/lowest.txt)

resolve-newest: $(NEWEST)/installed
	$(call resolve,constraints/newest,--upgrade --group dev --constraint constraints/newest.in)

resolve-airflow-%: $(NEWEST)/installed
	$(call resolve,constraints/airflow-$*,--upgrade --group test $(call as_of,airflow-$*) --constraint constraints/airflow-$*.in)

# $(call as_of,name of a set): the option that ignores what was published after the date in the set's .in file.
as_of = --exclude-newer $(shell sed -n 's/^# As of //p' constraints/$(1).in)

# $(call resolve,file of pinned versions without its suffix,options)
resolve = $(NEWEST)/bin/uv pip compile --quiet --universal --python-version 3.11 --extra emulator --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links $(2) pyproject.toml --output-file $(1).txt

audit = $(call resolve,build/installed-by-users,--constraint constraints/newest.txt) && \
	$(NEWEST)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off --timeout 5 \
	$(ACCEPTED_VULNERABILITIES:%=--ignore-vuln %) --requirement build/installed-by-users.txt
