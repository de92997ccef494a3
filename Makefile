.PHONY: fix check test test-all

fix:  # what a machine can mend
	ruff check --fix .
	ruff format .

check:  # what a machine can see
	ruff check .
	ruff format --check .
	mypy
	lint-imports

test:  # the quick tests
	pytest

test-all:
	pytest -m '' -n auto
