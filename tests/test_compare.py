import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import SMALL, refuses, tfen, write_tiny_set
from scipy import stats

from tfen.config import make_settings, plain
from tfen.evaluation.comparison import write_comparison
from tfen.evaluation.metrics import Prediction
from tfen.evaluation.runs import write_predictions
from tfen.evaluation.statistics import corrected_t_test, mcnemar, subject_bootstrap

RUN = [*SMALL, "--folds.count", "2", "--folds.select", "last"]


def answers(right: str, name: str = "s") -> list[Prediction]:
    """One prediction for each letter: r is right, w is wrong; two sequences a subject."""
    said = {"r": "anger", "w": "fear"}
    return [
        Prediction(0, f"{name}{k}", f"{name}{k // 2}", "anger", said[letter], (1.0, 0.0))
        for k, letter in enumerate(right)
    ]


def test_mcnemar_counts_the_sequences_that_one_alone_got_right() -> None:
    result = mcnemar(answers("rrrrrwwr"), answers("rwwwwrwr"))
    assert (result.only_first, result.only_second) == (4, 1)
    assert result.p == pytest.approx(2 * (5 + 1) / 2**5)  # of five, four or more on one side, either side
    assert mcnemar(answers("rw"), answers("rw")).p == 1.0


def test_mcnemar_refuses_different_sequences() -> None:
    with pytest.raises(ValueError, match="different sequences"):
        mcnemar(answers("rr"), answers("rr", name="other"))


def test_the_t_test_without_shared_subjects_is_the_ordinary_paired_one() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(10), rng.random(10)
    result, expected = corrected_t_test(first, second, 0.0), stats.ttest_rel(first, second)
    assert result.p == pytest.approx(expected.pvalue)
    assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_the_correction_for_shared_subjects_widens_the_interval_as_nadeau_and_bengio_say() -> None:
    first, second = np.array([0.9, 0.8, 0.85, 0.95]), np.array([0.8, 0.8, 0.8, 0.8])
    result = corrected_t_test(first, second, 1 / 3)
    d = first - second
    t = d.mean() / np.sqrt((1 / 4 + 1 / 3) * d.var(ddof=1))
    assert result.difference == pytest.approx(d.mean())
    assert result.p == pytest.approx(2 * (1 - stats.t.cdf(t, 3)))


def test_the_interval_draws_subjects_not_sequences() -> None:
    """Two sequences of a subject that are always alike tell no more than one."""
    rng = np.random.default_rng(1)
    alike = "".join(letter * 2 for letter in rng.choice(["r", "w"], 100))
    low, high = subject_bootstrap(answers(alike))
    share = alike.count("r") / 200
    half = 1.96 * np.sqrt(share * (1 - share) / 100)
    assert (low, high) == pytest.approx((share - half, share + half), abs=0.02)


@pytest.mark.parametrize("count", [40, 200])
def test_the_interval_is_of_95_percent(count: int) -> None:
    """Of subjects with one sequence each, half of them right, the drawn ones that are right are binomial."""
    alone = [Prediction(0, f"q{k}", f"s{k}", "anger", ("anger", "fear")[k % 2], (1.0, 0.0)) for k in range(count)]
    expected = stats.binom.ppf([0.025, 0.975], count, 0.5) / count
    assert subject_bootstrap(alone) == pytest.approx(tuple(expected), abs=0.6 / count)


def test_the_interval_is_of_the_share_of_sequences_not_of_the_mean_over_subjects() -> None:
    """One subject has 100 sequences, all right; nine have one each, wrong. Drawn k times of 10, it gives 100 k of
    100 k + 10 - k; k is binomial, at most 3 in 97.5 % of the draws and 0 in a third."""
    many = [Prediction(0, f"q{k}", "s0", "anger", "anger", (1.0, 0.0)) for k in range(100)]
    few = [Prediction(0, f"r{k}", f"s{k}", "anger", "fear", (1.0, 0.0)) for k in range(1, 10)]
    assert stats.binom.cdf([2, 3], 10, 0.1) == pytest.approx([0.930, 0.987], abs=0.001)
    assert subject_bootstrap([*many, *few]) == pytest.approx((0.0, 300 / 307))


