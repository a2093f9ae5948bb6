# `make lab` to read the course, `make test` to check it; `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8888

# On Linux, PyPI's torch carries CUDA (gigabytes that the course never uses): PyTorch's own index has the CPU build.
# Where pip was pointed at wheels of its own, its configuration is used as it is. `make lab TORCH_INDEX=` takes whatever
# torch pip finds.
ifeq ($(origin TORCH_INDEX),undefined)
  TORCH_INDEX := $(if $(PIP_FIND_LINKS),,https://download.pytorch.org/whl/cpu)
  CPU_ONLY := yes
else
  CPU_ONLY := $(if $(TORCH_INDEX),yes)
endif
# Python keeps what it compiles when it first needs it: pip need not compile the rest of every package.
export PYTHONDONTWRITEBYTECODE :=
PIP_OPTIONS = --quiet --no-compile $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt
PIP_INSTALL = $(BIN)/python -m pip install $(PIP_OPTIONS)

LAB_READY := $(VENV)/.lab-ready
TEST_READY := $(VENV)/.test-ready
ROOT_FLAG = $(if $(filter 0,$(shell id -u)),--allow-root)

# One thread each: suites run side by side, and sums over several threads differ in their last digits. The progress that
# exercises record in a suite is neither the user's own nor another suite's.
PYTEST = OMP_NUM_THREADS=1 NFTEACH_PROGRESS="$(CURDIR)/artefacts/progress/$@" $(BIN)/python -m pytest
WITHOUT_NBVAL := -p no:nbval  # its import takes longer than many a test file
# The suites of `make test`, the longest first; continuous integration adds more. ONLY="file::test" runs one test of a suite.
SUITES ?= test-lessons test-explorers test-inspector test-exercises test-unit test-registry test-widgets test-notebooks
QUICK := test-quick-inspector test-quick-browser test-quick-maths test-quick-exercises
RUN_SUITES = $(BIN)/python tools/run_tests.py
BROWSER_SUITES := test-lessons test-explorers test-book
only = $(if $(ONLY),'$(ONLY)',$(1))

# Other libraries live in a separate environment, for tests and for benchmarks. Each word of PEERS is one process: zuko
# changes torch.distributions for all, so it runs alone.
PEERS_VENV ?= $(VENV)-peers
PEERS_BIN := $(PEERS_VENV)/bin
PEERS_READY := $(PEERS_VENV)/.peers-ready
PEERS ?= nflows,normflows,environment zuko pyro,docs freia
PEERS_SUITES = $(addprefix test-peers-,$(PEERS))
PEERS_PIP = $(PEERS_BIN)/python -m pip install $(PIP_OPTIONS) -c constraints-peers.txt
BENCHMARKS := $(PEERS_BIN)/python -m benchmarks

# What the explorers are timed against has another; there JupyterLab runs, too.
BENCH_VENV ?= $(VENV)-bench
BENCH_BIN := $(BENCH_VENV)/bin
BENCH_READY := $(BENCH_VENV)/.bench-ready

# What the book is made with, from npm.
BOOK_READY := tools/book/node_modules/.ready

.DEFAULT_GOAL := help
.PHONY: help lab test test-quick test-inspector test-exercises test-unit test-registry test-widgets test-notebooks test-lessons test-explorers test-book test-peers $(QUICK) \
	setup browser bench bench-quick bench-widgets results lint format notebooks site constraints clean

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-14s  %s\n", $$1, $$2 }' Makefile

lab: $(LAB_READY) ## install what is missing and open the course in JupyterLab
	@$(BIN)/jupyter trust notebooks/*.ipynb notebooks/solutions/*.ipynb > /dev/null  # else stored reports lose their pictures
	@$(BIN)/jupyter lab workspaces import --name=nfteach tools/jupyter/workspace.json 2> /dev/null  # lesson 00, the file browser closed
	cd notebooks && JUPYTER_CONFIG_PATH="$(CURDIR)/tools/jupyter$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH}" \
		"$(abspath $(BIN))/jupyter" lab --port=$(PORT) --LabApp.default_url=/lab/workspaces/nfteach $(ROOT_FLAG) $(LAB_OPTIONS)

test: $(TEST_READY) browser $(if $(filter test-peers bench-quick,$(SUITES)),$(PEERS_READY)) ## mathematics, exercises, every lesson and explorer in a real browser (SUITES="lint test-unit": these suites)
	@$(RUN_SUITES) $(foreach suite,$(SUITES),$(if $(filter test-peers,$(suite)),$(PEERS_SUITES),$(suite))) --once-more $(BROWSER_SUITES)

test-quick: $(TEST_READY) browser ## the mathematics, the exercises, one lesson and one explorer in the browser
	@$(RUN_SUITES) $(QUICK)

test-inspector: $(TEST_READY) ## unit tests of the Jacobian inspector
	$(PYTEST) $(WITHOUT_NBVAL) $(call only,tests/unit/jacobian)

test-exercises: $(TEST_READY) ## unit tests of exercises and their checkers
	$(PYTEST) $(WITHOUT_NBVAL) $(call only,tests/unit/exercises)

test-unit: $(TEST_READY) ## the other unit tests but those of explorers: mathematics, tools, pages
	$(PYTEST) $(WITHOUT_NBVAL) $(call only,$(foreach room,widgets jacobian exercises,--ignore tests/unit/$(room)) tests/unit)

test-registry: $(TEST_READY) ## every explorer of the registry without a browser: all controls, presets, random states
	$(PYTEST) $(WITHOUT_NBVAL) $(call only,tests/unit/widgets/test_explorers.py)

test-widgets: $(TEST_READY) ## what is special about each explorer, and the examples in docstrings
	$(PYTEST) $(WITHOUT_NBVAL) $(call only,--ignore tests/unit/widgets/test_explorers.py tests/unit/widgets --doctest-modules nfteach)

test-notebooks: $(TEST_READY) ## what is special about the solved notebooks is run; notebooks in step with their sources; their form; the builder
	$(PYTEST) $(call only,tests/notebooks)

test-lessons: $(TEST_READY) browser ## run every learner's notebook in JupyterLab in Chromium, compare the tagged cells, move its explorers
	$(PYTEST) $(call only,tests/browser/test_lessons.py)

test-explorers: $(TEST_READY) browser ## move every explorer in JupyterLab and Notebook 7 in Chromium, by keyboard and by mouse
	$(PYTEST) $(call only,--ignore tests/browser/test_lessons.py --ignore tests/browser/test_book.py tests/browser)

test-book: $(TEST_READY) site browser ## check the page's types, build the book, and read it in Chromium, from files and without a network
	tools/book/node_modules/.bin/tsc -p nfteach/widgets/stage/jsconfig.json
	$(PYTEST) $(call only,tests/browser/test_book.py)

test-quick-maths: $(TEST_READY)
	$(PYTEST) $(WITHOUT_NBVAL) -m "not slow" $(call only,tests/unit/flows tests/unit/test_targets.py)

test-quick-inspector: $(TEST_READY)
	$(PYTEST) $(WITHOUT_NBVAL) -m "not slow" $(call only,tests/unit/jacobian)

test-quick-exercises: $(TEST_READY)
	$(PYTEST) $(WITHOUT_NBVAL) -m "not slow" $(call only,tests/unit/exercises)

test-quick-browser: $(TEST_READY) browser
	$(PYTEST) -k "00_start_here or PlanarExplorer" $(call only,tests/browser/test_lessons.py tests/browser/test_gallery.py)

test-peers: $(PEERS_READY) ## the microscope on layers of FrEIA, zuko, nflows, normflows and Pyro (PEERS=zuko: that library only)
	@$(RUN_SUITES) $(PEERS_SUITES)

test-peers-%: $(PEERS_READY)
	OMP_NUM_THREADS=1 $(PEERS_BIN)/python -m pytest -p no:nbval --peers $* $(call only,tests/peers)

setup: $(TEST_READY) $(PEERS_READY) browser ## install whatever the suites need

browser: $(TEST_READY) ## find a Chromium, or install one
	@sh tools/ensure_browser.sh $(BIN)/python

bench: $(PEERS_READY) ## the papers' results, speed beside other libraries (DATA=folder; BENCH_OPTIONS="--help", "--fresh nade")
	$(BENCHMARKS) $(if $(DATA),--data "$(DATA)") $(BENCH_OPTIONS)

bench-quick: $(PEERS_READY) ## every benchmark of `make bench`, small and short: does it run?
	$(BENCHMARKS) --quick

results: $(PEERS_READY) ## put the tables and pictures of the last `make bench` into docs/results.md
	$(PEERS_BIN)/python -m benchmarks.publish

bench-widgets: $(BENCH_READY) ## slider to pixels in each explorer, beside interact and ipympl (BENCH_OPTIONS="--quick", "--help")
	@sh tools/ensure_browser.sh $(BENCH_BIN)/python
	$(BENCH_BIN)/python -m benchmarks.widgets $(BENCH_OPTIONS)

lint: $(TEST_READY) ## ruff: rules and layout; the English of docstrings, comments and messages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/check_english.py

format: $(TEST_READY) ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(LAB_READY) ## build the notebooks whose source changed (LESSON=02_nade: that one; FORCE=1: also unchanged ones)
	$(BIN)/python tools/build_notebooks.py $(if $(FORCE),--force) $(if $(STRICT),--strict) $(LESSON)

site: $(LAB_READY) $(BOOK_READY) ## build the book: static pages with all lessons, in build/site (LESSON=04_planar_flows: widgets in that one only)
	$(BIN)/python tools/build_site.py $(LESSON)

constraints: $(TEST_READY) ## write constraints.txt from what is installed now
	$(BIN)/python tools/pin.py > $(VENV)/constraints.new
	mv $(VENV)/constraints.new constraints.txt

clean: ## remove what was generated; the environments stay (rm -rf .venv* takes them away)
	rm -rf artefacts build dist .pytest_cache .ruff_cache .hypothesis
	find . \( -path ./$(VENV) -o -path ./$(PEERS_VENV) -o -path ./$(BENCH_VENV) \) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

# ---- the environment: installed once, and again when its description changes -------------------------------------

$(BIN)/python $(BENCH_BIN)/python:
	@sh tools/check_python.sh $(PYTHON)
	$(PYTHON) -m venv $(patsubst %/bin/python,%,$@)

$(LAB_READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing JupyterLab, PyTorch (CPU) and the course into $(VENV): a few minutes, once."
	$(PIP_INSTALL) -e ".[course]"
	@$(if $(CPU_ONLY),$(BIN)/python tools/check_torch.py)
	@touch $@

$(TEST_READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the course and what its tests need into $(VENV): a few minutes, once."
	$(PIP_INSTALL) -e ".[test]"
	@$(if $(CPU_ONLY),$(BIN)/python tools/check_torch.py)
	@touch $(LAB_READY) $@

$(BOOK_READY): tools/book/package.json tools/book/package-lock.json
	@command -v npm > /dev/null || { echo "make site needs Node.js 18 or newer with npm, for formulas and the scripts beside the pages; install it (on Debian and Ubuntu: apt install npm)"; exit 1; }
	npm ci --prefix tools/book --ignore-scripts --no-audit --no-fund
	@touch $@

# On top of the course's environment, whose packages are seen here through a .pth file; it never sees those installed
# here. --no-deps: the rest is there, but for TensorBoard and UMNN, for which nflows has no use in these tests. nflows and
# normflows are built from source, by the pinned setuptools.
SITE_PACKAGES := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
$(PEERS_READY): $(TEST_READY) constraints-peers.txt
	@echo "Installing FrEIA, zuko, nflows and normflows into $(PEERS_VENV), on top of $(VENV)."
	$(BIN)/python -m venv --clear --without-pip $(PEERS_VENV)
	echo "import site; site.addsitedir('$$($(BIN)/python $(SITE_PACKAGES))')" > "$$($(PEERS_BIN)/python $(SITE_PACKAGES))/course.pth"
	$(PEERS_PIP) --no-deps --no-build-isolation --use-pep517 FrEIA nflows normflows zuko
	@touch $@

$(BENCH_READY): pyproject.toml constraints.txt constraints-bench.txt | $(BENCH_BIN)/python
	@echo "Installing JupyterLab, ipympl and the course into $(BENCH_VENV): a few minutes, once."
	$(BENCH_BIN)/python -m pip install $(PIP_OPTIONS) -c constraints-bench.txt -e ".[course]" playwright ipympl
	@$(if $(CPU_ONLY),$(BENCH_BIN)/python tools/check_torch.py)
	@touch $@
