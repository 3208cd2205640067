# Everything a newcomer needs; see README.md. A second run does not install again.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
JOBS ?= 2
# Where PyTorch comes from, if not from the usual place: the address of its builds for the processor alone, say.
TORCH_INDEX ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: demo test test-extras test-all check docs bench wheel clean

$(VENV)/.installed: pyproject.toml constraints.txt
	@sh tools/ready.sh "$(PYTHON)" "$(VENV)"
	$(if $(TORCH_INDEX),$(PIP) --index-url "$(TORCH_INDEX)" torch)
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/.extras: $(VENV)/.dev
	$(PIP) --editable '.[dev-extras]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/tfen synth $(DEMO)/faces --subjects 120 --frames 6 --size 72 --expressions anger contempt disgust fear happiness sadness surprise --contact-sheet $(DEMO)/faces.png
	$(BIN)/tfen crossval $(DEMO)/faces $(DEMO)/run --preset synth --folds.only 0
	$(BIN)/tfen report $(DEMO)/run

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m pip check

test: check
	$(BIN)/pytest -n $(JOBS) -m "not slow"

test-extras: $(VENV)/.extras
	$(BIN)/python -m pip check
	$(BIN)/pytest -n $(JOBS) -m "extra and not slow"

test-all: check $(VENV)/.extras
	$(BIN)/pytest -n $(JOBS)

docs: $(VENV)/.installed
	$(PIP) --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.extras
	$(BIN)/python benchmarks/synth.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/preparing.py
	$(BIN)/python benchmarks/analyzing.py
	$(BIN)/python benchmarks/motion.py
	$(BIN)/python benchmarks/serving.py

wheel: $(VENV)/.dev
	$(BIN)/python -m build --outdir dist

clean:
	rm -rf $(VENV) $(DEMO) site dist
