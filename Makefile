# Every target does its own set-up; the second time that is instant.
#   make demo    five invented business days through the whole pipeline
#   make test    the whole test suite; ARGS="-k word" for a part
#   make up      Dagster UI and daemon on :3000, review app on :8600
#   make corpora  what becomes of every real file of the corpora, per format and repository
#   make check   lint, types, import rule, then the tests
#   make lock    requirements.lock anew from pyproject.toml; UPGRADE=1 takes the newest versions

MAKEFLAGS += --no-print-directory
bin := .venv/bin

.PHONY: demo test up corpora check setup lock

demo: setup
	@$(bin)/tieout demo $(ARGS)

test: setup
	@$(bin)/python -m pytest -q $(ARGS)

up: setup
	@$(bin)/tieout up $(ARGS)

corpora: setup
	@$(bin)/python -m tests.corpora

check: setup
	@$(bin)/ruff check --quiet .
	@$(bin)/mypy --no-error-summary
	@$(bin)/lint-imports --no-logo
	@$(bin)/python -m pytest -q $(ARGS)

setup:
	@sh .ci/setup

lock: setup
	@sh .ci/lock $(UPGRADE)
