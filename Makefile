# `make demo` and `make test` need only Python 3.11 or newer and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Test files side by side, on as many processes as there are cores, up to four: each takes some GB. A crash ends the run
# as a failure; with a process in the place of the crashed one, the run sometimes waits for ever.
PARALLEL := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder --max-worker-restart=0
READY := $(VENV)/.ready

.PHONY: sums demo test test-slow test-install test-parity smoke setup lint types bench bench-torch gpu release clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraints constraints.txt \
		--editable '.[dask,launch,prepare,storage,stretch,tensorboard,dev]'
	$(BIN)/python -c 'import librosa.util.utils' # compiles: processes that fill numba's cache at once can crash
	touch $@

test: setup
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

test-slow: setup
	$(BIN)/python -m pytest -m slow

# Built, installed without extras in an environment of its own, and used from a folder elsewhere.
test-install: setup
	$(BIN)/python -m pytest tests/test_install.py

# Against torch-fidelity, pytorch-fid and prdc, which bring torch, and small models of transformers as embedders; in an
# environment of their own.
test-parity:
	$(MAKE) setup VENV=.venv-parity
	.venv-parity/bin/uv pip install --quiet --python .venv-parity/bin/python --editable '.[parity,embedders]'
	.venv-parity/bin/python -m pytest tests/evaluation/test_published.py tests/evaluation/test_embedders_torch.py

smoke: setup
	$(BIN)/python -m pytest $(PARALLEL) -m "smoke and not slow"

lint: types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The package as it is installed, from the wheel of the source archive, so that a fault in how folders are mapped shows.
types: setup
	rm -rf .cache/package
	$(BIN)/uv build --quiet --build-constraints constraints.txt --out-dir .cache/package
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --target .cache/package/installed .cache/package/*.whl
	$(BIN)/mypy

# AUDIO=FOLDER takes one's own recordings in place of the procedural drums.
AUDIO ?=
DEMO ?= runs/$(if $(AUDIO),demo-audio,demo)
DEMO_CONFIG ?= splice_loops:tiny

demo: setup
	test -d $(DEMO)/data || $(BIN)/drumgan prepare --config=$(DEMO_CONFIG) \
		--audio='$(or $(AUDIO),synthetic:drums?count=600)' --data_dir=$(DEMO)/data
	$(BIN)/drumgan train --config=$(DEMO_CONFIG) --config.data.dir=$(DEMO)/data --workdir=$(DEMO)/run
	$(BIN)/drumgan generate --run=$(DEMO)/run --out=$(DEMO)/sounds

bench: setup
	mkdir -p runs/bench
	for name in benchmarks/bench_*.py; do \
		$(BIN)/python -m benchmarks.$$(basename $$name .py) --json runs/bench/$$(basename $$name .py).json || exit 1; \
	done

# Training steps against plain PyTorch, which is large, so in the environment of test-parity.
bench-torch:
	$(MAKE) setup VENV=.venv-parity
	.venv-parity/bin/uv pip install --quiet --python .venv-parity/bin/python --editable '.[parity]'
	.venv-parity/bin/python -m benchmarks.bench_torch

# One GPU, a quarter of an hour (docs/gpu.md). The card's own Python, whose JAX knows the card, not the environment of setup.
KIT ?=
STATE ?= runs/gpu
GPU_FLAGS ?=

gpu:
	status=75; while [ $$status -eq 75 ]; do \
		$(PYTHON) -m benchmarks.gpu_kit run $(if $(KIT),--kit='$(KIT)') --state='$(STATE)' $(GPU_FLAGS); status=$$?; \
	done; exit $$status

# The digests by which the packaged files are known when they are read; to be made again when one is packed anew.
PACKAGED := drumgan_jax/models drumgan_jax/evaluation/embedders drumgan_jax/evaluation/quality

sums:
	for folder in $(PACKAGED); do (cd $$folder && sha256sum *.npz > SHA256SUMS) || exit 1; done

# The files of the release page (weights/catalogue.py), of runs with their encoders (docs/one_shots.md).
RUNS ?= runs

release: setup
	mkdir -p release
	$(BIN)/drumgan pack --run=$(RUNS)/style --step=last --precision=bytes --out=release/style_drumsynth.npz
	$(BIN)/drumgan pack --run=$(RUNS)/vst --step=last --precision=bytes --out=release/drumgan_vst.npz
	cd release && wc -c *.npz && sha256sum *.npz

clean:
	rm -rf $(VENV) .venv-parity build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
