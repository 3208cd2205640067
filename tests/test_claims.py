"""What is said about a result is worked out from who trained and who was tested."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, refuses, rows, tfen

from tfen.config import make_settings
from tfen.evaluation.claims import claims
from tfen.evaluation.evaluate import evaluate
from tfen.evaluation.metrics import Prediction
from tfen.evaluation.report import dead_opponent
from tfen.evaluation.runs import over_subsets
from tfen.evaluation.statistics import corrected_t_test
from tfen.files import write_json
from tfen.models.weights import build, save_network

RUN = [*SMALL, "--folds.count", "2"]


def fold(number: int, train: list[str], test: list[str], validation: list[str] | None = None) -> dict:
    return {"fold": number, "train_subjects": train, "validation_subjects": validation or [], "test_subjects": test}


def test_people_are_unseen_only_where_no_fold_trained_on_whom_it_tested() -> None:
    settings = make_settings()
    kept = {"sequences": 10, "subjects": 4, "synthetic": False, "subjects_named": True, "folds": 2}
    clean = claims([fold(0, ["a", "b"], ["c"]), fold(1, ["c"], ["a", "b"])], settings, kept, 10, "folder")
    assert clean.people == "3 unseen subjects"
    assert clean.leaks == clean.marks == ()
    leaky = claims([fold(0, ["a", "b"], ["b", "c"])], settings, {**kept, "folds": 1}, 10, "folder")
    assert leaky.people == "2 subjects, some of whom were in training"
    assert leaky.leaks == ("fold 0: 1 of its test subjects were in training, too (b)",)
    assert leaky.marks == ("not subject-independent",)
    by_validation = claims([fold(0, ["a"], ["c"], ["c"])], settings, {**kept, "folds": 1}, 10, "folder")
    assert by_validation.leaks


def test_every_fold_that_shares_people_is_named() -> None:
    folds = [fold(0, ["a"], ["b"]), fold(1, ["a", "b"], ["a"]), fold(2, ["b"], ["a"]), fold(3, ["c", "a"], ["a", "c"])]
    said = claims(folds, make_settings(), {}, 4, "folder")
    assert said.leaks == (
        "fold 1: 1 of its test subjects were in training, too (a)",
        "fold 3: 2 of its test subjects were in training, too (a, c)",
    )
    assert said.people == "3 subjects, some of whom were in training"


@pytest.mark.parametrize(
    ("select", "marks"),
    [("last", ()), ("validation", ()), ("best-on-test", ("epoch chosen on the test subjects",))],
)
def test_an_epoch_that_was_chosen_on_the_tested_is_a_mark(select: str, marks: tuple[str, ...]) -> None:
    settings = make_settings(changes={"folds": {"select": select}})
    assert claims([fold(0, ["a"], ["b"])], settings, {}, 3, "folder").marks == marks


@pytest.mark.parametrize(
    ("about", "leaks"),
    [
        ({"trained_on": [], "chosen_by": []}, []),
        ({"trained_on": ["folder:p1", "folder:p9"], "chosen_by": []}, ["1 of the 4 subjects trained the weights"]),
        ({"trained_on": ["folder:p9"], "chosen_by": ["folder:p2", "folder:p3"]}, ["2 of the 4 subjects chose their"]),
        ({"trained_on": ["ckplus:p1"]}, []),
        ({}, ["the weights do not say from whom they learned"]),
    ],
)
def test_evaluating_says_who_of_the_people_had_a_part_in_the_weights(
    tiny_set: Path, tmp_path: Path, about: dict, leaks: list[str]
) -> None:
    settings = make_settings(changes={"model": {"width": 8, "image_size": 32, "frames": 2}})
    expressions = ("anger", "happiness", "surprise")
    save_network(tmp_path / "weights", build(settings, 3, 0), settings, expressions, about)
    said = evaluate(tmp_path / "weights", tiny_set, tmp_path / "out")["leaks"]
    assert len(said) == len(leaks)
    assert all(one.startswith(start) for one, start in zip(said, leaks))


def test_pretraining_on_all_faces_is_a_leak_where_there_is_a_pretraining() -> None:
    folds = [fold(0, ["a"], ["b"])]
    everybody = make_settings(changes={"face": {"subjects": "all"}})
    assert "pretraining saw frames of the test subjects" in claims(folds, everybody, {}, 3, "folder").leaks[0]
    alone = make_settings(changes={"face": {"subjects": "all"}, "model": {"variant": "without-facial-decoupling"}})
    assert claims(folds, alone, {}, 3, "folder").leaks == ()


def test_what_keeps_a_run_from_standing_beside_published_ones_is_named() -> None:
    kept = {"sequences": 28, "subjects": 4, "synthetic": True, "subjects_named": True, "folds": 10}
    own = claims([fold(0, ["a"], ["b"])], make_settings("paper-ckplus"), kept, 28, "ckplus")
    assert own.marks == ("1 of 10 folds", "synthetic people", "28 of 327 sequences")
    whole = {**kept, "synthetic": False, "folds": 1, "sequences": 327}
    assert claims([fold(0, ["a"], ["b"])], make_settings("paper-ckplus"), whole, 327, "ckplus").marks == ()
    unnamed = claims([fold(0, ["1"], ["2"])], make_settings(), {**whole, "subjects_named": False}, 9, "dfew")
    assert unnamed.people == "1 clips whose people are not named"


def test_a_run_whose_folds_share_people_says_so_everywhere(tiny_set: Path, tmp_path: Path) -> None:
    names = [row["sequence"] for row in rows(tiny_set / "sequences.csv")]
    with (tmp_path / "folds.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("fold", "sequence", "part"))
        out.writerows(
            (k, name, "test" if place % 2 == k else "train") for k in (0, 1) for place, name in enumerate(names)
        )
    shared = ["--folds.protocol", "file", "--folds.file", tmp_path / "folds.csv"]
    assert "not subject-independent: fold 0:" in tfen("folds", tiny_set, *shared).stdout
    done = tfen("crossval", tiny_set, tmp_path / "run", *RUN, *shared, "--folds.only", 0)
    assert done.returncode == 0, done.stderr
    assert "unseen" not in done.stdout
    assert "some of whom were in training, 1 of 2 folds" in done.stdout
    assert "not subject-independent: fold 0:" in done.stdout
    assert tfen("report", tmp_path / "run").returncode == 0
    page = (tmp_path / "run/report/index.html").read_text()
    assert "Not subject-independent" in page
    assert "1 of 2 folds" in page
    assert "never seen" not in page


@pytest.fixture(scope="module")
def ckplus_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One fold of two on a few synthetic people in CK+'s folders."""
    place = tmp_path_factory.mktemp("ckplus")
    assert tfen("synth", place / "CK", "--layout", "ckplus", "--subjects", 2, "--frames", 2, "--size", 64,
                "--jobs", 1).returncode == 0  # fmt: skip
    assert tfen("prepare", "ckplus", place / "CK", place / "set", "--size", 36, "--jobs", 1).returncode == 0
    done = tfen("crossval", place / "set", place / "run", *RUN, "--folds.only", 0, "--folds.select", "last")
    assert done.returncode == 0, done.stderr
    return place