def lay_run(folder: Path, variant: str, folds: list[str]) -> None:
    """A finished run as `tfen crossval` leaves it, without a training: for each fold, who was right (see `answers`)."""
    settings = make_settings(changes={"model": {"variant": variant, "width": 8, "image_size": 32, "frames": 2}})
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"settings": plain(settings), "set_folder": "gone"}))
    summary = {
        "set": "ckplus",
        "variant": variant,
        "select": "last",
        "protocol": "subjects",
        "epoch_chosen_by": "the last epoch",
        "expressions": ["anger", "fear"],
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    said = [
        Prediction(number, f"f{number}-{one.sequence}", f"f{number}-{one.subject}", one.true, one.predicted, (1.0, 0.0))
        for number, right in enumerate(folds)
        for one in answers(right)
    ]
    write_predictions(folder / "predictions.csv", said, ("anger", "fear"))
    for number in range(len(folds)):
        place = folder / f"fold-{number:02d}"
        place.mkdir()
        about = {
            "fold": number,
            "accuracy": folds[number].count("r") / len(folds[number]),
            "epoch": 1,
            "train_subjects": sorted({one.subject for one in said if one.fold != number}),
            "test_subjects": sorted({one.subject for one in said if one.fold == number}),
            "train_sequences": [one.sequence for one in said if one.fold != number],
            "temperature": None,
            "face_accuracy": None,
        }
        (place / "fold.json").write_text(json.dumps(about))


def test_a_comparison_says_whose_each_figure_is(tmp_path: Path) -> None:
    """Every figure of a table of two networks on three folds of 4, 4 and 8 sequences, by hand."""
    lay_run(tmp_path / "tfen", "tfen", ["rrrr", "rrrw", "rrrrrrwr"])
    lay_run(tmp_path / "without-3d", "without-3d", ["rrww", "rwwr", "rrrrrrrw"])
    first, second = write_comparison(tmp_path, ("tfen", "without-3d"), (0,))
    assert (first["accuracy"], second["accuracy"]) == (87.5, 68.75)  # 14 and 11 of 16
    assert (first["difference"], first["only_reference_right"]) == ("", "")
    assert (second["only_reference_right"], second["only_this_right"]) == (5, 2)
    assert second["mcnemar_p"] == pytest.approx(2 * (21 + 7 + 1) / 2**7, rel=1e-2)  # of seven, five or more on one side
    d = np.array([0.5 - 1, 0.5 - 0.75, 7 / 8 - 7 / 8])
    assert second["difference"] == pytest.approx(100 * d.mean())
    share = np.mean([4 / 12, 4 / 12, 8 / 8])  # tested over training sequences
    error = np.sqrt((1 / 3 + share) * d.var(ddof=1))
    assert second["t_test_p"] == pytest.approx(2 * stats.t.cdf(d.mean() / error, 2), rel=1e-2)
    reach = stats.t.ppf(0.975, 2) * error
    assert second["difference_low"] == pytest.approx(100 * (d.mean() - reach), abs=0.01)
    assert second["difference_high"] == pytest.approx(100 * (d.mean() + reach), abs=0.01)
    assert (first["fold_mean"], second["fold_mean"]) == (87.5, 62.5)
    assert second["fold_std"] == pytest.approx(100 * np.std([0.5, 0.5, 0.875], ddof=1), abs=0.01)
    assert (first["published"], second["published"]) == (98.78, 89.60)
    kept = list(csv.DictReader((tmp_path / "comparison/comparison.csv").open()))[1]
    assert (kept["only_reference_right"], kept["only_this_right"]) == ("5", "2")


def test_compare_runs_all_variants_on_the_same_folds_and_tests_them(tiny_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "comparison"
    names = ("tfen", "without-facial-decoupling", "r3d18+ec-stfl")
    done = tfen("compare", tiny_set, out, *RUN, "--variants", *names)
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip().splitlines()[-1])
    assert page == out / "comparison/index.html"
    text = page.read_text()
    assert all(name in text for name in names)
    rows = list(csv.DictReader((page.parent / "comparison.csv").open()))
    assert [row["variant"] for row in rows] == list(names)
    for row in rows:
        figures = json.loads((out / row["variant"] / "summary.json").read_text())
        assert float(row["accuracy"]) == pytest.approx(100 * figures["accuracy"], abs=0.005)
        assert float(row["uar"]) == pytest.approx(100 * figures["uar"], abs=0.005)
    folds = [
        [
            fold["test_subjects"]
            for fold in map(json.loads, (p.read_text() for p in sorted((out / name).glob("fold-*/fold.json"))))
        ]
        for name in names
    ]
    assert folds[0] == folds[1] == folds[2]
    assert (page.parent / "comparison.tex").read_text().count(r"\\") == 4
    again = tfen("compare", tiny_set, out, *RUN, "--variants", *names)
    assert again.stderr.count("done before") == 6


def test_repeats_run_other_seeds(tiny_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "comparison"
    done = tfen("compare", tiny_set, out, *RUN, "--variants", "without-facial-decoupling", "--repeats", 2, "--seed", 3)
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "comparison/comparison.json").read_text())
    assert found["seeds"] == [3, 4]
    means = [
        json.loads((out / name / "summary.json").read_text())["accuracy"]
        for name in ("without-facial-decoupling", "without-facial-decoupling-seed-4")
    ]
    assert found["rows"][0]["accuracy"] == pytest.approx(100 * np.mean(means), abs=0.005)


