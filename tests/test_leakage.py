import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, refuses, tfen

from tfen.data.prepared import SequenceRecord
from tfen.evaluation.erasure import fit_eraser
from tfen.evaluation.figures import class_distances, tsne
from tfen.evaluation.frontier import beaten, read_setting
from tfen.evaluation.leakage import (
    cosine,
    equal_error_rate,
    gallery_halves,
    identity_hits,
    linear_probe,
    nearest_probe,
)

RUN = [*SMALL, "--folds.count", "2", "--folds.select", "last"]


def sequences(subjects: int = 8, expressions: int = 6) -> list[SequenceRecord]:
    names = ("anger", "contempt", "disgust", "fear", "happiness", "sadness")[:expressions]
    return [SequenceRecord(f"{s}-{name}", f"s{s}", name, 4) for s in range(subjects) for name in names]


def test_the_halves_show_every_subject_with_other_expressions() -> None:
    own = sequences()
    first, second = gallery_halves(own) or (np.zeros(0, int), np.zeros(0, int))
    assert sorted([*first, *second]) == list(range(len(own)))
    for half in (first, second):
        assert {own[k].subject for k in half} == {f"s{s}" for s in range(8)}
    assert not {own[k].expression for k in first} & {own[k].expression for k in second}


def test_single_sequences_cannot_be_halved_and_repeats_of_one_expression_can() -> None:
    assert gallery_halves([SequenceRecord("a", "s1", "fear", 3), SequenceRecord("b", "s2", "fear", 3)]) is None
    twice = [SequenceRecord(f"{s}{k}", s, "fear", 3) for s in ("s1", "s2") for k in range(2)]
    halves = gallery_halves(twice)
    assert halves is not None
    assert [half.tolist() for half in halves] == [[0, 2], [1, 3]]


@pytest.mark.parametrize("probe", [linear_probe, nearest_probe])
def test_probes_find_who_it_is_where_it_shows_and_guess_where_it_does_not(probe) -> None:  # type: ignore[no-untyped-def]
    own, rng = sequences(), np.random.default_rng(0)
    subjects = np.array([one.subject for one in own])
    halves = gallery_halves(own)
    assert halves is not None
    code = {name: rng.normal(size=20) for name in set(subjects)}
    shown = np.stack([code[name] for name in subjects]) + 0.2 * rng.normal(size=(len(own), 20))
    assert identity_hits(probe, shown, subjects, halves).mean() > 0.95
    hidden = [identity_hits(probe, rng.normal(size=(len(own), 20)), subjects, halves).mean() for _ in range(5)]
    assert np.mean(hidden) == pytest.approx(1 / 8, abs=0.08)


def test_equal_error_rate_of_a_hand_worked_example() -> None:
    same = np.array([True, True, True, True, False, False, False, False])
    likeness = np.array([0.9, 0.8, 0.7, 0.3, 0.6, 0.2, 0.1, 0.0])
    assert equal_error_rate(same, likeness) == pytest.approx(0.25)  # accept above 0.5: one of four wrong on either side
    assert equal_error_rate(same, same.astype(float)) == 0


def test_cosine_of_pairs() -> None:
    x = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, -2.0]])
    assert cosine(x) == pytest.approx(np.array([[1, 0.5**0.5, 0], [0.5**0.5, 1, -(0.5**0.5)], [0, -(0.5**0.5), 1]]))


def test_distances_of_a_hand_worked_example() -> None:
    points = np.array([[0.0, 0], [2, 0], [1, 3], [1, 5], [1, 4]])
    labels = np.array(["anger", "anger", "fear", "fear", "fear"])
    between, mean, variance = class_distances(points, labels, ("anger", "fear", "sadness"))
    assert between[0, 1] == between[1, 0] == pytest.approx(4)
    assert mean[:2] == pytest.approx([1, 2 / 3])
    assert variance[:2] == pytest.approx([0, 2 / 9])
    assert np.isnan([between[0, 2], mean[2], variance[2]]).all()


def test_the_same_features_give_the_same_picture() -> None:
    x = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    assert (tsne(x) == tsne(x)).all()


