"""Trained weights tested on another set, with labels matched by name."""

from pathlib import Path
from typing import Any

from tfen.config import TestTimeAugmentation
from tfen.data.clips import FrameStore
from tfen.data.prepared import PreparedSet, SequenceRecord, open_set
from tfen.data.sampling import middle_frames
from tfen.errors import InputError
from tfen.evaluation.calibration import reliability
from tfen.evaluation.metrics import Prediction, confusions, summary
from tfen.evaluation.runs import write_predictions
from tfen.evaluation.subgroups import known_groups, subgroups, write_subgroups
from tfen.files import must_be_new, whole_folder, write_json
from tfen.inference.engine import Engine
from tfen.inference.prediction import predict_sequences, prediction
from tfen.models.weights import Loaded, load
from tfen.progress import meter

AT_ONCE = 48
"""Sequences that are evaluated between two steps of the progress display."""


def evaluate(
    weights: str | Path,
    dataset: PreparedSet | Path | str,
    out: Path | str,
    test_time_augmentation: TestTimeAugmentation = 1,
) -> dict[str, Any]:
    """Test trained weights on a whole set, its labels matched by name, and return the summary that is written to `out`.

    Expressions that only the weights know are left out of the choice; sequences of expressions that the weights do not
    know are left out and counted. Where the set knows its subjects' sex, age or ancestry, their accuracies are written,
    too.

    Args:
        weights: what `tfen.load` takes.
        dataset: a prepared set, or its folder.
        out: folder of the results.
        test_time_augmentation: how often each sequence is looked at; see `Engine`.

    Raises:
        InputError: the two have fewer than two expressions in common, or `out` exists.
    """
    out = Path(out)
    must_be_new(out)
    dataset = dataset if isinstance(dataset, PreparedSet) else open_set(Path(dataset))
    loaded = load(weights)
    shared = tuple(name for name in loaded.expressions if name in dataset.expressions)
    if len(shared) < 2:
        raise InputError(
            f"{weights} knows {', '.join(loaded.expressions)} and {dataset.folder} has {', '.join(dataset.expressions)}: "
            "fewer than two in common, nothing to choose between"
        )
    kept = dataset.without(tuple(name for name in dataset.expressions if name not in shared))
    known = known_groups(kept, kept.sequences)
    predictions = _predictions(
        loaded, kept, [loaded.expressions.index(name) for name in shared], test_time_augmentation
    )
    figures = {
        **summary(predictions, shared),
        "leaks": _leaks(loaded, kept),
        "expressions": list(shared),
        "left_out_of_the_choice": [name for name in loaded.expressions if name not in shared],
        "sequences_left_out": len(dataset.sequences) - len(kept.sequences),
        "variant": loaded.settings.model.variant,
        "weights": str(weights),
        "test_time_augmentation": test_time_augmentation,
        "trained_on": loaded.about.get("set"),
        "set": dataset.name,
        "epoch_chosen_by": "none: trained before",
        "ece": reliability(predictions, shared).ece,
        "confusion": confusions(predictions, shared).tolist(),
    }
    with whole_folder(out) as part:
        write_predictions(part / "predictions.csv", predictions, shared)
        write_subgroups(part / "subgroups.csv", subgroups(known, predictions))
        write_json(part / "summary.json", figures)
    return figures


def _leaks(loaded: Loaded, dataset: PreparedSet) -> list[str]:
    """Say who of a set's people trained the weights, as far as the weights say from whom they learned."""
    trained_on = loaded.about.get("trained_on")
    if trained_on is None:
        return [
            "the weights do not say from whom they learned; whether some of these people were among them is not known"
        ]
    people = {dataset.person(subject) for subject in dataset.subjects}
    out = []
    for known, words in (
        (trained_on, "trained the weights"),
        (loaded.about.get("chosen_by") or [], "chose their epoch"),
    ):
        both = people & set(known)
        if both:
            out.append(f"{len(both)} of the {len(people)} subjects {words}: on new people expect less")
    return out


def _predictions(
    loaded: Loaded, dataset: PreparedSet, among: list[int], views: TestTimeAugmentation
) -> list[Prediction]:
    """Return what weights say about the sequences of a set, choosing among some of their expressions."""
    settings = loaded.settings
    store = FrameStore(dataset, settings.model.image_size, settings.data)
    engine = None if views == 1 else Engine(loaded, views)
    predictions: list[Prediction] = []
    with meter("evaluating", len(dataset.sequences), "sequences") as progress:
        for first in range(0, len(dataset.sequences), AT_ONCE):
            some = list(dataset.sequences[first : first + AT_ONCE])
            if engine is None:
                predictions += predict_sequences(loaded.network, store, some, settings, among=among)
            else:
                predictions += _looked(engine, store, some, among)
            progress.advance(len(some))
    return predictions


def _looked(engine: Engine, store: FrameStore, sequences: list[SequenceRecord], among: list[int]) -> list[Prediction]:
    """Return what an engine says about some sequences of a set, with its views and its temperature."""
    out = []
    for sequence in sequences:
        frames = store.frames(sequence, middle_frames(sequence.frames, engine.frames))
        likely = engine.scores([engine.encode(list(frames))])[0, among]
        out.append(prediction(sequence, likely / likely.sum(), store.dataset.expressions))
    return out
