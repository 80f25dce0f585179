# Every target sets up what it needs by itself: .venv/ for Python, .tools/ for programs that the system lacks. Needed
# before: git, make, python3-venv. Nothing here calls sudo. PYTHON=python3.12 chooses the interpreter; TOOLS_FORCE=1
# uses .tools/ even where the system has the programs.

SECONDS =# make demo SECONDS=20 ends by itself; only the command line sets it

export PYTHON TOOLS_FORCE
export PATH := $(if $(TOOLS_FORCE),$(CURDIR)/.tools/bin:)$(PATH):/usr/local/sbin:/usr/sbin:/sbin:$(CURDIR)/.tools/bin

.PHONY: demo test lint bench pins venv tools

demo: tools
	@.venv/bin/labgate demo $(if $(SECONDS),--seconds $(SECONDS))

# In CI a test that could not run is a failure (tests/skips_fail.py).
test: tools
	@.venv/bin/python -m pytest $(if $(filter true,$(CI)),-p tests.skips_fail)

lint: venv
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

bench: tools
	@.venv/bin/python tests/bench

# Writes constraints.txt anew, with the newest versions that pyproject.toml allows.
pins:
	@.ci/pins

venv:
	@.ci/venv

tools: venv
	@.venv/bin/python .ci/tools
