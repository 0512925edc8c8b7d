# Every target sets up what it needs from a bare clone and is fast the second time.
# PYTHON=python3.12 picks another interpreter, TORCH= leaves torch out; ARGS="--symbol ETH/USDT" goes to itb backtest or to pytest.

PYTHON ?= python3
ARGS ?=
WORKERS ?= 2
TORCH ?= torch==2.13.0

PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input
UV := .cache/uv/bin/uv
COMPILE := pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links

export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
export NO_MKDOCS_2_WARNING := 1
export PYTHONHASHSEED ?= 0

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help backtest test check format bench docs picture serve lock soak clean distclean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1~\2/p' Makefile | awk -F'~' '{printf "%-18s %s\n", $$1, $$2}'

backtest: .venv/ready ## Train and backtest on the built-in market, write a report
	@.venv/bin/itb backtest $(ARGS)

test: .venv/ready ## Run the tests (with real data too, where ITB_DATA_DIR or ../shared/data has it)
	.venv/bin/python -m pytest -n $(WORKERS) -m "not soak" $(COVERAGE) $(ARGS)

check: COVERAGE := --cov --cov-report=term
check: .venv/ready ## Everything a change must pass: format, lint, types, floors, docs, tests with coverage
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(MAKE) --no-print-directory docs
	$(MAKE) --no-print-directory test COVERAGE="$(COVERAGE)"

format: .venv/ready ## Format the code and repair what the linter can
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

soak: .venv/ready ## Run the long tests: large counts, every seed (hours); goes on where it was interrupted
	.venv/bin/python -m pytest -n $(WORKERS) -m soak --passed .cache/soak/$$(git rev-parse --short HEAD) $(ARGS)

bench: .venv/ready .venv-bench/ready ## Time itb beside backtrader, backtesting.py and nautilus_trader
	.venv/bin/python -m benchmarks $(ARGS)

docs: .venv/ready ## Build the documentation into site/
	.venv/bin/mkdocs build --strict --quiet

picture: .venv/ready ## Take the README's picture: a backtest on the built-in market, photographed by a headless browser
	rm -rf .cache/picture
	.venv/bin/itb backtest --out .cache/picture > /dev/null
	.venv/bin/python docs/report_picture.py .cache/picture/*/report.html

serve: .venv/ready ## Show the documentation at 127.0.0.1:8000 while you write it
	.venv/bin/mkdocs serve --dev-addr 127.0.0.1:8000

lock: $(UV) ## Write both lock files again (ARGS=--upgrade moves to the newest versions allowed)
	$(UV) $(COMPILE) --extra dev $(ARGS) pyproject.toml -o requirements.lock
	$(UV) $(COMPILE) $(ARGS) benchmarks/requirements.in -o benchmarks/requirements.lock

clean: ## Remove caches and built pages (never data/ or runs/)
	rm -rf site dist .coverage .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find itb tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## Remove the virtual environments as well
	rm -rf .venv .venv-bench .cache

.venv/ready: .venv/locked pyproject.toml
	@.venv/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@.venv/bin/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' \
		|| { test -n "$(TORCH)" && .venv/bin/python $(PIP_INSTALL) $(TORCH); } \
		|| echo "torch is not to be had: networks are left out, and their tests are skipped"
	@touch $@

.venv/locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "itb needs Python 3.11 or newer, this is %s: say make PYTHON=python3.12" % sys.version.split()[0])'
	@echo "Installing the locked requirements into .venv (once, a minute or two)"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP_INSTALL) --require-hashes -r requirements.lock
	@touch $@

.venv-bench/ready: benchmarks/requirements.lock
	@echo "Installing the peers into .venv-bench (once)"
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python $(PIP_INSTALL) --require-hashes -r benchmarks/requirements.lock
	@touch $@

$(UV):
	@$(PYTHON) -m venv .cache/uv
	@.cache/uv/bin/python $(PIP_INSTALL) uv
