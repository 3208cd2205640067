"""What holds for every input: sampling, folds, metrics, file formats, settings, episodes, checkpoints."""

import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from tfen.config import FoldSettings, Settings, make_settings, plain, settings_from
from tfen.data.folds import make_folds, write_folds
from tfen.data.prepared import PreparedSet, SequenceRecord, natural, open_set, write_set
from tfen.data.sampling import middle_frames, random_frames
from tfen.data.transforms import normalised
from tfen.errors import InputError
from tfen.evaluation.calibration import reliability, tempered
from tfen.evaluation.metrics import Prediction, confusions, summary
from tfen.evaluation.runs import read_predictions, write_predictions
from tfen.inference.analyzer import Result
from tfen.inference.episodes import EpisodeFinder
from tfen.labels import EXPRESSIONS
from tfen.models.weights import load
from tfen.presets import PRESETS
from tfen.training.checkpoints import Checkpointer

rules.register_profile("same", derandomize=True, deadline=None, max_examples=60, database=None)
rules.load_profile("same")

Draw = Callable[[st.SearchStrategy[Any]], Any]
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
"""Any writing, quotes and commas too."""
names = st.text(st.characters(categories=["L", "Nd"], include_characters="-_."), min_size=1, max_size=12).filter(
    lambda name: not name.startswith(".")
)
"""What may name a folder."""


def folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


