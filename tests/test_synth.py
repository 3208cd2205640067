import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import refuses, tfen

from tfen.data.prepared import open_set
from tfen.synth.expressions import ACTION_UNITS, PROTOTYPES, action_units, actions_over_time, intensity, resting
from tfen.synth.film import Performer
from tfen.synth.generate import the_head
from tfen.synth.people import Subject, make_subject
from tfen.synth.settings import VARIATIONS
from tfen.synth.skins import grid, lip_light


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
    refuses("synth", again, "--subjects", 2, "--frames", 4, "--size", 48, "--seed", 3, says="frames = 3, not 4")


def test_a_set_can_be_given_more_subjects(tmp_path: Path) -> None:
    flags = ["--frames", 2, "--size", 32, "--expressions", "neutral", "fear", "--jobs", 1]
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    assert tfen("synth", grown, "--subjects", 1, *flags).returncode == 0
    kept = (grown / "frames/s0000-fear/0001.jpg").stat().st_mtime_ns
    done = tfen("synth", grown, "--subjects", 2, *flags)
    assert done.returncode == 0, done.stderr
    assert "4 sequences of 2 subjects" in done.stdout
    assert (grown / "frames/s0000-fear/0001.jpg").stat().st_mtime_ns == kept
    assert tfen("synth", whole, "--subjects", 2, *flags).returncode == 0
    assert digests(grown) == digests(whole)
    refuses("synth", grown, "--subjects", 1, *flags, says="subjects = 2, not 1")
    marker = grown / "synth.json"
    marker.write_text(marker.read_text().replace('"subjects": 2', '"subjects": "two"'))
    refuses("synth", grown, "--subjects", 3, *flags, says="subjects = two, not 3")


def test_a_set_can_be_given_more_sequences_of_everybody(tmp_path: Path) -> None:
    flags = ["--subjects", 2, "--frames", 2, "--size", 32, "--jobs", 1]
    wanted = ["--expressions", "neutral", "fear", "--more", "fear"]
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    assert tfen("synth", grown, *flags, "--expressions", "fear").returncode == 0
    kept = (grown / "frames/s0000-fear/0001.jpg").stat().st_mtime_ns
    done = tfen("synth", grown, *flags, *wanted)
    assert done.returncode == 0, done.stderr
    assert "6 sequences of 2 subjects" in done.stdout
    assert (grown / "frames/s0000-fear/0001.jpg").stat().st_mtime_ns == kept
    assert tfen("synth", whole, *flags, *wanted).returncode == 0
    assert digests(grown) == digests(whole)
    refuses("synth", grown, *flags, "--expressions", "neutral", "fear", says="more = fear, not none")
    refuses("synth", grown, *flags, "--expressions", "fear", "--more", "fear", says="with expressions = ")


def test_more_sequences_of_an_expression_are_new_and_leave_the_others_as_they_are(tmp_path: Path) -> None:
    flags = ["--subjects", 1, "--frames", 2, "--size", 32, "--expressions", "neutral", "happiness", "--jobs", 1]
    assert tfen("synth", tmp_path / "one", *flags).returncode == 0
    done = tfen("synth", tmp_path / "more", *flags, "--more", "happiness", "happiness")
    assert done.returncode == 0, done.stderr
    assert [(one.name, one.expression) for one in open_set(tmp_path / "more").sequences] == [
        ("s0000-neutral", "neutral"),
        *((name, "happiness") for name in ("s0000-happiness", "s0000-happiness-2", "s0000-happiness-3")),
    ]
    before, after = digests(tmp_path / "one" / "frames"), digests(tmp_path / "more" / "frames")
    assert len(after) == 2 * len(before)
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == len(after)


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    refuses("synth", tmp_path / "x", "--subjects", 0, says="subjects is 0")
    refuses("synth", tmp_path / "x", "--size", 5, says="size is 5")
    refuses("synth", tmp_path / "x", "--expressions", "joyful", says="'joyful' is unknown")
    refuses("synth", tmp_path / "x", "--expressions", "fear", "--more", "anger", says="more of 'anger'")
    refuses("synth", tmp_path / "x", "--assets", tmp_path / "none", says="does not exist")
    refuses("synth", tmp_path / "x", "--layout", "mmi", "--more", "fear", says="--more is no choice in mmi's")
    refuses("synth", tmp_path / "x", "--layout", "mmi", "--twins", 2, says="--twins is no choice in mmi's")
    refuses("synth", tmp_path / "x", "--layout", "mmi", "--repeats", 2, says="--repeats is no choice in mmi's")
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


def test_calm_faces_keep_their_lips_closed_and_hardly_smile() -> None:
    names = ["browDownLeft", "browDownRight", "mouthSmileLeft", "mouthUpperUpLeft", "mouthLowerDownLeft"]
    rest = np.stack([resting(names, np.random.default_rng([7, k])) for k in range(400)]).mean(0)
    assert rest[0] == pytest.approx(rest[1], rel=0.1)
    assert rest[2:].max() < 0.35 * rest[0]


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