def test_synthetic_people_in_official_folders_do_not_enter_the_published_table(ckplus_run: Path) -> None:
    assert tfen("report", ckplus_run / "run").returncode == 0
    ours = rows(ckplus_run / "run/report/comparison.csv")[-1]
    assert ours["method"] == "this run"
    assert ours["marks"] == "1 of 2 folds; synthetic people; 7 of 327 sequences"
    latex = (ckplus_run / "run/report/comparison.tex").read_text()
    assert "This run is left out: 1 of 2 folds" in latex
    assert "this run &" not in latex
    page = (ckplus_run / "run/report/index.html").read_text()
    assert "synthetic people" in page
    assert "1.609" in page  # the printed deviation
    summary = json.loads((ckplus_run / "run/summary.json").read_text())
    assert summary["std"] is None
    assert "NaN" not in (ckplus_run / "run/summary.json").read_text()


def test_a_set_that_was_moved_does_not_strand_its_run(ckplus_run: Path, tmp_path: Path) -> None:
    run, moved = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(ckplus_run / "run", run)
    shutil.copytree(ckplus_run / "set", moved)
    config = (run / "config.yaml").read_text().replace(str((ckplus_run / "set").resolve()), str(tmp_path / "gone"))
    (run / "config.yaml").write_text(config)
    refuses("figures", run, says="if it was moved, say where to: --set FOLDER")
    done = tfen("report", run)
    assert "the report has no examples" in done.stderr
    assert tfen("report", run, "--set", moved).returncode == 0
    assert (run / "report/examples.png").exists()
    (moved / "sequences.csv").write_text((moved / "sequences.csv").read_text().replace(",2,", ",3,", 1))
    refuses("report", run, "--set", moved, says="does not hold the sequences that the run was made on")
    shutil.copy(ckplus_run / "set/sequences.csv", moved / "sequences.csv")
    done = tfen("crossval", moved, run, *RUN, "--folds.only", 0, "--folds.select", "last")
    assert "fold 0: done before" in done.stderr
    assert str(moved) in (run / "config.yaml").read_text()


