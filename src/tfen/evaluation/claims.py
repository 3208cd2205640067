"""What may be said about a result: worked out from who trained and who was tested, never from what was asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfen.config import Settings
from tfen.data.folds import Fold, subjects_of
from tfen.data.prepared import PreparedSet
from tfen.data.protocols import SELECTIONS
from tfen.data.sources import READERS


@dataclass(frozen=True)
class Claims:
    """What may be said about a run.

    `people` says in words who was tested ("24 unseen subjects"); `leaks` are sentences about training that saw what was
    tested; `marks` say what keeps the result from standing beside published ones ("1 of 10 folds", "synthetic people").
    """

    people: str
    leaks: tuple[str, ...]
    marks: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        return {"people": self.people, "leaks": list(self.leaks), "marks": list(self.marks)}


def facts(dataset: PreparedSet, folds: int) -> dict[str, Any]:
    """Return what a summary keeps about the set that was run on, with the number of folds that the protocol makes."""
    return {
        "sequences": len(dataset.sequences),
        "subjects": len(dataset.subjects),
        "synthetic": dataset.synthetic,
        "subjects_named": dataset.subjects_named,
        "folds": folds,
    }


def claims(
    folds: Iterable[Mapping[str, Any]], settings: Settings, kept: Mapping[str, Any], tested: int, set_name: str
) -> Claims:
    """Work out what may be said.

    Args:
        folds: what each finished fold's `fold.json` holds.
        kept: `facts` of the set; empty for runs of earlier versions.
        tested: number of sequences that were tested.
        set_name: what the set calls itself.
    """
    folds = list(folds)
    subjects = {subject for fold in folds for subject in fold["test_subjects"]}
    leaks = [*_shared(folds), *_twins(folds), *_pretraining(folds, settings)]
    marks = []
    planned = kept.get("folds", len(folds))
    if len(folds) < planned:
        marks.append(f"{len(folds)} of {planned} folds")
    if kept.get("synthetic"):
        marks.append("synthetic people")
    marks += _counts(kept, tested, set_name)
    if SELECTIONS[settings.folds.select].optimistic:
        marks.append("epoch chosen on the test subjects")
    if leaks:
        marks.append("not subject-independent")
    return Claims(_people(len(subjects), bool(leaks), kept.get("subjects_named", True)), tuple(leaks), tuple(marks))


def leaks_of(folds: Iterable[Fold]) -> list[str]:
    """Return a sentence for each fold whose test subjects, or their twins, are in training, too."""
    known: list[Mapping[str, Any]] = [
        {
            "fold": fold.number,
            "train_subjects": subjects_of(fold.train),
            "validation_subjects": subjects_of(fold.validation),
            "test_subjects": subjects_of(fold.test),
            "twins_apart": fold.twins_apart(),
        }
        for fold in folds
    ]
    return [*_shared(known), *_twins(known)]


def _shared(folds: list[Mapping[str, Any]]) -> list[str]:
    out = []
    for fold in folds:
        training = {*fold["train_subjects"], *fold.get("validation_subjects", ())}
        both = sorted(training & set(fold["test_subjects"]))
        if both:
            shown = ", ".join(both[:3]) + (" ..." if len(both) > 3 else "")
            out.append(f"fold {fold['fold']}: {len(both)} of its test subjects were in training, too ({shown})")
    return out


def _twins(folds: list[Mapping[str, Any]]) -> list[str]:
    """Tell whose twins, who perform the same takes, were trained on."""
    return [
        f"fold {fold['fold']}: {len(apart)} of its test subjects have a twin in training, who performs the same takes"
        for fold in folds
        if (apart := fold.get("twins_apart", ()))
    ]


def _pretraining(folds: list[Mapping[str, Any]], settings: Settings) -> list[str]:
    """Tell whether F and A were pretrained on the faces of the tested, too."""
    if settings.face.subjects == "all" and settings.pretrains_faces and folds:
        return ["the face pretraining saw frames of the test subjects (face.subjects all)"]
    return []


def _counts(kept: Mapping[str, Any], tested: int, set_name: str) -> list[str]:
    published = READERS[set_name].published if set_name in READERS else None
    if published is None:
        return [f"{tested} of {kept['sequences']} sequences"] if tested < kept.get("sequences", tested) else []
    return [f"{tested:,} of {published.sequences:,} sequences"] if tested != published.sequences else []


def _people(count: int, leak: bool, named: bool) -> str:
    if not named:
        return f"{count} clips whose people are not named"
    return f"{count} subjects, some of whom were in training" if leak else f"{count} unseen subjects"
