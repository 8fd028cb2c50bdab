# Every entry makes what it needs first: on a machine with Python 3.11 alone, `make demo` and `make test` just work.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
WORKERS ?= 2

BIN := .venv/bin
INSTALLED := .venv/.installed
TFLITE_PYTHON := $(CURDIR)/.venv-tflite/bin/python
TFLITE_TRIED := .venv-tflite/.tried
FUZZ_TRIED := .venv-fuzz/.tried
# Errors only.
PIP_QUIET := PIP_QUIET=2 PIP_DISABLE_PIP_VERSION_CHECK=1

.PHONY: help demo test test-devices device-tests test-interop interop-tests fuzz test-inc lint types docs bench race install tflite-env inc-env clean

help:  ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(INSTALLED)  ## Compress EfficientNet-Lite0 with its real weights and compare the files on photographs
	$(BIN)/edgekit demo

# One thread each: two workers that both spread over every core only wait for one another.
test: $(INSTALLED) $(TFLITE_TRIED)  ## Run the tests (ARGS="-k recipe" to choose)
	OMP_NUM_THREADS=1 EDGEKIT_TFLITE_RUNTIME_PYTHON="$$(test -x $(TFLITE_PYTHON) && echo $(TFLITE_PYTHON))" \
		$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

# Suites with parts of a system in them: `make test` runs what is there, `make test-devices` installs the rest first.
DEVICE_TESTS := tests/devices tests/portable tests/ci tests/report/bench tests/flow/test_bench.py

test-devices: $(INSTALLED)  ## Install sshd, adb, qemu and a browser (apt, as root), and run every test that needs one
	tests/devices/install.sh
	OMP_NUM_THREADS=1 EDGEKIT_DEVICES=required $(BIN)/python -m pytest -n $(WORKERS) $(DEVICE_TESTS) $(ARGS)

device-tests:
	@echo $(DEVICE_TESTS)

# Other people's programs, which read and write what edgekit signs, packs and publishes.
# A real kubo is optional (245 MB): after tests/interop/install_kubo.sh its tests run too.
INTEROP_TESTS := tests/interop tests/seal tests/cli/test_keys.py tests/cli/test_channel.py tests/pack/test_other_readers.py \
	tests/node/test_arm64.py tests/node/test_page.py tests/delta/test_zstd_patch.py tests/delta/test_residual_on_arm.py

test-interop: $(INSTALLED)  ## Install a registry, skopeo, softhsm2, qemu, aria2, rtorrent, WebTorrent, Go, ipfs-car, tuf-js and stock model_signing, and test against them
	tests/devices/install.sh
	tests/interop/install.sh
	OMP_NUM_THREADS=1 EDGEKIT_DEVICES=required EDGEKIT_INTEROP=required \
		$(BIN)/python -m pytest -n $(WORKERS) $(INTEROP_TESTS) $(ARGS)

interop-tests:
	@echo $(INTEROP_TESTS)

# Findings are saved below build/fuzz/, with the command that does each again.
fuzz: $(INSTALLED) $(FUZZ_TRIED)  ## Mutate 100,000 bundles, metadata, torrents, CARs, deltas and logs, then atheris on the parsers (15 minutes)
	$(BIN)/python -m tests.fuzz --cases $(or $(CASES),100000) --processes $(WORKERS) $(ARGS)
	PYTHONPATH=.venv-fuzz $(BIN)/python -m tests.fuzz.atheris_parsers

# A wheel for Linux on x86-64 alone: where it does not install, that half is skipped by name.
$(FUZZ_TRIED): tests/fuzz/requirements.txt $(INSTALLED)
	rm -rf .venv-fuzz
	$(PIP_QUIET) $(BIN)/python -m pip install --target .venv-fuzz --requirement tests/fuzz/requirements.txt || rm -rf .venv-fuzz
	mkdir -p .venv-fuzz
	touch $@

test-inc: .venv-inc/.installed  ## Run the tests of the neural-compressor backend, in an environment of its own
	OMP_NUM_THREADS=1 EDGEKIT_INC=required .venv-inc/bin/python -m pytest -n 0 tests/backends $(ARGS)

lint: $(INSTALLED)  ## Style, by ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)  ## Types, by mypy in strict mode
	$(BIN)/mypy

docs: $(INSTALLED)  ## Write docs/operators.md anew from the code
	$(BIN)/edgekit operators > docs/operators.md

bench: $(INSTALLED)  ## Run the benchmarks; their tables are in benchmarks/README.md
	$(BIN)/python -m benchmarks.compress_cost
	$(BIN)/python -m benchmarks.agreement

race: $(INSTALLED)  ## Compress five nets with edgekit and its peers, each in an environment of its own (hours, 10 GB)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.peers $(ARGS)

install: $(INSTALLED)  ## Only make the environment, .venv

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edgekit needs Python 3.11 or newer: make PYTHON=python3.11")'
	@echo "Making .venv: this takes a few minutes, once."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP_QUIET) $(BIN)/python -m pip install --requirement constraints.txt
	$(PIP_QUIET) $(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@

tflite-env: $(TFLITE_TRIED)  ## Only make the second environment, with tflite-runtime 2.14

# That runtime exists for few machines. Where it does not, its tests are skipped by name; in CI it has to be there.
$(TFLITE_TRIED): constraints-tflite.txt
	rm -rf .venv-tflite
	{ $(PYTHON) -m venv .venv-tflite && $(PIP_QUIET) $(TFLITE_PYTHON) -m pip install --requirement constraints-tflite.txt; } \
		|| { rm -rf .venv-tflite; test -z "$$CI"; }
	mkdir -p .venv-tflite
	touch $@

inc-env: .venv-inc/.installed  ## Only make the third environment, with neural-compressor and torchao

# Apart from .venv, so that what the other tests run on has nothing of it.
.venv-inc/.installed: pyproject.toml constraints.txt constraints-inc.txt
	test -x .venv-inc/bin/python || $(PYTHON) -m venv .venv-inc
	$(PIP_QUIET) .venv-inc/bin/python -m pip install --requirement constraints.txt --requirement constraints-inc.txt
	$(PIP_QUIET) .venv-inc/bin/python -m pip install --constraint constraints.txt --editable '.[dev,inc]'
	touch $@

clean:  ## Remove all environments and everything that was built
	rm -rf .venv .venv-tflite .venv-inc .venv-interop .venv-kubo .venv-fuzz .interop build dist demo-out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find edgekit tests benchmarks models -name __pycache__ -type d -prune -exec rm -rf {} +
