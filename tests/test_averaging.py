"""One network of several: the mean of their weights, checked and calibrated on people nobody was trained on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import refuses, tfen, write_tiny_set
from safetensors.numpy import load_file

from tfen import load
from tfen.config import make_settings
from tfen.models.weights import build, save_network

EXPRESSIONS = ("anger", "happiness", "surprise")


def write_network(
    folder: Path, seed: int, expressions: tuple[str, ...] = EXPRESSIONS, faces: int = 0, **model: Any
) -> Path:
    settings = make_settings("release", {"model": {"width": 8, "image_size": 32, "frames": 3, **model}})
    torch.manual_seed(seed)
    network = build(settings, len(expressions), faces)
    for part in network.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(part.running_var, 0.5, 2.0)
    folder.mkdir()
    save_network(folder, network, settings, expressions, {"set": folder.name, "temperature": 2.0})
    return folder


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write_network(tmp_path / "first", 1)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_network(tmp_path / "second", 2)


def test_the_average_is_the_mean_of_every_weight(first: Path, second: Path, tmp_path: Path) -> None:
    done = tfen("average", first, second, second, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "the average of 3 networks, not calibrated" in done.stdout
    ours, one, other = (load_file(folder / "model.safetensors") for folder in (tmp_path / "out", first, second))
    assert ours.keys() == one.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, (one[name] + 2 * other[name]) / 3, rtol=1e-5, atol=1e-7)
    about = load(tmp_path / "out").about
    assert about["temperature"] is None
    assert [each["set"] for each in about["averaged"]] == ["first", "second", "second"]


def test_it_is_checked_and_calibrated_on_people_held_back(first: Path, second: Path, tmp_path: Path) -> None:
    people = write_tiny_set(tmp_path / "people", subjects=9)
    done = tfen("average", first, second, "--out", tmp_path / "out", "--check", people)
    assert done.returncode == 0, done.stderr
    assert f"right on the 1 people of {people} whom no training saw: {first} " in done.stdout
    about = load(tmp_path / "out").about
    assert f"their average {about['validation_accuracy']:.4f}" in done.stdout
    assert 0.1 <= about["temperature"] <= 10
    assert about["validation_subjects"] == 1
    again = tfen("evaluate", tmp_path / "out", people, "--out", tmp_path / "judged")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "judged/summary.json").read_text())["trained_on"] == "first, second"


def test_what_has_no_average_is_told(first: Path, second: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refuses("average", first, "--out", out, says="needs two weights at least")
    wide = write_network(tmp_path / "wide", 3, width=16)
    refuses("average", first, wide, "--out", out, says="has width 16 and")
    sad = write_network(tmp_path / "sad", 3, ("anger", "happiness", "sadness"))
    refuses("average", first, sad, "--out", out, says="same expressions have an average")
    known = [write_network(tmp_path / f"faces-{count}", 3, faces=count, variant="tfen") for count in (2, 3)]
    refuses("average", *known, "--out", out, says="different numbers of faces")
    other = write_tiny_set(tmp_path / "other", expressions=("anger", "happiness"))
    refuses("average", first, second, "--out", out, "--check", other, says="check them on a set with the same")
    refuses("average", first, second, "--out", first, says="is not empty")
    assert not out.exists()
