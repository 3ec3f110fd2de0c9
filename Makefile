# Everything a newcomer needs: `make run`, `make test`. Nothing is installed outside .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=
JOBS   ?= 2

.PHONY: run test check fmt clean bench deploy-check

run: $(STAMP)  ## start everything on this machine and print the address (Ctrl-C stops it)
	@$(BIN)/pointsman serve $(ARGS)

test: $(STAMP)  ## style, types, layers, then the tests
	@$(MAKE) --no-print-directory check
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports

fmt: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## make bench ARGS="requests --json"
	$(BIN)/python -m benchmarks $(ARGS)

deploy-check: $(STAMP)  ## all that can be checked of deploy/ here, and what could not be; ARGS=--no-build is quicker
	@BIN=$(BIN) deploy/check.sh $(ARGS)

# torch is installed by its pinned version first: an unpinned one may bring gigabytes of CUDA.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Pointsman needs Python 3.11 or later; found $$($(PYTHON) -V). Set PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	@echo "installing Pointsman into $(VENV) (first time: a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
