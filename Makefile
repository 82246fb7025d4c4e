# Needs Python 3.11 or newer with venv, and make. Everything else is installed below this folder.
#   make demo PYTHON=python3.12       another interpreter
#   make up UP="--port 8081"          other ports: --port for Airflow, --emulator-port for the emulator

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo up docs test test-lowest test-next simulate describe mutate bench check lock clean

PYTHON ?= python3
UV_VERSION := 0.13.9
# The lowest Airflow is tried with the other packages as they were when it was new, but for those that we need newer.
LOWEST_AIRFLOW := 3.2.0
LOWEST_DAY := 2026-04-20
LOWEST_NEWER := --exclude-newer-package apache-airflow-providers-common-compat=2026-11-01 \
  --exclude-newer-package duckdb=2026-11-01

VENV := .venv
LOWEST := .venv-lowest
READY := $(VENV)/.ready
LOWEST_READY := $(LOWEST)/.ready
NEXT := .venv-next
RUN_DIR := $(CURDIR)/.run
# Many tests wait, so two processes share the test files out among them. WORKERS=0: all in this one, as a debugger needs.
WORKERS ?= 2
# The rest is about what we say to the vendors, and in which order: the same in any version.
LOWEST_TESTS := tests/dags $(addprefix tests/records/,read repeated to_csv to_json) tests/on_airflow \
  $(addprefix tests/loads/,ledger plan spool)
# What Airflow decides, on its newest pre-release; QUICK=1 tries what has met another Airflow first so far.
NEXT_TESTS := tests/on_airflow tests/dags
QUICK_TESTS := tests/dags/test_example_dags.py::test_the_walkthrough_uploads_a_file_and_a_record_and_overwrites_one_and_can_run_again \
  $(addprefix tests/on_airflow/,test_canaries.py test_provider_info.py test_triggers.py \
  $(addprefix operators/,test_operators.py test_checked_fields.py) \
  $(addprefix tasks/,test_deferral.py test_templates.py telling/test_words.py windows) ui/test_access.py)
SPREAD = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# Nothing is written to the home folder: it may be missing, or hold another Airflow.
export AIRFLOW_HOME := $(RUN_DIR)/airflow
export UV_CACHE_DIR := $(or $(UV_CACHE_DIR),$(RUN_DIR)/uv-cache)
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# An inherited setting of another environment would win over .venv; or every process would compile Airflow anew.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY)  ## install everything into .venv (the other commands do it by themselves)

demo: $(READY)  ## real customers into both stores on real Airflow, then compared value by value
	@$(VENV)/bin/python -m optimove_provider.demo run

up: $(READY)  ## Airflow and the emulator, to click around in; Ctrl-C stops both, the next one goes on
	@exec $(VENV)/bin/python -m optimove_provider.demo up $(UP)

docs: $(READY)  ## the site, into .run/docs; a warning is an error
	@$(VENV)/bin/python -m sphinx --builder html --fail-on-warning --keep-going --fresh-env --quiet docs $(RUN_DIR)/docs
	@echo "$(RUN_DIR)/docs/index.html"

test: $(READY)  ## the whole test suite; ARGS="-k name" narrows it
	$(VENV)/bin/python -m pytest $(SPREAD) $(ARGS)

test-lowest: $(LOWEST_READY)  ## what touches Airflow, Arrow or DuckDB, on their lowest supported versions
	$(LOWEST)/bin/python -m pytest $(SPREAD) -m "not any_version" $(LOWEST_TESTS) $(ARGS)

test-next: $(NEXT)/bin/uv  ## what touches Airflow, on its newest pre-release with the newest of all else; QUICK=1 tries a part
	@$(NEXT)/bin/uv pip install --quiet --upgrade --python $(NEXT)/bin/python --editable '.[demo]' --group test \
	  "`echo apache-airflow | $(NEXT)/bin/uv pip compile --quiet --no-deps --prerelease allow --no-header --no-annotate -`"
	@echo "Airflow `$(NEXT)/bin/python -c 'from importlib.metadata import version; print(version("apache-airflow"))'`"
	$(NEXT)/bin/python -m pytest $(SPREAD) -m "not any_version" $(if $(QUICK),$(QUICK_TESTS),$(NEXT_TESTS)) $(ARGS)