def test_figures_and_leakage_of_a_run(tiny_set: Path, tmp_path: Path) -> None:
    run, plain = tmp_path / "run", tmp_path / "plain"
    assert tfen("crossval", tiny_set, run, *RUN).returncode == 0
    assert tfen("crossval", tiny_set, plain, *RUN, "--variant", "without-facial-decoupling").returncode == 0
    done = tfen("figures", run, "--beside", plain, "--expression", "anger")
    assert done.returncode == 0, done.stderr
    names = {Path(line).name for line in done.stdout.splitlines()}
    assert {"figure-9-maps.png", "figure-10-tsne.png", "table-11-distances-features.csv"} <= names
    rows = list(csv.reader((run / "figures/table-11-distances-plane.csv").open()))
    assert rows[0] == ["", "An", "Ha", "Su", "intra mean", "intra variance"]
    assert rows[1][1] == "-"
    assert rows[1][2].count("/") == 1
    before = (run / "figures/figure-10-tsne.png").read_bytes()
    assert tfen("figures", run, "--beside", plain, "--expression", "anger").returncode == 0
    assert (run / "figures/figure-10-tsne.png").read_bytes() == before

    done = tfen("leakage", run)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).exists()
    found = json.loads((run / "leakage/leakage.json").read_text())
    assert found["folds"] == 2
    places = {(row["place"], row["measure"]) for row in found["measures"]}
    assert {(place, "identity_linear") for place in ("F", "E", "TFE", "T")} <= places
    assert ("T", "identity_adversary") not in places  # T's features are no maps
    for row in found["measures"]:
        assert 0 <= row["value"] <= 1
        if row["measure"].startswith("identity"):
            assert row["chance"] == pytest.approx(1 / 2)
            assert row["low"] <= row["value"] <= row["high"]


def test_known_factors_are_regressed_on_a_synthetic_set(synthetic_set: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = tfen("crossval", synthetic_set, run, *RUN, "--folds.only", 0)
    assert done.returncode == 0, done.stderr
    done = tfen("leakage", run, "--no-adversary")
    assert done.returncode == 0, done.stderr
    assert "R2 of action units" in done.stdout
    rows = json.loads((run / "leakage/leakage.json").read_text())["measures"]
    assert any(row["place"] == "LEACE" and row["measure"] == "expression_linear" for row in rows)
    known = [row for row in rows if row["measure"].startswith("r2")]
    assert "LEACE" not in {row["place"] for row in known}
    assert all(-100 < row["value"] <= 1 for row in known)


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refuses("leakage", tmp_path, says="no finished run")
    refuses("figures", tmp_path, says="no finished run")


def test_the_eraser_leaves_nothing_that_a_linear_classifier_finds_and_changes_no_more_than_it_must() -> None:
    rng = np.random.default_rng(0)
    concept = rng.integers(0, 4, 300)
    x = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=(4, 12))[concept] * 2
    labels = np.eye(4)[concept]
    erase = fit_eraser(x, concept)
    left = erase(x)
    covariance = (left - left.mean(0)).T @ (labels - labels.mean(0)) / len(x)
    assert np.abs(covariance).max() < 1e-9
    assert linear_probe(x, concept, x).tolist() != linear_probe(left, concept, left).tolist()
    assert (linear_probe(left, concept, left) == concept).mean() < 0.4
    # the oblique projection is the nearest of all: the orthogonal one along the same directions moves further
    centred = x - x.mean(0)
    axes = np.linalg.svd(centred.T @ (labels - labels.mean(0)), full_matrices=False)[0][:, :3]
    orthogonal = centred - centred @ axes @ axes.T
    assert ((left - x) ** 2).sum() < ((orthogonal - centred) ** 2).sum()
    np.testing.assert_allclose(erase(left), left, atol=1e-8)
    shifted = fit_eraser(x * 3 + 1, concept)(x * 3 + 1)
    np.testing.assert_allclose(shifted, left * 3 + 1, atol=1e-7)


def test_an_eraser_of_more_people_than_dimensions_leaves_one_point() -> None:
    rng = np.random.default_rng(1)
    concept = np.arange(60) % 20
    x = rng.normal(size=(60, 5)) + rng.normal(size=(20, 5))[concept]
    assert np.abs(fit_eraser(x, concept)(x) - x.mean(0)).max() < 1e-9


def measured(folder: Path, accuracy: float, adversary: float, place: str = "TFE") -> Path:
    folder.mkdir(parents=True)
    row = {"place": place, "measure": "identity_adversary", "value": adversary, "low": adversary - 0.1,
           "high": adversary + 0.1, "chance": 0.08}  # fmt: skip
    about = {"run": str(folder), "set": "x", "folds": 2, "accuracy": accuracy, "measures": [row]}
    (folder / "leakage.json").write_text(json.dumps(about))
    return folder


def test_the_frontier_holds_what_nothing_beats_in_both_respects(tmp_path: Path) -> None:
    folders = [
        measured(tmp_path / name, *figures)
        for name, figures in {
            "good": (0.9, 0.3), "better": (0.92, 0.6), "worse": (0.85, 0.5), "same": (0.9, 0.3), "plain": (0.8, 0.2)
        }.items()
    ]  # fmt: skip
    settings = [read_setting(folder) for folder in folders]
    assert beaten(settings, "identity_adversary") == {"worse"}
    done = tfen("frontier", *folders, "--out", tmp_path / "deep" / "frontier.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("better")
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"frontier.png", "frontier.pdf", "frontier.csv"}
    refuses("frontier", folders[0], says="two measured runs")
    refuses("frontier", folders[0], tmp_path, says="leakage.json")
    (tmp_path / "good" / "leakage.json").write_text('{"run": "a", "measures": []}')
    refuses("frontier", *folders[:2], says="measure it again")