@given(st.integers(1, 400), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_clip_takes_one_frame_of_each_segment(count: int, frames: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for numbers in (middle_frames(count, frames), random_frames(count, frames, rng)):
        assert numbers.shape == (frames,)
        assert (np.diff(numbers) >= 0).all()
        starts, ends = np.arange(frames) * count / frames, (np.arange(frames) + 1) * count / frames
        assert (numbers >= np.floor(starts)).all()
        assert (numbers < np.ceil(ends)).all()
        assert numbers[-1] < count


@st.composite
def sets(draw: Draw) -> PreparedSet:
    subjects = draw(st.lists(names, min_size=2, max_size=14, unique=True))
    sequences = []
    for subject in subjects:
        for k in range(draw(st.integers(1, 4))):
            expression = draw(st.sampled_from(EXPRESSIONS))
            sequences.append(SequenceRecord(f"{subject}-{k}", subject, expression, draw(st.integers(1, 9))))
    assume(len({one.name for one in sequences}) == len(sequences))
    return PreparedSet(Path("nowhere"), tuple(sequences), {})


@given(sets(), st.integers(2, 12), st.sampled_from(["subjects", "leave-one-subject-out", "sequences"]), st.booleans())
def test_every_sequence_is_tested_once_and_nobody_is_in_two_parts(
    found: PreparedSet, count: int, protocol: str, validation: bool
) -> None:
    how = FoldSettings(protocol=protocol, count=count, select="validation" if validation else "last")  # type: ignore[arg-type]
    try:
        folds = make_folds(found, how, 0)
    except InputError as error:
        assert "fold" in str(error) or "subject" in str(error)
        return
    assert Counter(one.name for fold in folds for one in fold.test) == Counter(one.name for one in found.sequences)
    for fold in folds:
        parts = [{one.name for one in part} for part in (fold.train, fold.validation, fold.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(found.sequences)
        people = [{one.subject for one in part} for part in (fold.train, fold.validation, fold.test)]
        assert not people[0] & people[1]
        if protocol != "sequences":
            assert not people[2] & (people[0] | people[1])
    if protocol != "sequences":
        ids = [sorted({one.subject for one in fold.test}, key=natural) for fold in folds]
        assert [subject for group in ids for subject in group] == sorted(found.subjects, key=natural)
        assert max(map(len, ids)) - min(map(len, ids)) <= 1


@given(sets(), st.integers(2, 5))
def test_folds_come_back_from_a_file_as_they_were(found: PreparedSet, count: int) -> None:
    assume(len(found.subjects) >= count)
    with folder() as place:
        write_set(Path(place), list(found.sequences), {"set": "any"})
        found = open_set(Path(place))
        folds = make_folds(found, FoldSettings(count=count, select="last"), 0)
        path = Path(place) / "folds.csv"
        write_folds(path, folds)
        again = make_folds(found, FoldSettings(protocol="file", file=str(path), select="last"), 0)
    for one, other in zip(folds, again, strict=True):
        assert {sequence.name for sequence in one.test} == {sequence.name for sequence in other.test}
        assert {sequence.name for sequence in one.train} == {sequence.name for sequence in other.train}


@given(sets())
def test_a_set_comes_back_from_its_table_as_it_was(found: PreparedSet) -> None:
    with folder() as place:
        write_set(Path(place), list(found.sequences), {"set": "any"})
        again = open_set(Path(place))
    assert sorted(again.sequences, key=lambda one: one.name) == sorted(found.sequences, key=lambda one: one.name)


@st.composite
def predictions(draw: Draw) -> tuple[list[Prediction], tuple[str, ...]]:
    expressions = tuple(draw(st.lists(st.sampled_from(EXPRESSIONS), min_size=2, max_size=8, unique=True)))
    said = []
    for k in range(draw(st.integers(1, 25))):
        weights = np.array(draw(st.lists(st.floats(0.01, 1), min_size=len(expressions), max_size=len(expressions))))
        values = tuple(float(value) for value in weights / weights.sum())
        predicted = expressions[int(np.argmax(values))]
        true, fold = draw(st.sampled_from(expressions)), draw(st.integers(0, 3))
        said.append(Prediction(fold, f"{draw(texts)}{k}", draw(texts), true, predicted, values))
    return said, expressions


@given(predictions())
def test_metrics_are_what_counting_gives(given_: tuple[list[Prediction], tuple[str, ...]]) -> None:
    said, expressions = given_
    figures = summary(said, expressions)
    right = sum(one.true == one.predicted for one in said)
    assert figures["accuracy"] == pytest.approx(right / len(said))
    recalls = []
    for name in expressions:
        own = [one for one in said if one.true == name]
        hits = sum(one.predicted == name for one in own)
        if own:
            recalls.append(hits / len(own))
            assert figures["recall"][name] == pytest.approx(hits / len(own))
        else:
            assert figures["recall"][name] is None
    assert figures["uar"] == pytest.approx(sum(recalls) / len(recalls))
    counts = confusions(said, expressions)
    assert counts.sum() == len(said)
    assert np.trace(counts) == right
    assert sum(figures["per_fold"]) / len(figures["per_fold"]) == pytest.approx(figures["fold_accuracy_mean"])
    assert 0 <= reliability(said, expressions).ece <= 1


@given(predictions())
def test_predictions_come_back_from_their_table_as_they_were(
    given_: tuple[list[Prediction], tuple[str, ...]],
) -> None:
    said, expressions = given_
    with folder() as place:
        path = Path(place) / "predictions.csv"
        write_predictions(path, said, expressions)
        assert read_predictions(path, expressions) == said


@given(st.lists(st.lists(st.floats(0.001, 1), min_size=4, max_size=4), min_size=1, max_size=8), st.floats(0.05, 20))
def test_a_temperature_keeps_probabilities_and_their_order(rows: list[list[float]], temperature: float) -> None:
    given_ = np.array(rows) / np.array(rows).sum(1, keepdims=True)
    out = tempered(given_, temperature)
    np.testing.assert_allclose(out.sum(1), 1, atol=1e-6)
    best = out[np.arange(len(out)), given_.argmax(1)]
    np.testing.assert_allclose(best, out.max(1), atol=1e-9)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=20), texts)
def test_ids_ascend_by_their_numbers(numbers: list[int], word: str) -> None:
    word = word.rstrip("0123456789")
    ids = [f"{word}{number}" for number in numbers]
    assert sorted(ids, key=natural) == [f"{word}{number}" for number in sorted(numbers)]


odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)


@given(st.sampled_from(sorted(PRESETS)), st.data())
def test_settings_come_back_as_they_were_and_wrong_ones_are_named(preset: str, data: st.DataObject) -> None:
    settings = make_settings(preset)
    values = plain(settings)
    assert settings_from(json.loads(json.dumps(values))) == settings
    part = data.draw(st.sampled_from(sorted(values)))
    name = data.draw(st.sampled_from(sorted(values[part])))
    value = data.draw(odd)
    try:
        changed = make_settings(preset, {part: {name: value}})
    except InputError as error:
        assert name.replace("_", "-") in str(error) or name in str(error)
    else:
        assert isinstance(changed, Settings)
        kept = plain(changed)[part][name]
        assert kept == value or kept == list(value)


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.floats(0.01, 1), min_size=3, max_size=3)), max_size=60))
def test_episodes_of_a_face_follow_each_other(steps: list[tuple[int, list[float]]]) -> None:
    finder, found, last = EpisodeFinder(), [], {0: -1.0, 1: -1.0, 2: -1.0}
    for k, (face, levels) in enumerate(steps):
        total = sum(levels)
        said = dict(zip(("neutral", "anger", "happiness"), (level / total for level in levels)))
        label = max(said, key=said.__getitem__)
        result = Result(
            time=0.2 * k, frame=k, face=face, box=(0, 0, 9, 9), score=1.0, size=9.0, sharpness=1.0, yaw=0.0, pitch=0.0,
            roll=0.0, window=(0.2 * k, 0.2 * k + 1), label=label, confidence=said[label], probabilities=said,
        )  # fmt: skip
        found += finder.add(result)
    found += finder.finish()
    for one in found:
        assert one.onset <= one.apex <= one.offset
        assert one.onset < one.offset
        assert 1 / 3 <= one.peak <= 1
        assert one.expression != "neutral"
    for one in sorted(found, key=lambda one: one.onset):
        assert one.onset > last[one.face]
        last[one.face] = one.offset


