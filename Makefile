.DEFAULT_GOAL := help
.PHONY: help run fetch test coverage sample style lock lookahead faults bench

RAW := $(or $(ETF_RAW_ROOT),$(if $(wildcard raw/ETF/daily/*.parquet),raw,sample))

# The linter of prose knows English only.
PAGES = $(filter-out %.zh-CN.md,$(wildcard *.md docs/*.md docs/decisions/*.md models/*.md))
# Three processes: tests wait for servers and other processes.
PYTEST := .venv/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-12s %s\n", $$1, $$2}'

run: ## set up, then the main job (on a synthetic sample when there is no raw data)
	@bin/setup requirements.lock
	@if [ -z "$$ETF_RAW_ROOT" ] && ! ls raw/ETF/daily/*.parquet > /dev/null 2>&1; then \
		echo "No raw data: this run is on a synthetic sample. For real funds: make fetch, then make run"; \
		$(MAKE) -s sample; \
	fi
	.venv/bin/dbt build
	@bin/etf-rotation report "$${ETF_DATABASE:-etf_rotation.duckdb}" target/report.html --language "$${ETF_LANGUAGE:-en}"
	@echo "Report: $(CURDIR)/target/report.html"
	@echo "Next: read it. bin/etf-rotation run builds, checks and publishes the whole run."

fetch: ## set up, then download the daily bars of the pools' real funds into raw/
	@bin/setup requirements.lock
	@bin/etf-rotation fetch

test: ## set up, then all tests
	@bin/setup requirements-dev.lock
	$(PYTEST) --durations=15

coverage: ## all tests, and which lines of the package none of them runs
	@bin/setup requirements-dev.lock
	$(PYTEST) --cov --cov-report=term

sample: ## write the synthetic sample into sample/
	@bin/setup requirements.lock
	@bin/etf-rotation sample sample

style: ## check style, types, spelling and prose
	@bin/setup requirements-dev.lock
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/codespell
	.venv/bin/proselint check --config .proselintrc.json $(PAGES)
	.venv/bin/sqlfluff lint --processes 2 models tests

lock: ## renew the lock files from pyproject.toml (needs uv)
	$(COMPILE) pyproject.toml --group dev -o requirements-dev.lock
	$(COMPILE) pyproject.toml -c requirements-dev.lock -o requirements.lock
	$(COMPILE) --group pyproject.toml:bench -o requirements-bench.lock

lookahead: ## prove by truncated rebuilds that nothing sees the future
	@bin/setup requirements.lock
	@bin/etf-rotation lookahead "$(RAW)"

faults: ## put every fault into the data and see which check catches it
	@bin/setup requirements-dev.lock
	@PYTHONPATH=python:tests/python .venv/bin/python -m faults

bench: ## time everything side by side with TA-Lib, polars and vectorbt (ETF_MARKET_ROOT, ETF_RAW_ROOT), into docs/benchmarks.md
	@bin/setup requirements.lock
	@bin/setup requirements-bench.lock .venv-bench
	@PYTHONPATH=python .venv/bin/python benchmarks/bench.py $(BENCH)
