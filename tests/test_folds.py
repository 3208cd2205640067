"""Protocols: who is tested when."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, refuses, tfen, write_tiny_set

from tfen.config import FoldSettings, make_settings
from tfen.data.folds import make_folds, subjects_of
from tfen.data.prepared import PreparedSet, SequenceRecord, open_set
from tfen.errors import InputError
from tfen.evaluation.metrics import Prediction
from tfen.evaluation.runs import over_subsets


def bare_set(sequences: list[SequenceRecord]) -> PreparedSet:
    return PreparedSet(Path("nowhere"), tuple(sequences))


def ckplus() -> PreparedSet:
    """327 sequences of 118 subjects, as CK+ has them: ids with gaps, some subjects with one sequence, some with six."""
    names = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    subjects = [f"S{5 + k + k // 7:03d}" for k in range(118)]
    counts = [1 + (k % 6) for k in range(118)]
    while sum(counts) > 327:
        counts[counts.index(max(counts))] -= 1
    while sum(counts) < 327:
        counts[counts.index(min(counts))] += 1
    return bare_set([SequenceRecord(f"{s}-{n}", s, n, 10) for s, count in zip(subjects, counts) for n in names[:count]])


def test_the_paper_protocol_on_ckplus_tests_ten_groups_of_subjects_in_ascending_order() -> None:
    found = ckplus()
    folds = make_folds(found, make_settings("paper-ckplus").folds, seed=0)
    assert len(folds) == 10
    tested = [subjects_of(fold.test) for fold in folds]
    assert [subject for group in tested for subject in group] == sorted(found.subjects)
    assert sum(len(fold.test) for fold in folds) == 327
    for fold in folds:
        assert not fold.validation
        assert not set(subjects_of(fold.train)) & set(subjects_of(fold.test))
        assert len(fold.train) + len(fold.test) == 327


def test_one_subject_at_a_time() -> None:
    found = ckplus()
    folds = make_folds(found, FoldSettings(protocol="leave-one-subject-out", select="last"), seed=0)
    assert [subjects_of(fold.test) for fold in folds] == [(subject,) for subject in found.subjects]


def test_mmi_by_sequence_takes_neighbouring_ids_of_sequences() -> None:
    found = bare_set([SequenceRecord(f"{k}", f"S{k // 3:03d}", ("anger", "fear")[k % 2], 9) for k in range(208)])
    folds = make_folds(found, FoldSettings(protocol="sequences", select="last"), seed=0)
    assert [len(fold.test) for fold in folds] == [21] * 8 + [20] * 2
    assert [one.name for one in folds[0].test] == [str(k) for k in range(21)]
    shared = set(subjects_of(folds[0].test)) & set(subjects_of(folds[0].train))
    assert not shared  # 21 sequences are seven whole subjects
    assert set(subjects_of(folds[8].test)) & set(subjects_of(folds[8].train))


DFEW = {
    "happiness": 2445,
    "sadness": 1894,
    "neutral": 2669,
    "anger": 2173,
    "surprise": 1469,
    "disgust": 145,
    "fear": 902,
}


def test_dfew_has_twelve_stratified_subsets_of_ten_folds() -> None:
    names = [name for name, count in DFEW.items() for _ in range(count)]
    found = bare_set([SequenceRecord(f"{k:05d}", f"{k:05d}", name, 16) for k, name in enumerate(names, 1)])
    folds = make_folds(found, make_settings("paper-dfew").folds, seed=0)
    assert len(folds) == 120
    tested = [one.name for fold in folds for one in fold.test]
    assert len(tested) == len(set(tested)) == 11_697
    for k in range(12):
        subset = folds[10 * k : 10 * k + 10]
        members = {one.name for fold in subset for one in fold.test}
        counts = Counter(one.expression for fold in subset for one in fold.test)
        for name, count in DFEW.items():
            assert counts[name] == pytest.approx(count / 12, abs=1)
        for name in DFEW:
            in_folds = [sum(one.expression == name for one in fold.test) for fold in subset]
            assert max(in_folds) - min(in_folds) <= 1  # the folds of a subset, too, have every expression's share
        for fold in subset:
            assert fold.everybody(found) == [one for one in found.sequences if one.name in members]
            assert {one.name for one in (*fold.train, *fold.test)} == members
            assert not {one.name for one in fold.train} & {one.name for one in fold.test}
            assert len(fold.test) == pytest.approx(11_697 / 120, abs=7)
    other = make_folds(found, make_settings("paper-dfew").folds, seed=1)
    assert {one.name for one in other[0].test} != {one.name for one in folds[0].test}


def test_too_small_a_set_for_twelve_subsets_is_refused(tiny_set: Path) -> None:
    with pytest.raises(InputError, match="too few for 12 subsets"):
        make_folds(open_set(tiny_set), FoldSettings(protocol="dfew-12x10", select="last"), seed=0)


def test_exported_folds_are_read_back_as_they_were(tmp_path: Path) -> None:
    folder = write_tiny_set(tmp_path / "set", subjects=6)
    done = tfen("folds", folder, "--folds.count", 3, "--folds.select", "last", "--export", tmp_path / "folds.csv")
    assert done.returncode == 0, done.stderr
    assert "p5, p6" in done.stdout
    found = open_set(folder)
    settings = FoldSettings(protocol="file", file=str(tmp_path / "folds.csv"), select="last")
    assert make_folds(found, settings, 0) == make_folds(found, FoldSettings(count=3, select="last"), 0)


def test_a_fold_file_may_name_subjects_and_leave_the_others_to_training(tiny_set: Path, tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text("fold,subject,part\na,p2,test\nb,p1,test\nb,p3,train\n")
    settings = FoldSettings(protocol="file", file=str(tmp_path / "folds.csv"), select="last")
    first, second = make_folds(open_set(tiny_set), settings, 0)
    assert (subjects_of(first.train), subjects_of(first.test)) == (("p1", "p3", "p4"), ("p2",))
    assert (subjects_of(second.train), subjects_of(second.test)) == (("p3",), ("p1",))


def test_official_folds_lie_in_the_prepared_set_and_excluded_expressions_do_not_disturb_them(tiny_set: Path) -> None:
    names = [f"p{k}-{name}" for k in range(1, 5) for name in ("anger", "happiness", "surprise")]
    rows = [
        f"{fold},{name},{'test' if (k % 2 == fold) else 'train'}" for fold in (0, 1) for k, name in enumerate(names)
    ]
    (tiny_set / "official-folds.csv").write_text("\n".join(["fold,sequence,part", *rows]) + "\n")
    folds = make_folds(open_set(tiny_set, ("surprise",)), FoldSettings(protocol="file", select="last"), 0)
    assert [len(fold.test) for fold in folds] == [4, 4]
    assert [one.name for one in folds[0].test] == ["p1-anger", "p2-happiness", "p3-anger", "p4-happiness"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fold,subject\n0,p1\n", "no column part"),
        ("fold,subject,part\n0,p9,test\n", "no subject 'p9'"),
        ("fold,subject,part\n0,p1,testing\n", "expected train or test"),
        ("fold,subject,part\n0,p1,test\n0,p1,train\n", "in training and in test"),
        ("fold,subject,part\n", "names no fold"),
    ],
)
def test_bad_fold_files_are_refused(tiny_set: Path, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "folds.csv").write_text(text)
    refuses("folds", tiny_set, "--folds.protocol", "file", "--folds.file", tmp_path / "folds.csv", says=says)


def test_a_run_with_a_fold_file_tests_whom_the_file_names(tiny_set: Path, tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text("fold,subject,part\n0,p3,test\n")
    given = ["--folds.protocol", "file", "--folds.file", tmp_path / "folds.csv", "--folds.select", "last"]
    done = tfen("crossval", tiny_set, tmp_path / "run", *SMALL, *given)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "run/predictions.csv").open()))
    assert {row["subject"] for row in rows} == {"p3"}
    assert json.loads((tmp_path / "run/summary.json").read_text())["protocol"] == "file"
    refuses("crossval", tiny_set, tmp_path / "other", *SMALL, *given, "--folds.only", 1, says="expected 0 to 0")


def test_dfew_figures_are_averages_over_subsets() -> None:
    """Two subsets of two folds: 3 of 4 and 1 of 2 right."""
    said = [
        Prediction(fold, f"{k}", f"{k}", "anger", guess, (1.0, 0.0))
        for k, (fold, guess) in enumerate(
            [(0, "anger"), (0, "fear"), (1, "anger"), (1, "anger"), (2, "anger"), (3, "fear")]
        )
    ]
    figures = over_subsets(said, ("anger", "fear"), count=2)
    assert figures["subsets"] == 2
    assert figures["subset_accuracy_mean"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert figures["subset_std"] == pytest.approx(np.std([3 / 4, 1 / 2], ddof=1))


def test_dfew_uar_is_the_average_of_the_subsets_recalls() -> None:
    """Two subsets: of anger 2 of 3 and of fear 0 of 1; of anger 1 of 1 and of fear 1 of 2."""
    given = [(0, "anger", "anger"), (0, "anger", "anger"), (1, "anger", "fear"), (1, "fear", "anger"),
             (2, "anger", "anger"), (2, "fear", "fear"), (3, "fear", "anger")]  # fmt: skip
    said = [Prediction(fold, f"{k}", f"{k}", true, guess, (1.0, 0.0)) for k, (fold, true, guess) in enumerate(given)]
    figures = over_subsets(said, ("anger", "fear"), count=2)
    assert figures["subset_uar_mean"] == pytest.approx(np.mean([(2 / 3 + 0) / 2, (1 + 1 / 2) / 2]))
    assert figures["subset_accuracy_mean"] == pytest.approx(np.mean([2 / 4, 2 / 3]))
