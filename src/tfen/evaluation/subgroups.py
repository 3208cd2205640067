"""Accuracy by subgroup, where a set knows its subjects: sex, age, ancestry, glasses, beard; and pose of sequences."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfen.data.prepared import PreparedSet, Sequence
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


def subgroups(found: PreparedSet, said: list[Prediction]) -> list[Subgroup]:
    """Return the accuracy of every subgroup that the set knows of; nothing where it knows none."""
    values: dict[str, dict[str, str]] = {}
    table = found.folder / "subjects.csv"
    if table.exists():
        for row in read_csv(table, ("subject",), "a table of subjects"):
            for attribute in ATTRIBUTES:
                if row.get(attribute):
                    value = _decade(row[attribute]) if attribute == "age" else row[attribute]
                    values.setdefault(attribute, {})[row["subject"]] = value
    out = []
    for attribute, of_subject in values.items():
        out += _groups(attribute, [(of_subject.get(one.subject), one) for one in said])
    sequences = {sequence.name: sequence for sequence in found.sequences}
    out += _groups("pose", [(_pose(found, sequences.get(one.sequence)), one) for one in said])
    return out


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


def _pose(found: PreparedSet, sequence: Sequence | None) -> str | None:
    pose = None if sequence is None else found.truth(sequence, "pose", (3,))
    if pose is None:
        return None
    return "turned" if np.abs(pose[:, 0]).mean() >= TURNED else "frontal"