def test_widest_people_differ_in_their_lips_alone() -> None:
    def pair(number: int) -> tuple[Subject, Subject]:
        plain, other = (make_subject(number, np.random.default_rng([3, number]), lips) for lips in (0.0, 1.0))
        return plain, other

    fuller, tones = [], []
    for plain, other in map(pair, range(60)):
        assert replace(other, changes=plain.changes, skin=plain.skin) == plain
        assert replace(other.skin, lip_tones=(1.0, 1.0)) == plain.skin
        changed = {name: other.changes[name] - value for name, value in plain.changes.items()}
        assert {name for name, by in changed.items() if by} <= {
            "mouth-upperlip-volume-incr", "mouth-upperlip-height-incr",
            "mouth-lowerlip-volume-incr", "mouth-lowerlip-height-incr",
        }  # fmt: skip
        fuller.append((changed["mouth-lowerlip-volume-incr"], plain.ancestry == "african"))
        tones.append(other.skin.lip_tones)
    assert np.mean([by for by, african in fuller if african]) > 2 * np.mean(
        [by for by, african in fuller if not african]
    )
    assert np.min(tones) < 0.8
    assert np.max(tones) > 1.25


def test_lips_take_their_tones_and_the_rest_of_the_skin_does_not() -> None:
    across, down = grid()
    factor = lip_light((0.5, 2.0))[..., 0]
    far = (abs(across) > 0.03) | (down < 0.89) | (down > 0.93)
    assert np.allclose(factor[far], 1)
    assert factor.min() == pytest.approx(0.5, abs=0.02)
    assert factor.max() == pytest.approx(2.0, abs=0.02)
    assert np.median(down[factor < 0.6]) < 0.9105 < np.median(down[factor > 1.8])


def test_shiny_people_differ_in_their_shine_alone() -> None:
    shine = []
    for number in range(60):
        plain, other = (make_subject(number, np.random.default_rng([3, number]), 1.0, by) for by in (0.0, 1.0))
        assert plain.skin.shine == (0.0, 0.0)
        assert replace(other, skin=replace(other.skin, shine=(0.0, 0.0), shine_power=plain.skin.shine_power)) == plain
        shine.append(other.skin.shine)
    assert np.min(shine) >= 0
    assert (np.quantile(shine, 0.25, axis=0) < 0.05).all()
    assert (np.max(shine, axis=0) > (0.4, 0.7)).all()


def test_moist_lips_mirror_the_light_and_the_skin_around_them_does_not() -> None:
    dark = make_subject(0, np.random.default_rng([5, 0]))
    camera = replace(VARIATIONS["lab"], noise=(0.0, 0.0), compression=(99, 100))
    pictures = []
    for moist in (0.0, 0.9):
        subject = replace(dark, glasses=False, skin=replace(dark.skin, shine=(0.0, moist), shine_power=12.0))
        performer = Performer(the_head(), subject, (5, 0))
        take = performer.perform("neutral", "onset-apex", 1, 96, np.random.default_rng(1), camera)
        pictures.append(take.frames[0].astype(float).mean(-1))
    brighter = pictures[1] - pictures[0]
    x, y = np.round(np.array(take.truth["landmarks"])[0, 48:60]).astype(int).T
    lips = np.zeros(brighter.shape, bool)
    lips[y.min() - 3 : y.max() + 4, x.min() - 3 : x.max() + 4] = True
    assert brighter[lips].max() > 25
    assert abs(brighter[~lips]).max() < 6


def test_nothing_pierces_the_chin(tmp_path: Path) -> None:
    """Their mouths lie high, and the mouth's lining must not come through below the lips."""
    made = tfen("synth", tmp_path / "faces", "--subjects", 2, "--first-subject", 34, "--seed", 21, "--frames", 2, "--size",
                112, "--variation", "lab", "--expressions", "sadness", "--jobs", 1)  # fmt: skip
    assert made.returncode == 0, made.stderr
    for name in ("s0034-sadness", "s0035-sadness"):
        points = np.array(json.loads((tmp_path / f"faces/truth/{name}.json").read_text())["landmarks"])[-1]
        frame = cv2.imread(str(tmp_path / f"faces/frames/{name}/0002.jpg"))
        assert frame is not None
        lip, chin = points[57], points[8]
        between = [lip + (chin - lip) * share for share in np.linspace(0.15, 0.85, 20)]
        bright = [frame[round(y), round(x)].max() for x, y in between if y < len(frame) - 0.5]
        assert min(bright) > 0.6 * np.median(bright)


