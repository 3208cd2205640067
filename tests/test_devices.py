"""Where, and in what precision, networks are trained; and what is said of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import refuses

from tfen.config import TrainSettings, make_settings
from tfen.data.prepared import open_set
from tfen.device import device_named
from tfen.errors import InputError
from tfen.evaluation.report import how_trained
from tfen.inference.analysis import noted
from tfen.inference.settings import AnalyzerSettings
from tfen.training.claim import claim_run
from tfen.training.devices import precision_of


def test_the_precision_that_auto_stands_for_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = TrainSettings()
    assert plan.precision == "auto"
    for there, able, expected in ((False, False, "no"), (True, False, "no"), (True, True, "bf16")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, able=able: able)
        assert precision_of(plan) == expected
        assert precision_of(replace(plan, device="cpu")) == "no"
        assert precision_of(replace(plan, precision="fp16")) == "fp16"


def test_a_run_that_was_begun_in_single_precision_goes_on_where_auto_means_the_same(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_set(tiny_set)
    claim_run(tmp_path / "run", dataset, make_settings(None, {"train": {"precision": "no"}}), None)
    claim_run(tmp_path / "run", dataset, make_settings(), None)
    with pytest.raises(InputError, match="precision"):
        claim_run(tmp_path / "run", dataset, make_settings(None, {"train": {"precision": "bf16"}}), None)
    monkeypatch.setattr(
        "tfen.training.claim.precision_of", lambda plan: "bf16" if plan.precision == "auto" else plan.precision
    )
    claim_run(tmp_path / "other", dataset, make_settings(None, {"train": {"precision": "no"}}), None)
    with pytest.raises(InputError, match="precision"):
        claim_run(tmp_path / "other", dataset, make_settings(), None)


def test_a_report_says_where_and_in_what_precision_it_was_trained_and_from_what_start() -> None:
    one = {"device": "cpu", "precision": "single precision", "start_of_E": "imagenet", "start_of_T": "random weights"}
    assert how_trained([{"trained": one}, {"trained": one}]) == (
        "Trained on cpu in single precision, E from imagenet, T from random weights."
    )
    assert "other folds on H200" in how_trained([{"trained": one}, {"trained": {**one, "device": "H200"}}])
    assert how_trained([{}]) == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_sentence(tmp_path: Path, tiny_set: Path) -> None:
    photograph = next((tiny_set / "frames").glob("*/*.png"))
    said = refuses(
        "analyze", photograph, "--out", tmp_path / "out", "--device", "cuda", says="--device cuda cannot be used"
    )
    assert "leave it out" in said
    assert not (tmp_path / "out").exists()
    refuses("analyze", photograph, "--device", "cuda", "--engine", "onnxruntime", says="runs on the processor")
    refuses("analyze", photograph, "--device", "gpu", says="gpu")


def test_a_device_is_no_other_analysis() -> None:
    assert noted(AnalyzerSettings(device="cpu")) == noted(AnalyzerSettings())
    assert device_named("cpu").type == "cpu"
