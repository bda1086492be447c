# `make demo` and `make test` are all one needs to know. Each sets up what it needs.
#
#   VENV    the virtual environment (.venv)         PORT    where web and demo listen (8000)
#   HOST    where web listens (127.0.0.1)           ONLY    steps of the tests: make test ONLY="ruff sqlite"
#   PYTHON  a Python to take before looking for one
#   WORKERS and THREADS of the web server (2 and 8)
#   CALLS, SEED and ENGINE of the storm (20000, 1, postgresql)

VENV ?= .venv
PORT ?= 8000
HOST ?= 127.0.0.1
WORKERS ?= 2
THREADS ?= 8
ONLY ?=
CALLS ?= 20000
SEED ?= 1
ENGINE ?= postgresql
RUN = $(VENV)/bin/python

# Named after what is in the file: another checkout of it, or an edit, and pip is asked again.
INSTALLED = $(VENV)/.installed-$(shell cksum < requirements.txt | tr ' ' -)
INSTALLED_DEV = $(VENV)/.installed-dev-$(shell cat requirements.txt requirements-dev.txt | cksum | tr ' ' -)
# Compiling all that is installed takes half as long again, and most of it is never imported.
PIP = $(RUN) -m pip install --quiet --disable-pip-version-check --no-compile

.DEFAULT_GOAL = help
.PHONY: help demo test web dialer worker storm lint lock bench

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: $(INSTALLED)
	@exec $(RUN) manage.py demo --port $(PORT)

test: $(INSTALLED_DEV)
	@exec $(RUN) tests/run.py $(ONLY)

# Speed, on a PostgreSQL of its own; see docs/performance.md. Needs wrk, node and npm; takes an hour and 15 GB of disk.
bench: $(INSTALLED_DEV)
	@$(RUN) tests/bench/webhook/run.py
	@$(RUN) tests/bench/apply.py
	@$(RUN) tests/bench/dial.py
	@$(RUN) tests/bench/dial.py --sqlite
	@$(RUN) tests/bench/growth.py

lint: $(INSTALLED_DEV)
	@exec $(RUN) tests/run.py ruff mypy djlint migrations

# The production processes: see docs/operations.md.
web: $(INSTALLED)
	@$(RUN) manage.py collectstatic --noinput --verbosity 0
	@exec $(VENV)/bin/granian --interface wsgi --no-ws --host $(HOST) --port $(PORT) \
		--workers $(WORKERS) --blocking-threads $(THREADS) callcenter.wsgi:application

dialer: $(INSTALLED)
	@exec $(RUN) manage.py dialer

worker: $(INSTALLED)
	@exec $(RUN) manage.py db_worker --no-reload

# Thousands of calls while everything breaks: see docs/performance.md.
storm: $(INSTALLED_DEV)
	@exec $(RUN) -m tests.storm --calls $(CALLS) --seed $(SEED) --engine $(ENGINE)

# Writes both requirement files from pyproject.toml.
lock: $(INSTALLED_DEV)
	@$(PIP) uv
	@$(VENV)/bin/uv pip compile --quiet --no-header --no-emit-index-url --no-emit-find-links \
		--python-version 3.12 pyproject.toml --output-file requirements.txt
	@$(VENV)/bin/uv pip compile --quiet --no-header --no-emit-index-url --no-emit-find-links \
		--python-version 3.12 --extra dev --constraint requirements.txt pyproject.toml \
		--output-file requirements-dev.txt

$(INSTALLED): | $(RUN)
	@echo "Installing what is in requirements.txt into $(VENV) ..."
	@$(PIP) -r requirements.txt
	@rm -f $(VENV)/.installed-[0-9]*; touch $@

$(INSTALLED_DEV): | $(RUN)
	@echo "Installing what is in requirements-dev.txt into $(VENV) ..."
	@$(PIP) -r requirements-dev.txt
	@rm -f $(VENV)/.installed-dev-*; touch $@

# A pyenv shim may be there and refuse: what counts is that it runs.
$(RUN):
	@pyenv=$${PYENV_ROOT:-$$HOME/.pyenv}; \
	for python in $(PYTHON) python3.14 python3.13 python3.12 python3 "$$pyenv"/versions/*/bin/python; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1 && break; \
		python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "This needs Python 3.12 or newer: install it (Debian 13, Ubuntu 24.04: apt install python3 python3-venv; macOS: brew install python@3.13; any: pyenv install 3.12)." >&2; \
		exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
		version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "Python $$version is here without its venv module: install it (Debian, Ubuntu: apt install python$$version-venv)." >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version) ..."; \
	"$$python" -m venv $(VENV)