def sheets(folder: Path, colour: tuple[int, ...], places: list[tuple[float, float, float]]) -> None:
    """Write an asset in MakeHuman's format: bent sheets 40 mm wide, (bottom, top, depth) in metres from the lips."""
    folder.mkdir(parents=True)
    rows, faces = [], []
    for k, (low, high, depth) in enumerate(places):
        for across in np.linspace(-0.02, 0.02, 9):
            rows += [f"520 520 520 1 0 0 {across:.4f} {z:.4f} {-depth - 20 * across**2:.4f}" for z in (low, high)]
        first = 18 * k + 1
        faces += [f"f {a}/1 {a + 2}/2 {a + 3}/3 {a + 1}/1" for a in range(first, first + 16, 2)]
    scales = ["x_scale 14598 14670 0.064", "y_scale 520 132 0.060", "z_scale 520 14598 0.030"]
    (folder / "made.mhclo").write_text("\n".join([*scales, "verts 0", *rows]))
    (folder / "made.obj").write_text("\n".join(["vt 0.2 0.2", "vt 0.5 0.8", "vt 0.8 0.5", *faces]))
    cv2.imwrite(str(folder / "made.png"), np.full((32, 32, 4), colour, np.uint8))


def make_assets(folder: Path) -> Path:
    """Skins of one colour, brows and lashes that cannot be seen, green teeth that are made 2 cm too low."""
    (folder / "skins").mkdir(parents=True)
    for age in ("young", "middleage", "old"):
        for ancestry in ("african", "asian", "caucasian"):
            for sex in ("female", "male"):
                skin = np.full((64, 64, 3), 150, np.uint8)
                cv2.imwrite(str(folder / "skins" / f"{age}_{ancestry}_{sex}__plain.png"), skin)
    sheets(folder / "teeth/made", (0, 255, 0, 255), [(-0.028, -0.019, 0.021), (-0.019, -0.010, 0.016)])
    for kind in ("eyebrows", "eyelashes"):
        sheets(folder / kind / "made", (0, 0, 0, 0), [(0, 0.01, 0)])
    return folder


def test_teeth_stand_where_the_lips_open(tmp_path: Path) -> None:
    made = tfen("synth", tmp_path / "faces", "--assets", make_assets(tmp_path / "assets"), "--subjects", 2, "--frames", 2,
                "--size", 112, "--variation", "lab", "--expressions", "fear", "surprise", "--jobs", 1)  # fmt: skip
    assert made.returncode == 0, made.stderr
    for path in sorted((tmp_path / "faces/truth").glob("*.json")):
        points = np.array(json.loads(path.read_text())["landmarks"])[-1]
        frame = cv2.imread(str(tmp_path / "faces/frames" / path.stem / "0002.jpg"))
        assert frame is not None
        green = frame[..., 1].astype(int) - frame.max(2, initial=0, where=[True, False, True]) > 25
        mouth = cv2.fillPoly(np.zeros(green.shape, np.uint8), [np.round(points[48:60]).astype(np.int32)], 1)
        assert green.sum() > 8, path.stem
        assert not (green & (cv2.dilate(mouth, np.ones((5, 5), np.uint8)) == 0)).any(), path.stem


def test_an_asset_whose_faces_count_back_is_the_same(tmp_path: Path) -> None:
    assets = make_assets(tmp_path / "assets")
    flags = ["--assets", assets, "--subjects", 1, "--frames", 1, "--size", 48, "--expressions", "surprise", "--jobs", 1]
    assert tfen("synth", tmp_path / "counted", *flags).returncode == 0
    mesh = assets / "teeth/made/made.obj"
    lines = mesh.read_text().splitlines()
    back = [
        " ".join(["f", *(f"{int(v) - 37}/{int(t) - 4}" for v, t in (point.split("/") for point in line.split()[1:]))])
        for line in lines[3:]
    ]
    mesh.write_text("\n".join(["v 0 0 0"] * 36 + lines[:3] + back))
    done = tfen("synth", tmp_path / "back", *flags)
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "back" / "frames") == digests(tmp_path / "counted" / "frames")


@pytest.mark.parametrize(
    ("whole", "damaged"),
    [
        ("verts 0", "nothing of use"),
        ("x_scale 14598", "x_scale some"),
        ("y_scale 520 132 0.060", "y_scale 520"),
        ("520 520 520", "520 99999 520"),
        ("z_scale 520", "z_scale -520"),
    ],
)
def test_an_asset_that_cannot_be_read_is_named(tmp_path: Path, whole: str, damaged: str) -> None:
    assets = make_assets(tmp_path / "assets")
    fitting = assets / "teeth/made/made.mhclo"
    assert whole in fitting.read_text()
    fitting.write_text(fitting.read_text().replace(whole, damaged))
    refuses("synth", tmp_path / "faces", "--assets", assets, "--subjects", 1, "--jobs", 1, says="teeth/made")
