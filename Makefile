# Everything a developer does, each target installing what it lacks into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
TENSORRT_BINDINGS := tensorrt_cu12_bindings==10.0.1 tensorrt_cu12_bindings==10.13.3.9 tensorrt_cu13_bindings==11.4.0.106
TRITON := nvidia-pytriton tritonclient grpcio "protobuf<7" python-rapidjson

# The demo's files are made once and again when what they are made from changes.
.PHONY: help install demo test check format lint types layers benchmark gpu-check gpu-check-models clean

help:
	@echo "make demo       segment a short video with an exported FCN-8s; results under out/"
	@echo "make test       the tests, in two processes (WORKERS=N for more)"
	@echo "make check      format, lint, types, import layers, tests"
	@echo "make benchmark  speed and memory on this machine, into benchmarks/results/"
	@echo "make gpu-check  everything that needs a GPU, with this machine's own Python: nothing is installed"
	@echo "make install    only the development environment, .venv"

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[cpu,train,rtx,ray]" --group dev
	@# The interface of each TensorRT that is supported, without its libraries: 1 MB each, for tests/test_tensorrt_api.py.
	-@for release in $(TENSORRT_BINDINGS); do \
		$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(VENV)/tensorrt-bindings/$${release##*==} $$release; \
	done
	@# Triton's server and client, which want other releases of protobuf and NumPy: for tests/export/triton/test_server.py.
	-@$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(VENV)/triton $(TRITON) && \
		$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(VENV)/triton-numpy "numpy<2"
	@# Type checkers know packages by their folder's name: this link is the folder `fcnrt`, whatever the clone is called.
	mkdir -p $(VENV)/types && ln -sfn ../.. $(VENV)/types/fcnrt
	touch $@

install: $(VENV)/installed

demo: out/clip-overlay.mp4 out/still-overlay.png
	@echo "segmented video:   out/clip-overlay.mp4"
	@echo "segmented picture: out/still-overlay.png (from out/still.jpg)"

out/scenes/clip.mp4: $(VENV)/installed
	$(BIN)/fcnrt data synth out/scenes --count 12 --seed 7 --size 320x480 --video

out/still.jpg: out/scenes/clip.mp4
	cp out/scenes/JPEGImages/synthetic_7_000003.jpg $@

out/fcn8s.onnx: $(VENV)/installed $(wildcard fcn_models/demo_weights/*)
	mkdir -p out
	$(BIN)/fcnrt export --variant fcn8s --output $@

out/clip-overlay.mp4: out/fcn8s.onnx out/scenes/clip.mp4
	$(BIN)/fcnrt run out/scenes/clip.mp4 --model out/fcn8s.onnx --output $@

out/still-overlay.png: out/fcn8s.onnx out/still.jpg
	$(BIN)/fcnrt run out/still.jpg --model out/fcn8s.onnx --output $@

# A file's tests stay in one process: they share networks that were exported once.
test: install
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

check: format lint types layers test

format: install
	$(BIN)/ruff format --check .

lint: install
	$(BIN)/ruff check .

types: install
	MYPYPATH=$(VENV)/types $(BIN)/mypy

layers: install
	$(BIN)/lint-imports

benchmark: install
	$(BIN)/python -m fcnrt.benchmarks.published.run

# With the machine's own Python, which has PyTorch but not fcnrt: the package is this folder by another name, and its
# metadata are two lines.
gpu-check:
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && ln -s "$(CURDIR)" "$$folder/fcnrt" && \
	mkdir "$$folder/fcnrt.dist-info" && \
	sed -n -e '1i Name: fcnrt' -e 's/^version = "\(.*\)"/Version: \1/p' pyproject.toml > "$$folder/fcnrt.dist-info/METADATA" && \
	PYTHONPATH="$$folder$${PYTHONPATH:+:$$PYTHONPATH}" $(PYTHON) -m fcnrt.benchmarks.gpu_check.check $(GPU_CHECK)

gpu-check-models: install
	$(BIN)/python -m fcnrt.benchmarks.gpu_check.models out/gpu-check

clean:
	rm -rf $(VENV) build out
