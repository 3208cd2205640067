"""Who is tested when, and which epoch of a training counts, by name; nothing heavy is imported until a set is divided."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tfen.choices import Choices

if TYPE_CHECKING:
    from tfen.config import FoldSettings
    from tfen.data.folds import Fold, Split
    from tfen.data.prepared import PreparedSet, SequenceRecord

DFEW_SUBSETS = 12


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way to divide a set.

    Args:
        text: a line for the help.
        split: training and test sequences of each fold, of a set, the settings and the seed.
        subsets: how many subsets the folds belong to, `count` folds each; accuracies are averaged over the subsets. 0:
            the folds belong together.
    """

    text: str
    split: "Callable[[PreparedSet, FoldSettings, int], list[Split]]"
    subsets: int = 0


def _subjects(dataset: "PreparedSet", settings: "FoldSettings", seed: int) -> "list[Split]":
    from tfen.data.folds import by_subject

    return by_subject(dataset, settings.count)


def _each_subject(dataset: "PreparedSet", settings: "FoldSettings", seed: int) -> "list[Split]":
    from tfen.data.folds import by_subject

    return by_subject(dataset, len(dataset.groups))


def _each_set(dataset: "PreparedSet", settings: "FoldSettings", seed: int) -> "list[Split]":
    from tfen.data.folds import by_set

    return by_set(dataset)


def _sequences(dataset: "PreparedSet", settings: "FoldSettings", seed: int) -> "list[Split]":
    from tfen.data.folds import by_sequence

    return by_sequence(dataset, settings.count)


def _subsets(dataset: "PreparedSet", settings: "FoldSettings", seed: int) -> "list[Split]":
    from tfen.data.folds import stratified_subsets

    return stratified_subsets(dataset, DFEW_SUBSETS, settings.count, seed)


def _file(dataset: "PreparedSet", settings: "FoldSettings", seed: int) -> "list[Split]":
    from tfen.data.folds import OFFICIAL, from_file

    return from_file(dataset, Path(settings.file) if settings.file else dataset.folder / OFFICIAL)


PROTOCOLS = Choices(
    "protocol",
    {
        "subjects": Protocol(text="nobody in training and test at once, ids ascending", split=_subjects),
        "leave-one-subject-out": Protocol(text="each subject is tested once, twins together", split=_each_subject),
        "leave-one-set-out": Protocol(text="of a joined set, each of its sets is tested once", split=_each_set),
        "sequences": Protocol(
            text="ids of sequences ascending, not subject-independent (a reading of the paper's words for MMI)",
            split=_sequences,
        ),
        "dfew-12x10": Protocol(
            text="twelve stratified subsets of `count` folds each", split=_subsets, subsets=DFEW_SUBSETS
        ),
        "file": Protocol(text="folds from a file, or the set's own official ones", split=_file),
    },
)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """How the epoch that counts is chosen.

    Args:
        text: in words, for help and reports.
        measured_on: the part of a `Fold` on which every epoch is measured, and the best one counts; None: the last one.
    """

    text: str
    measured_on: Literal["validation", "test"] | None

    @property
    def optimistic(self) -> bool:
        """Whether the figures are better than they would be on new people: the tested ones chose the epoch."""
        return self.measured_on == "test"

    def choosing(self, fold: "Fold") -> "list[SequenceRecord]":
        """Return the sequences of a fold that choose the epoch; none if it is the last."""
        return [] if self.measured_on is None else list(getattr(fold, self.measured_on))


SELECTIONS = Choices(
    "selection of the epoch",
    {
        "last": Selection(text="the last epoch", measured_on=None),
        "validation": Selection(
            text="the best epoch on an inner validation split of the training subjects", measured_on="validation"
        ),
        "best-on-test": Selection(
            text="the best epoch ON THE TEST SUBJECTS: optimistic, not comparable with honest protocols",
            measured_on="test",
        ),
    },
)