@given(st.integers(0, 2**32 - 1), st.sampled_from(["imagenet", "clip", "frame", "local"]), st.sampled_from([0, 1, 255]))
def test_normalised_pictures_are_finite_whatever_they_show(seed: int, how: str, most: int) -> None:
    rng = np.random.default_rng(seed)
    clips = torch.from_numpy(rng.integers(0, most + 1, (1, 2, 3, 20, 20)).astype(np.float32) / 255)
    out = normalised(clips, how)
    assert out.shape == clips.shape
    assert torch.isfinite(out).all()
    assert out.abs().max() < 40


@given(st.recursive(odd, lambda inner: st.dictionaries(st.sampled_from(["settings", "expressions", "faces", "model", "about", "x"]), inner)))  # fmt: skip
def test_a_configuration_of_anything_loads_or_is_refused_in_a_sentence(values: Any) -> None:
    with folder() as place:
        (Path(place) / "config.json").write_text(json.dumps(values))
        (Path(place) / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
        with pytest.raises(InputError) as error:
            load(place)
    assert place in str(error.value)


kinds = st.sampled_from([torch.float32, torch.float16, torch.int64, torch.uint8, torch.bool])


@given(st.dictionaries(names, st.tuples(kinds, st.lists(st.integers(0, 4), max_size=3)), max_size=6), st.data())
def test_checkpoints_give_back_every_bit(shapes: dict[str, tuple[torch.dtype, list[int]]], data: st.DataObject) -> None:
    torch.manual_seed(0)
    kept = {name: (torch.randn(shape) * 5).to(kind) for name, (kind, shape) in shapes.items()}
    about = {"step": data.draw(st.integers(0, 10**12)), "best": data.draw(st.floats(allow_nan=False))}
    with folder() as place:
        checkpointer = Checkpointer(Path(place) / "kept")
        checkpointer.save("game", {"tensors": kept}, about)
        there: dict[str, torch.Tensor] = {"stale": torch.zeros(1)}
        assert checkpointer.restore("game", {"tensors": there}) == about
        checkpointer.clear()
        assert not (Path(place) / "kept").exists()
    assert there.keys() == kept.keys()
    for name, value in kept.items():
        assert there[name].dtype == value.dtype
        assert there[name].shape == value.shape
        assert torch.equal(there[name], value)
    assert math.isfinite(about["step"])
