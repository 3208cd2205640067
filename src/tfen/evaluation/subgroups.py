"""Accuracy by subgroup, where a set knows its subjects: sex, age, ancestry, glasses, beard; and pose of sequences."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfen.data.prepared import PreparedSet, SequenceRecord
from tfen.evaluation.metrics import Prediction
from tfen.evaluation.statistics import subject_bootstrap
from tfen.files import read_csv, write_csv

ATTRIBUTES = ("sex", "age", "ancestry", "glasses", "beard")
"""Columns of `subjects.csv` that are looked at, where they are there."""
TURNED = 6.0
"""Degrees of yaw from which on a head counts as turned."""


@dataclass(frozen=True)
class Subgroup:
    """Sequences that share a value of an attribute: how many, of how many subjects, accuracy and its 95 % interval."""

    attribute: str
    value: str
    sequences: int
    subjects: int
    accuracy: float
    low: float
    high: float


Known = dict[str, dict[str, str]]
"""What a set knows: attribute -> sequence -> its value."""


def known_groups(dataset: PreparedSet, sequences: Iterable[SequenceRecord]) -> Known:
    """Return what a set knows of some of its sequences and their subjects; nothing where it knows nothing.

    Raises:
        InputError: the file that tells it is damaged.
    """
    sequences = list(sequences)
    values: Known = {}
    table = dataset.folder / "subjects.csv"
    if table.exists():
        for row in read_csv(table, ("subject",), "a table of subjects"):
            for attribute in ATTRIBUTES:
                if row.get(attribute):
                    value = _decade(row[attribute]) if attribute == "age" else row[attribute]
                    values.setdefault(attribute, {})[row["subject"]] = value
    known = {
        attribute: {one.name: of_subject[one.subject] for one in sequences if one.subject in of_subject}
        for attribute, of_subject in values.items()
    }
    poses = {one.name: _pose(dataset, one) for one in sequences}
    known["pose"] = {name: pose for name, pose in poses.items() if pose is not None}
    return known


def subgroups(known: Known, predictions: list[Prediction]) -> list[Subgroup]:
    """Return the accuracy of every subgroup that a set knows of (`known_groups`)."""
    return [
        group
        for attribute, of_sequence in known.items()
        for group in _groups(attribute, [(of_sequence.get(one.sequence), one) for one in predictions])
    ]


def write_subgroups(path: Path, groups: list[Subgroup]) -> None:
    """Write subgroups as a table, a row each; no file where there are none."""
    if groups:
        write_csv(path, tuple(vars(groups[0])), (vars(group) for group in groups))


def _groups(attribute: str, valued: list[tuple[str | None, Prediction]]) -> list[Subgroup]:
    out = []
    for value in sorted({value for value, _ in valued if value is not None}):
        own = [one for other, one in valued if other == value]
        low, high = subject_bootstrap(own)
        right = float(np.mean([one.true == one.predicted for one in own]))
        out.append(Subgroup(attribute, value, len(own), len({one.subject for one in own}), right, low, high))
    return out


def _decade(age: str) -> str:
    try:
        years = int(float(age))
    except ValueError:
        return age
    return "under 36" if years < 36 else "36 to 55" if years < 56 else "56 and over"


def _pose(dataset: PreparedSet, sequence: SequenceRecord) -> str | None:
    pose = dataset.truth(sequence, "pose", (3,))
    if pose is None:
        return None
    return "turned" if np.abs(pose[:, 0]).mean() >= TURNED else "frontal"
