# Everything a newcomer needs; see README.md. A second run does not install again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo

.PHONY: test test-all demo docs bench clean

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m pip check
	$(BIN)/pytest -n 2 -m "not slow"

test-all: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m pip check
	$(BIN)/pytest -n 2

demo: $(VENV)/.installed
	$(BIN)/tfen synth $(DEMO)/faces --subjects 120 --frames 6 --size 72 --expressions anger contempt disgust fear happiness sadness surprise --contact-sheet $(DEMO)/faces.png
	$(BIN)/tfen crossval $(DEMO)/faces $(DEMO)/run --preset synth --folds.only 0
	$(BIN)/tfen report $(DEMO)/run

docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/synth.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/preparing.py
	$(BIN)/python benchmarks/analyzing.py
	$(BIN)/python benchmarks/motion.py
	$(BIN)/python benchmarks/serving.py

clean:
	rm -rf $(VENV) $(DEMO) site
