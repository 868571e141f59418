# `make run`, `make app`, `make docs` and `make test` do all the set-up on a fresh machine that has Python 3.11 or newer.
# Set-up is done once: again only when pyproject.toml changes. Another Python: make install PYTHON=python3.12
SHELL = /bin/sh
BIN = .venv/bin

.PHONY: install run app docs test test-newest

install: .venv/.installed

# python3 where it is new enough, else the first newer one by name.
.venv/.installed: pyproject.toml
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Installing into .venv with $$python"; \
	    "$$python" -m venv .venv || { \
	      echo "Error: $$python cannot make a virtual environment (Debian, Ubuntu: apt install python3-venv)" >&2; \
	      exit 1; \
	    }; \
	    exit 0; \
	  fi; \
	done; \
	echo "Error: molgen needs Python 3.11 or newer and found none; say where: make install PYTHON=/path/to/python3" >&2; \
	exit 1
	$(BIN)/python -m pip install --quiet --editable '.[sketch,onnx,admet,buyable,cluster,docs,dev]'
	@touch $@

run: install
	$(BIN)/molgen generate --model qm9-digress --num 1000 --seed 7 --output molecules.csv --overwrite

app: install
	$(BIN)/molgen app

# in build/docs/index.html; a link that leads nowhere is an error
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal --ignore tests/app/test_browser.py
	$(BIN)/pytest tests/app/test_browser.py

# with the newest versions that pyproject.toml admits, whatever is installed
test-newest: install
	$(BIN)/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[sketch,onnx,admet,buyable,cluster,docs,dev]'
	$(MAKE) test
