import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import refuses, tfen

from tfen.data.prepared import open_set
from tfen.synth.expressions import ACTION_UNITS, PROTOTYPES, action_units, actions_over_time, intensity
from tfen.synth.people import make_subject


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_synthetic_set_is_a_prepared_set_with_its_truth(synthetic_set: Path) -> None:
    found = open_set(synthetic_set)
    assert found.expressions == tuple(PROTOTYPES)
    assert found.subjects == ("s0000", "s0001")
    sequence = found.sequences[0]
    frame = cv2.imread(str(found.frame_files(sequence)[0]))
    assert frame is not None
    assert frame.shape == (48, 48, 3)
    for sequence in found.sequences:
        truth = json.loads((synthetic_set / "truth" / f"{sequence.name}.json").read_text())
        assert truth["expression"] == sequence.expression
        assert np.array(truth["landmarks"]).shape == (3, 68, 2)
        assert np.array(truth["action_units"]).shape == (3, len(ACTION_UNITS))
        assert np.array(truth["pose"]).shape == (3, 3)
        assert truth["apex"] == int(np.argmax(truth["intensity"]))
        assert {"key", "sky", "shadow"} <= set(truth["light"])
    subject = json.loads((synthetic_set / "subjects/s0001.json").read_text())
    assert {"sex", "age", "ancestry", "glasses", "beard", "phenotype", "changes"} <= set(subject)
    assert (synthetic_set / "subjects.csv").read_text().startswith("subject,sex,age,ancestry")


def test_landmarks_lie_on_the_face(synthetic_set: Path) -> None:
    for path in (synthetic_set / "truth").glob("*.json"):
        points = np.array(json.loads(path.read_text())["landmarks"])
        assert (points[:, 17:] > 0).all()
        assert (points[:, 17:] < 48).all()
        right_eye, left_eye = points[:, 36:42].mean(1), points[:, 42:48].mean(1)
        nose, mouth, chin = points[:, 30], points[:, 48:60].mean(1), points[:, 8]
        assert (left_eye[:, 0] > right_eye[:, 0] + 8).all()
        assert (nose[:, 1] > left_eye[:, 1]).all()
        assert (mouth[:, 1] > nose[:, 1]).all()
        assert (chin[:, 1] > mouth[:, 1] + 3).all()


def test_frames_show_the_expression_that_they_claim(synthetic_set: Path) -> None:
    def opening(name: str) -> float:
        points = np.array(json.loads((synthetic_set / "truth" / f"{name}.json").read_text())["landmarks"])[-1]
        return float(points[66, 1] - points[62, 1])

    for subject in ("s0000", "s0001"):
        assert opening(f"{subject}-surprise") > opening(f"{subject}-neutral") + 1.5
        sequence = next(s for s in open_set(synthetic_set).sequences if s.name == f"{subject}-surprise")
        files = open_set(synthetic_set).frame_files(sequence)
        first, last = (cv2.imread(str(file)).astype(float) for file in (files[0], files[-1]))  # type: ignore[union-attr]
        assert abs(first - last).mean() > 1


def test_the_same_seed_gives_the_same_bytes_and_a_stopped_set_is_finished(synthetic_set: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    flags = ["--frames", 3, "--size", 48, "--seed", 3, "--jobs", 1]
    assert tfen("synth", again, "--subjects", 2, *flags).returncode == 0
    whole = digests(synthetic_set)
    assert digests(again) == whole
    kept = (again / "frames/s0000-fear/0001.jpg").stat().st_mtime_ns
    for name in ("subjects/s0001.json", "sequences.csv", "prepared.json", "frames/s0001-fear/0002.jpg"):
        (again / name).unlink()
    done = tfen("synth", again, "--subjects", 2, *flags, "--contact-sheet", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stderr
    assert digests(again) == whole
    assert (again / "frames/s0000-fear/0001.jpg").stat().st_mtime_ns == kept
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] > 8 * 3 * 96
    refuses("synth", again, "--subjects", 2, "--frames", 4, "--size", 48, "--seed", 3, says="another frames (3)")


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    refuses("synth", tmp_path / "x", "--subjects", 0, says="subjects is 0")
    refuses("synth", tmp_path / "x", "--size", 5, says="size is 5")
    refuses("synth", tmp_path / "x", "--expressions", "joyful", says="'joyful' is unknown")
    refuses("synth", tmp_path / "x", "--assets", tmp_path / "none", says="does not exist")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("dynamics", "first", "middle", "last"),
    [
        ("onset-apex", 0, None, 1),
        ("onset-apex-offset", 0, 1, 0),
        ("apex-neutral", 1, None, 0),
        ("held", 1, 1, 1),
        ("speaking", 0, None, 1),
    ],
)
def test_dynamics_over_time(dynamics: str, first: float, middle: float | None, last: float) -> None:
    for seed in range(20):
        curve = intensity(dynamics, 21, np.random.default_rng(seed))
        assert ((curve >= 0) & (curve <= 1)).all()
        assert curve[0] == pytest.approx(first, abs=0.25)
        assert curve[-1] == pytest.approx(last, abs=0.25)
        if middle is not None:
            assert curve[8:13].max() == pytest.approx(middle, abs=0.25)


def test_happiness_is_action_units_6_and_12_and_surprise_1_2_5_26() -> None:
    names = sorted({name for names in ACTION_UNITS.values() for name in names} | {"eyeLookInLeft", "eyeLookInRight"})
    names += [f"eyeLook{way}{side}" for way in ("Out", "Up", "Down") for side in ("Left", "Right")]
    names += ["cheekPuff", "mouthClose", "mouthShrugUpper", "browInnerUp"]
    order = list(ACTION_UNITS)
    for expression, expected in (("happiness", {"AU6", "AU12"}), ("surprise", {"AU1", "AU2", "AU5", "AU26"})):
        weights, _ = actions_over_time(
            expression,
            "onset-apex",
            8,
            names,
            np.ones(len(names)),
            0.0,
            np.random.default_rng(1),
            (1.0, 1.0),
            np.zeros(len(names)),
        )
        units = action_units(weights, names)
        assert expected <= {order[k] for k in np.argsort(-units[-1])[: len(expected) + 1]}
        assert units[0].max() < 0.3


def test_people_are_mixed_and_the_same_for_the_same_seed() -> None:
    people = [make_subject(k, np.random.default_rng([0, k])) for k in range(60)]
    assert people[7] == make_subject(7, np.random.default_rng([0, 7]))
    assert 20 <= sum(person.sex == "female" for person in people) <= 40
    assert {person.ancestry for person in people} == {"african", "asian", "european"}
    assert min(person.age for person in people) < 25
    assert max(person.age for person in people) > 60
    assert any(person.glasses for person in people)
    assert any(person.beard == "full" for person in people)
    assert all(person.beard == "none" for person in people if person.sex == "female")
