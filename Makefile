# Every target sets itself up: only Python >= 3.11, make and a package registry are assumed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEMO   ?= demo

.PHONY: setup demo test lint api pin clean

setup: $(STAMP)

# The stamp makes the second run instant; it goes stale when a requirement changes.
$(STAMP): pyproject.toml requirements/dev.txt requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "annotext needs Python >= 3.11; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
	@echo "annotext is installed in $(VENV); try $(BIN)/annotext --help"

demo: $(STAMP)
	@$(BIN)/annotext demo --out $(DEMO) --force

test: $(STAMP)
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

# docs/api.md, from docstrings and signatures.
api: $(STAMP)
	@$(BIN)/python docs/generate_api.py

# One resolution for all platforms; no addresses, so any registry serves it.
pin: $(STAMP)
	@{ echo '# Pinned by `make pin`: base + train + review + dev, every platform and Python >= 3.11. Installed with --no-deps by `make setup`.'; \
	   $(BIN)/uv pip compile pyproject.toml --extra dev --universal --fork-strategy fewest --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade --quiet; } > requirements/dev.txt.tmp
	@mv requirements/dev.txt.tmp requirements/dev.txt

clean:
	rm -rf $(VENV) $(DEMO) build dist
