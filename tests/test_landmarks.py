import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import contents, refuses, tfen

from tfen.data.prepared import open_set
from tfen.errors import InputError
from tfen.faces.detection import Face
from tfen.faces.landmarks import SIDE, Landmarker, LandmarkNetwork, confirmed, look, standardised
from tfen.stopping import Stop, Stopped
from tfen.training.landmarks import FLIPPED, _gate, _jittered, landmark_loss, train_landmarks
from tfen.training.occluders import OCCLUDERS, edge, no_face


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
    figures = json.loads((tmp_path / "marks/config.json").read_text())
    assert figures["held_out_subjects"] == 1
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    marks = Landmarker(tmp_path / "marks/landmarks.safetensors")
    # None: nothing is right yet
    kept = [np.inf if figures[name] is None else figures[name] for name in ("sure", "possible")]
    assert [marks.sure, marks.possible] == pytest.approx(kept, rel=1e-3)
    assert ("none of the landmarks" in done.stderr) == (figures["sure"] is None)
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


def test_the_landmarks_loss_is_that_of_numpy() -> None:
    """Distance of the points; cross-entropy with a blob of one cell; even maps where there is no face."""
    torch.manual_seed(0)
    network = LandmarkNetwork(4).eval()
    x = torch.randn(3, 1, SIDE, SIDE)
    target = np.random.default_rng(0).uniform(0.2, 0.8, (2, 68, 2)).astype(np.float32)
    heat = network.heat_maps(x).detach().numpy().astype(float)
    log = heat - np.log(np.exp(heat).sum((2, 3), keepdims=True))
    middles = 0.5 + ((np.arange(16) + 0.5) / 16 - 0.5) * 1.3
    chance = np.exp(log)
    points = np.stack([(chance.sum(2) * middles).sum(2), (chance.sum(3) * middles).sum(2)], 2)[:2]
    apart = np.abs(points - target)
    distance = np.where(apart < 0.01, apart**2 / 0.02, apart - 0.005).mean()
    cell = middles[1] - middles[0]
    across, down = (np.exp(-0.5 * ((target[..., k, None] - middles) / cell) ** 2) for k in (0, 1))
    blob = down[..., :, None] * across[..., None, :]
    blob /= blob.sum((2, 3), keepdims=True)
    crossed = -(blob * log[:2]).sum((2, 3)).mean()
    even = -log[2].mean()
    expected = 10 * distance + 0.1 * crossed + 0.02 * even
    with torch.no_grad():
        losses = [float(landmark_loss(network, x[:count], torch.from_numpy(target))) for count in (3, 2)]
    assert losses[0] == pytest.approx(expected, rel=1e-4)
    assert losses[1] == pytest.approx(10 * distance + 0.1 * crossed, rel=1e-4)


def portrait() -> tuple[np.ndarray, np.ndarray]:
    """Return a grey picture and the landmarks of a face in its middle, in sides of the picture."""
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = 0.5 + 0.25 * np.stack([np.cos(angles), np.sin(angles)], 1)
    return np.full((SIDE, SIDE), 128, np.uint8), points


@pytest.mark.parametrize("thing", [one for one in OCCLUDERS if one is not edge])
def test_things_before_a_face_hide_a_part_of_it_and_are_drawn_anew_each_time(thing: Callable[..., np.ndarray]) -> None:
    picture, points = portrait()
    hidden = []
    for seed in range(20):
        seen = [thing(picture.copy(), points, np.random.default_rng(seed)) for _ in range(2)]
        assert (seen[0] == seen[1]).all()
        assert seen[0].shape == picture.shape
        assert seen[0].dtype == np.uint8
        hidden.append((np.abs(seen[0].astype(int) - picture) > 12).mean())
    assert len(set(hidden)) > 10
    assert 0.02 < np.mean(hidden) < 0.7


def test_behind_the_edge_of_the_picture_its_last_line_goes_on() -> None:
    picture = np.add.outer(np.arange(SIDE), 2 * np.arange(SIDE)).astype(np.uint8)
    for seed in range(12):
        out = edge(picture, portrait()[1], np.random.default_rng(seed))
        same = out == picture
        lines = [line for line in (*same, *same.T) if not line.all()]
        assert lines
        assert same.mean() > 0.6


def test_squares_without_a_face_are_of_many_kinds() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (120, 160), np.uint8)
    points = 60 + 30 * (portrait()[1] - 0.5)
    squares = [no_face(image, points, rng) for _ in range(60)]
    assert {square.shape for square in squares} == {(SIDE, SIDE)}
    assert len({square.tobytes() for square in squares}) == 60


class Telling(torch.nn.Module):
    """A network of the gate whose doubt and whose points a square's brightness says: dark ones are wrong."""

    def __init__(self, points: np.ndarray) -> None:
        super().__init__()
        self.points, self.weight = torch.from_numpy(points), torch.nn.Parameter(torch.zeros(1))

    def heat_maps(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def points_and_spreads(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        wrong = x.flatten(1).mean(1) < 0.5
        points = self.points[None] + wrong[:, None, None] * 0.5
        doubt = torch.where(wrong, 0.3, 0.1) + 0.01 * x.flatten(1).mean(1)
        return points, doubt[:, None].expand(-1, 68)


def test_the_gate_lies_between_right_landmarks_and_wrong_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    _, points = portrait()
    module = "tfen.training.landmarks."
    monkeypatch.setattr(module + "_jittered", lambda image, own, rng: (image, own))
    monkeypatch.setattr(module + "_covered", lambda square, other, own, rng: square)
    monkeypatch.setattr(module + "no_face", lambda image, own, rng: np.zeros((SIDE, SIDE), np.uint8))
    monkeypatch.setattr(module + "disturbed", lambda squares, rng: squares.float()[:, None] / 255)
    faces = [(np.full((SIDE, SIDE), 240 + k if k < 15 else 10, np.uint8), points) for k in range(20)]
    sure, possible, recall, precision = _gate(Telling(points), faces, np.random.default_rng(0))  # type: ignore[arg-type]
    most = 0.1 + 0.01 * 254 / 255  # the most doubtful right one; wrong ones and what is no face have 0.3
    assert sure == pytest.approx(most, abs=1e-5)
    assert possible == pytest.approx(most, abs=1e-4)
    assert (recall, precision) == (1, 1)
    lost = [(image, points + 0.4) for image, points in faces[:4]]
    assert _gate(Telling(points), lost, np.random.default_rng(0))[:3] == (np.inf, np.inf, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("doubt", "shift", "kept"),
    [(0.1, 30, True), (0.15, 0, True), (0.15, 30, False), (0.2, 0, False)],
    ids=["sure", "unsure but where the detector sees them", "unsure and elsewhere", "too unsure"],
)
def test_landmarks_are_taken_for_right_if_sure_or_if_the_detector_agrees(
    doubt: float, shift: float, kept: bool
) -> None:
    points = 100 * portrait()[1]
    seen = np.array([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]]) + shift

    class Marks:
        sure, possible = 0.12, 0.17

        def judge_all(self, image: np.ndarray, boxes: list[object]) -> list[tuple[np.ndarray, float]]:
            return [(points, doubt) for _ in boxes]

    face = Face((20, 20, 60, 60), 0.9, seen)
    image = np.zeros((100, 100, 3), np.uint8)
    assert len(list(confirmed(image, [face], Marks()))) == kept  # type: ignore[arg-type]