def test_evaluating_on_people_who_trained_the_weights_says_so(ckplus_run: Path, tmp_path: Path) -> None:
    said = tfen("evaluate", ckplus_run / "run", ckplus_run / "set", "--out", tmp_path / "out").stdout
    assert "1 of the 2 subjects trained the weights: on new people expect less" in said
    assert json.loads((tmp_path / "out/summary.json").read_text())["leaks"]


def test_averaging_checks_only_on_people_from_whom_no_network_learned(tiny_set: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        flags = [*SMALL, "--seed", seed, "--folds.select", "last", "--variant", "without-facial-decoupling"]
        assert tfen("train", tiny_set, tmp_path / name, *flags).returncode == 0
    refuses("average", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "both", "--check", tiny_set,
            says="learned from everybody")  # fmt: skip


def test_deviations_of_dfew_are_those_over_folds_within_subsets_and_those_of_subsets() -> None:
    right = {0: 1.0, 1: 0.5, 2: 0.5, 3: 0.0}  # two subsets of two folds
    said = [
        Prediction(number, f"q{number}{k}", f"s{number}{k}", "fear", "fear" if k < 4 * share else "anger", (1.0, 0.0))
        for number, share in right.items()
        for k in range(4)
    ]
    figures = over_subsets(said, ("anger", "fear"), 2)
    assert figures["subset_fold_std"] == pytest.approx(np.mean([np.std([1, 0.5], ddof=1), np.std([0.5, 0], ddof=1)]))
    assert figures["subset_std"] == pytest.approx(np.std([0.75, 0.25], ddof=1))
    assert over_subsets(said[:4], ("anger", "fear"), 2)["subset_std"] is None


def test_one_fold_has_no_deviation_and_no_interval() -> None:
    test = corrected_t_test(np.array([0.9]), np.array([0.8]), 0.1)
    assert test.difference == pytest.approx(0.1)
    assert (test.low, test.high, test.p) == (None, None, None)


def test_numbers_that_are_none_become_null(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": float("nan"), "b": [1.0, float("inf")], "c": (2.5,)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [1.0, None], "c": [2.5]}


def test_an_adversary_below_twice_chance_is_called_dead() -> None:
    folds = [{"faces": 100, "train_subjects": []}]
    low, high = {"face_accuracy": 0.019}, {"face_accuracy": 0.5}
    assert "never recognised faces (below twice chance in all 2 epochs)" in dead_opponent([[low, low]], folds)
    assert dead_opponent([[low, high, high]], folds).startswith("In 1 of 3 epochs")
    assert dead_opponent([[high]], folds) == ""
    assert dead_opponent([[{"expression_accuracy": 0.4}]], [{"faces": 0, "train_subjects": ["a"]}]) == ""