simulate: $(READY)  ## loads, faults and deaths in worlds of their own: SEEDS=1000, or SEED=7 TRACE=1 ONLY='task 1, key k2'
	$(VENV)/bin/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000)) $(if $(ONLY),--only "$(ONLY)") $(if $(TRACE),--trace)

describe: $(READY)  ## schemathesis against the emulator's own description: EXAMPLES=300 for each endpoint, SEED=1
	EXAMPLES=$(or $(EXAMPLES),300) SEED=$(or $(SEED),1) $(VENV)/bin/python -m pytest \
	  tests/emulator/api/described/test_conversation.py $(ARGS)

mutate: $(READY)  ## change the code to see whether its tests notice: MODULE="loads/plan/grain.py ...", or SEED=20 MODULES=3 MUTANTS=20
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --group mutation --constraints constraints/newest.txt
	$(VENV)/bin/python -m benchmarks.mutation --seed $(or $(SEED),20) --mutants $(or $(MUTANTS),20) \
	  $(if $(MODULE),$(addprefix --module ,$(MODULE)),--modules $(or $(MODULES),3))

bench: $(READY)  ## every benchmark at a small size, to see that each runs; NAMES="upload shapes" narrows it
	@$(VENV)/bin/python -m benchmarks $(NAMES)

check: $(READY)  ## format, lint, types, layers
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

clean:  ## remove the environments and everything that demo, up and the tests left
	rm -rf $(VENV) $(LOWEST) $(NEXT) .run .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist

# A virtual environment with uv in it. $(1): its folder
define new_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "Python 3.11 or newer is needed; '$(PYTHON)' is `$(PYTHON) --version 2>&1 || true`." \
       "Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
  echo "'$(PYTHON)' comes without venv. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
@echo "Installing into $(1) with `$(PYTHON) --version` (once)"
@rm -rf $(1)
@$(PYTHON) -m venv $(1)
@$(1)/bin/python -m pip install --quiet uv==$(UV_VERSION)
endef

# $(1): folder, $(2): dependency group, $(3): constraints
define install
@$(1)/bin/uv pip install --quiet --python $(1)/bin/python --editable '.[demo]' --group $(2) --constraints $(3)
@touch $(1)/.ready
endef

$(READY): pyproject.toml constraints/newest.txt
	$(call new_venv,$(VENV))
	$(call install,$(VENV),dev,constraints/newest.txt)

$(LOWEST_READY): pyproject.toml constraints/lowest.txt
	$(call new_venv,$(LOWEST))
	$(call install,$(LOWEST),test,constraints/lowest.txt)

# What is in it is brought up to date by each run.
$(NEXT)/bin/uv:
	$(call new_venv,$(NEXT))

# Markers are cut off: as constraints, pins of packages that a platform does not use harm nobody.
define compile
@rm -f $(1).new
@$(VENV)/bin/uv pip compile pyproject.toml --quiet --group dev --extra demo --universal --python-version 3.11 \
  --fork-strategy fewest --no-header --no-annotate --no-emit-package airflow-provider-optimove \
  --output-file $(1).new $(2) > /dev/null
@{ echo "# $(3), for Python 3.11 to 3.14. Made by: make lock"; sed 's/ *;.*//' $(1).new; } > $(1)
@rm -f $(1).new
@echo "$(1): `grep -c == $(1)` packages"
endef

lock: $(READY)  ## make constraints/*.txt anew
	$(call compile,constraints/newest.txt,,The newest Airflow and what goes with it)
	@mkdir -p .run && echo 'apache-airflow==$(LOWEST_AIRFLOW)' > .run/lowest.in
	$(call compile,constraints/lowest.txt,--resolution lowest-direct --constraints .run/lowest.in \
	  --exclude-newer $(LOWEST_DAY) $(LOWEST_NEWER),The lowest supported Airflow and dependencies (as of $(LOWEST_DAY)))
