import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import contents, refuses, tfen

from tfen.data.prepared import open_set
from tfen.errors import InputError
from tfen.faces.landmarks import SIDE, Landmarker, LandmarkNetwork, look, standardised
from tfen.stopping import Stop, Stopped
from tfen.training.landmarks import FLIPPED, _jittered, train_landmarks


def test_mirrored_landmarks_keep_their_meaning() -> None:
    """A symmetric face is its own mirror image once the points are renamed; twice renamed is as before."""
    assert (FLIPPED[FLIPPED] == np.arange(68)).all()
    pairs = {
        0: 16,
        17: 26,
        36: 45,
        39: 42,
        37: 44,
        41: 46,
        31: 35,
        48: 54,
        60: 64,
        50: 52,
        58: 56,
        8: 8,
        33: 33,
        62: 62,
    }
    assert all(FLIPPED[a] == b for a, b in pairs.items())


def test_a_look_puts_the_centre_in_the_middle_at_any_scale_and_angle() -> None:
    for size in (60, 150, 900):
        image = np.zeros((size, size, 3), np.uint8)
        spot = int(size * 0.6)
        reach = max(1, size // 40)
        image[spot - reach : spot + reach + 1, spot - reach : spot + reach + 1] = 255
        for angle in (0.0, 0.5):
            square = look(image, np.array([spot, spot]), size * 0.7, angle).astype(float)
            rows, columns = np.mgrid[:SIDE, :SIDE]
            assert (rows * square).sum() / square.sum() == pytest.approx(SIDE / 2 - 0.5, abs=0.6)
            assert (columns * square).sum() / square.sum() == pytest.approx(SIDE / 2 - 0.5, abs=0.6)


def test_points_move_with_the_picture() -> None:
    """A bright spot at one landmark is where that landmark is said to be, whatever the jitter."""
    rng = np.random.default_rng(3)
    points = rng.uniform(40, 160, (68, 2))
    points[0], points[16] = [40, 40], [160, 160]
    image = np.zeros((200, 200), np.uint8)
    x, y = points[30].round().astype(int)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    for _ in range(20):
        square, found = _jittered(image, points, rng)
        # point 30 is on the midline: in the mirror it stays point 30
        if square.max() > 100:
            row, column = np.unravel_index(int(square.argmax()), square.shape)
            assert found[30] * SIDE - 0.5 == pytest.approx([column, row], abs=2.5)


def test_a_network_is_trained_saved_and_used(synthetic_set: Path, tmp_path: Path) -> None:
    done = tfen("train-landmarks", synthetic_set, tmp_path / "marks", "--epochs", 1)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "marks/config.json").read_text())["held_out_subjects"] == 1
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    marks = Landmarker(tmp_path / "marks/landmarks.safetensors")
    points = marks.locate(image, (40, 30, 60, 60))
    assert points.shape == (68, 2)
    assert (points == marks.locate(image, (40, 30, 60, 60))).all()
    refuses("train-landmarks", synthetic_set, tmp_path / "marks", says="not empty")
    photo = next((synthetic_set / "frames").glob("*/*.jpg"))
    given = [
        "--out",
        tmp_path / "marks.csv",
        "--draw",
        tmp_path / "drawn",
        "--weights",
        tmp_path / "marks/landmarks.safetensors",
    ]
    done = tfen("landmarks", photo, *given)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "marks.csv").open()))
    assert len(rows) == int(done.stdout.split()[1])
    assert (tmp_path / f"drawn/{photo.stem}-00001.png").exists()
    assert all("x67" in row for row in rows)
    refuses("landmarks", tmp_path / "none.jpg", *given, says="does not exist")


def test_a_set_without_truth_and_bad_weights_are_refused(tiny_set: Path, tmp_path: Path) -> None:
    refuses("train-landmarks", tiny_set, tmp_path / "marks", says="made by `tfen synth` alone")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    for path in (tmp_path / "bad.safetensors", tmp_path / "none.safetensors"):
        with pytest.raises(InputError):
            Landmarker(path)


def test_the_network_sees_neither_brightness_nor_contrast() -> None:
    torch.manual_seed(0)
    network = LandmarkNetwork(8).eval()
    square = np.random.default_rng(0).uniform(0, 100, (1, SIDE, SIDE)).astype(np.float32)
    assert network(standardised(square)).detach().numpy() == pytest.approx(
        network(standardised(square * 2 + 20)).detach().numpy(), abs=1e-4
    )


def test_a_training_that_was_stopped_ends_with_the_same_bytes(synthetic_set: Path, tmp_path: Path) -> None:
    dataset = open_set(synthetic_set)

    class After(Stop):
        """Asks for the end after some steps; None: never."""

        def __init__(self, steps: int | None) -> None:
            super().__init__()
            self.left = steps

        @property
        def asked(self) -> bool:
            self.left = None if self.left is None else self.left - 1
            return self.left == 0

    def train(out: Path, steps: int | None = None, epochs: int = 3) -> None:
        train_landmarks(dataset, out, epochs, batch_size=8, width=8, seed=3, stop=After(steps))

    train(tmp_path / "whole")
    for steps in (2, 3):
        with pytest.raises(Stopped):
            train(tmp_path / "stopped", steps)
        assert not (tmp_path / "stopped/config.json").exists()
    with pytest.raises(InputError, match="epochs = 3, not 5"):
        train(tmp_path / "stopped", epochs=5)
    train(tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
