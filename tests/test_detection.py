"""Detectors that are not in the package: fetched on command, checked, and never without being asked."""

import hashlib
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from conftest import refuses

from tfen.errors import InputError, TfenError
from tfen.faces import detection
from tfen.faces.detection import fetch_yunet, make_detector


def test_a_fetched_model_is_the_one_that_was_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"a model")
    asked: list[tuple[str, str, str]] = []

    def hub(repository: str, file: str, revision: str, local_files_only: bool = False) -> str:
        asked.append((repository, file, revision))
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    with pytest.raises(TfenError, match="not the model that was expected"):
        fetch_yunet()
    right = replace(detection.YUNET, sha256=hashlib.sha256(b"a model").hexdigest())
    monkeypatch.setattr(detection, "YUNET", right)
    assert fetch_yunet() == path
    assert set(asked) == {("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx", right.revision)}
    with pytest.raises(InputError, match="no model of YuNet"):
        make_detector("yunet")  # it is found, and it is no network


def test_nothing_is_fetched_without_being_asked(tmp_path: Path) -> None:
    refuses("fetch", "yunet", code=1, says="could not be fetched")  # the tests run without a network
    with pytest.raises(InputError, match="tfen fetch yunet"):
        make_detector("yunet")


def test_the_detector_of_the_package_finds_no_face_in_nothing() -> None:
    assert make_detector("haar").detect(np.zeros((200, 300, 3), np.uint8)) == []