def test_unknown_variants_are_refused(tiny_set: Path, tmp_path: Path) -> None:
    refuses(
        "compare", tiny_set, tmp_path / "out", "--variants", "tfen", "without-everything", says="without-everything"
    )
    assert not (tmp_path / "out").exists()


def test_a_sweep_changes_one_setting_and_nothing_else(tiny_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    done = tfen("sweep", tiny_set, out, *RUN, "--over", "train.adversary-interval", "--values", 2, 3)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((out / "sweep/sweep.csv").open()))
    assert [row["train.adversary-interval"] for row in rows] == ["2", "3"]
    settings = [
        yaml.safe_load((out / f"adversary-interval-{value}/config.yaml").read_text())["settings"] for value in (2, 3)
    ]
    assert settings[0]["train"].pop("adversary_interval") == 2
    assert settings[1]["train"].pop("adversary_interval") == 3
    assert settings[0] == settings[1]
    refuses("sweep", tiny_set, tmp_path / "no", *RUN, "--over", "train.beta", "--values", 1, says="no setting")


def test_evaluate_matches_labels_by_name_and_leaves_the_others_out_of_the_choice(
    tiny_set: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    assert tfen("train", tiny_set, weights, *SMALL, "--folds.select", "last").returncode == 0
    other = write_tiny_set(tmp_path / "other", 3, ("happiness", "neutral", "surprise"))
    subjects = sorted({row["subject"] for row in csv.DictReader((other / "sequences.csv").open())})
    sexes = ("female", "male", "male")
    (other / "subjects.csv").write_text("\n".join(["subject,sex", *map(",".join, zip(subjects, sexes))]) + "\n")
    done = tfen("evaluate", weights, other, "--out", tmp_path / "judged")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "judged/summary.json").read_text())
    assert figures["expressions"] == ["happiness", "surprise"]
    assert figures["left_out_of_the_choice"] == ["anger"]
    assert figures["sequences_left_out"] == 3
    rows = list(csv.DictReader((tmp_path / "judged/predictions.csv").open()))
    assert len(rows) == 6
    assert all(float(row["happiness"]) + float(row["surprise"]) == pytest.approx(1, abs=1e-5) for row in rows)
    right = {row["subject"]: [] for row in rows}
    for row in rows:
        right[row["subject"]].append(row["true"] == row["predicted"])
    groups = list(csv.DictReader((tmp_path / "judged/subgroups.csv").open()))
    assert [(row["value"], row["subjects"], row["sequences"]) for row in groups] == [
        ("female", "1", "2"),
        ("male", "2", "4"),
    ]
    assert float(groups[0]["accuracy"]) == np.mean(right[subjects[0]])
    assert float(groups[1]["accuracy"]) == np.mean(right[subjects[1]] + right[subjects[2]])
    stranger = write_tiny_set(tmp_path / "stranger", 3, ("neutral", "anger"))
    refuses("evaluate", weights, stranger, "--out", tmp_path / "none", says="fewer than two")
    assert not (tmp_path / "none").exists()
