.PHONY: fix check test test-all docs

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

docs:  # the reference of commands and Python, in build/site; --quiet would hide its warnings from --strict
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict
