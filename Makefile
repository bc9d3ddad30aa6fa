# make quickstart   train a teacher, a student and distilled students; a table
# make test         the tests, the slow ones last; without the long ones
# make test-slow    only the slow ones
# make test-long    large matrices: every method of distill(), every family
# make lint         ruff and mypy, as .ci/run has it
# make docs         the site, docs/_build/html/index.html, without warnings
# make clean        remove what builds and tests left (not .venv, not work_dirs)
#
# Each creates $(VENV) and installs into it if that was not done, or was done
# before setup.py last changed. What can be given, as in `make test PYTHON=...`:
PYTHON ?= python3
VENV ?= .venv
# further arguments to pip install, e.g. an index that has CPU-only torch
PIP_ARGS ?=
# processes that share the tests
WORKERS ?= 2

BIN := $(VENV)/bin
READY := $(VENV)/.mmdistill-installed

.PHONY: help install quickstart test test-slow test-long lint docs clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

install: $(READY)

quickstart: $(READY)
	@$(BIN)/python tools/quickstart.py

# One thread a process: as many processes as cores share the work already.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) \
	    -m "not slow and not long"
	@$(MAKE) --no-print-directory test-slow

# pytest ends with 5 where no test has the mark: nothing to run, no failure.
test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile \
	    -m slow || [ $$? -eq 5 ]

test-long: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m long

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -b html \
	    docs docs/_build/html
	@echo "the site is docs/_build/html/index.html"

clean:
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	@rm -rf docs/_build docs/methods docs/reference
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune \
	    -exec rm -rf {} +

$(READY): setup.py pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
	    echo "there is no command $(PYTHON); install Python 3.10 or newer," \
	        "or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "mmdistill needs Python 3.10 or newer and $(PYTHON) is" \
	        "$$("$(PYTHON)" -V 2>&1); name a newer one:" \
	        "make PYTHON=python3.11" >&2; exit 1; }
	@"$(BIN)/python" -m pip --version >/dev/null 2>&1 || { \
	    "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	        echo "$(PYTHON) cannot make virtual environments (no ensurepip" \
	            "or venv module); on Debian and Ubuntu install the package" \
	            "python3-venv, or give another: make PYTHON=..." >&2; \
	        exit 1; }; \
	    echo "creating $(VENV)"; \
	    "$(PYTHON)" -m venv "$(VENV)"; }
	@echo "installing mmdistill and what it needs into $(VENV): once, some" \
	    "minutes; PyTorch with CUDA takes about 5 GB"
	@"$(BIN)/python" -m pip install -q --disable-pip-version-check \
	    $(PIP_ARGS) -e '.[tests,docs]'
	@"$(BIN)/python" -c 'import cv2' 2>/dev/null || { \
	    echo "opencv-python does not import here, as on a machine without" \
	        "libGL: taking opencv-python-headless"; \
	    "$(BIN)/python" -m pip uninstall -q -y opencv-python; \
	    "$(BIN)/python" -m pip install -q --disable-pip-version-check \
	        $(PIP_ARGS) --force-reinstall --no-deps opencv-python-headless; }
	@touch "$@"
	@echo "installed"
