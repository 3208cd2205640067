"""A prepared set: cropped faces of sequences, with subject and expression, as every command reads them.

On disk: `sequences.csv` (sequence, subject, expression, number of frames, source), `frames/<sequence>/<frame>`
and `prepared.json` (settings, versions, counts, what was left out and why).
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from tfen.errors import InputError
from tfen.files import read_csv, read_json, read_values, write_csv, write_json
from tfen.folders import Format
from tfen.labels import EXPRESSIONS, in_order
from tfen.video.media import IMAGES

PREPARED = Format("a prepared set", "prepared.json")
SYNTHETIC_MARK = ".tfen-synth"
"""A folder in official folders that `tfen synth --layout` made: their people are synthetic, whatever the layout."""
COLUMNS = ("sequence", "subject", "expression", "frames", "source")
TWIN_COLUMNS = ("group", "take")
"""Columns that sets with twins have, too."""


@dataclass(frozen=True)
class SequenceRecord:
    """One recording of one expression of one subject; `frames` is the number of frames.

    Subjects of one `group` are twins: they perform the same takes. Sequences of one `take` are the same performance by
    different subjects of a group. Both are empty where nobody has a twin.
    """

    name: str
    subject: str
    expression: str
    frames: int
    source: str = ""
    group: str = ""
    take: str = ""


@dataclass(frozen=True)
class PreparedSet:
    """A prepared set in `folder`; `open_set` reads one."""

    folder: Path
    sequences: tuple[SequenceRecord, ...]
    about: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def expressions(self) -> tuple[str, ...]:
        """The set's expressions in canonical order."""
        return in_order(sequence.expression for sequence in self.sequences)

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """The subjects, ids ascending (numbers inside ids by value)."""
        return tuple(sorted({sequence.subject for sequence in self.sequences}, key=natural))

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The subjects in groups that no fold may split: twins together, everybody else alone; ids ascending."""
        return grouped({sequence.subject: sequence.group for sequence in self.sequences})

    @property
    def subjects_by_set(self) -> list[tuple[str, ...]]:
        """The subjects of each of the sets that a joined set was made of; of any other set, all of them."""
        return [tuple(subjects) for _, subjects in groupby(self.subjects, key=self.set_of)]

    def set_of(self, subject: str) -> str:
        """Return the name of the set that a subject comes from: of those that were joined, or this one."""
        return subject.split("/")[0] if "joined" in self.about else self.name

    @property
    def name(self) -> str:
        """What the set calls itself: `synthetic`, `ckplus`, `folder` ..."""
        return str(self.about.get("set", "folder"))

    @property
    def synthetic(self) -> bool:
        """Whether its people were made by `tfen synth`; of a joined set, whether any were."""
        parts = self.about["joined"].values() if "joined" in self.about else [self.about]
        return any(one.get("set") == "synthetic" or one.get("synthetic") is True for one in parts)

    @property
    def subjects_named(self) -> bool:
        """Whether it is known who the people are; where it is not (DFEW), each sequence counts as a subject."""
        return bool(self.about.get("subjects_named", self.name != "dfew"))

    @cached_property
    def content(self) -> str:
        """A fingerprint of what the set holds: names, subjects, expressions and lengths of its sequences."""
        rows = sorted((one.name, one.subject, one.expression, str(one.frames)) for one in self.sequences)
        return hashlib.sha256("\n".join(",".join(row) for row in rows).encode()).hexdigest()[:16]

    def person(self, subject: str) -> str:
        """Return a name for one of the set's subjects that holds beyond the set: two sets' people can be compared."""
        about = self.about
        if "joined" in about:
            about, subject = about["joined"].get(self.set_of(subject), {}), subject.partition("/")[2]
        home = [str(about.get("set", "folder"))]
        if isinstance(about.get("synth"), dict):
            home.append(str(about["synth"].get("seed")))
        return ":".join([*home, subject])

    def frame_files(self, sequence: SequenceRecord) -> list[Path]:
        """Return a sequence's frames in order."""
        folder = self.folder / "frames" / sequence.name
        try:
            files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES]
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{folder} is missing: sequences.csv names the sequence {sequence.name}; prepare the set again"
            ) from None
        if len(files) != sequence.frames:
            raise InputError(
                f"{folder} holds {len(files)} frames but sequences.csv says {sequence.frames}; prepare the set again"
            )
        return sorted(files, key=lambda path: natural(path.stem))

    def truth(self, sequence: SequenceRecord, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return what is known of each frame of a synthetic sequence, (frames, *shape); None where nothing is known.

        Args:
            name: `landmarks` (68, 2) in pixels, `pose` (3) in degrees, or `action_units` (as many as prepared.json names).

        Raises:
            InputError: the file that tells it is damaged.
        """
        path = self.folder / "truth" / f"{sequence.name}.json"
        if not path.exists():
            return None
        what, wanted = "a sequence's truth", (sequence.frames, *shape)
        try:
            values = np.array(read_values(path, what, {name: list})[name], np.float64)
        except (ValueError, TypeError):
            values = np.empty(0)
        if values.shape != wanted or not np.isfinite(values).all():
            raise InputError(f"{path} is not {what}: {name} is no table of numbers of the shape {wanted}")
        return values

    def without(self, expressions: tuple[str, ...]) -> "PreparedSet":
        """Return the set without the sequences of some expressions."""
        kept = tuple(sequence for sequence in self.sequences if sequence.expression not in expressions)
        return PreparedSet(self.folder, kept, self.about)

    def of_subjects(self, subjects: Set[str]) -> list[SequenceRecord]:
        """Return the sequences of some subjects, in the set's order."""
        return [sequence for sequence in self.sequences if sequence.subject in subjects]


def grouped(group_of: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Return subjects in their groups, ids ascending; who has none ("") stands alone."""
    groups: dict[tuple[str, str], list[str]] = {}
    for subject in sorted(group_of, key=natural):
        own = ("group", group_of[subject]) if group_of[subject] else ("subject", subject)
        groups.setdefault(own, []).append(subject)
    return tuple(map(tuple, groups.values()))


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key under which "s9" comes before "s10"."""
    parts: list[tuple[int, int, str]] = []
    word = ""
    digits = ""
    for letter in text + "\0":
        if letter.isascii() and letter.isdigit():
            if word:
                parts.append((1, 0, word))
                word = ""
            digits += letter
        else:
            if digits:
                parts.append((0, int(digits), digits))
                digits = ""
            word += letter
    return (*parts, (1, 0, word))


def open_set(folder: Path | str, exclude: tuple[str, ...] = ()) -> PreparedSet:
    """Read a prepared set, without the expressions in `exclude` (where it has them).

    Raises:
        InputError: the folder is missing or is no prepared set.
    """
    folder = Path(folder)
    if not folder.exists():
        raise InputError(f"{folder} does not exist; make a set with `tfen synth` or `tfen prepare`, or check the path")
    table = folder / "sequences.csv"
    if not table.exists():
        raise InputError(
            f"{folder} is no prepared set (it has no sequences.csv); make one with `tfen synth` or `tfen prepare`"
        )
    sequences = []
    for number, row in enumerate(read_csv(table, COLUMNS[:4], "a prepared set's table"), 2):
        try:
            frames = int(row["frames"])
        except ValueError:
            frames = 0
        if frames < 1:
            raise InputError(
                f"{table} row {number}: frames is {row['frames']!r}, expected a whole number of at least 1"
            )
        name = row["sequence"]
        if not name or name.startswith("/") or ".." in Path(name).parts:
            raise InputError(f"{table} row {number}: the sequence name {name!r} is not a place inside frames/")
        known = {column: row.get(column, "") for column in ("source", *TWIN_COLUMNS)}
        sequences.append(SequenceRecord(name, row["subject"], row["expression"], frames, **known))
    if not sequences:
        raise InputError(f"{table} names no sequence")
    twice = [name for name, count in Counter(sequence.name for sequence in sequences).items() if count > 1]
    if twice:
        raise InputError(f"{table} names the sequence {twice[0]} twice")
    about_file = folder / PREPARED.marker
    about = read_json(about_file, "a prepared set's description") if about_file.exists() else {}
    PREPARED.check(about, folder)
    dataset = PreparedSet(folder, tuple(sequences), about)
    unknown = sorted(set(exclude) - {sequence.expression for sequence in sequences} - set(EXPRESSIONS))
    if unknown:
        raise InputError(f"{folder} has no expression {unknown[0]} to exclude; it has {', '.join(dataset.expressions)}")
    return dataset.without(exclude) if exclude else dataset


def write_set(folder: Path, sequences: list[SequenceRecord], about: dict[str, Any]) -> None:
    """Write `sequences.csv` and `prepared.json` of a set whose frames are in place."""
    columns = (*COLUMNS, *TWIN_COLUMNS) if any(sequence.take for sequence in sequences) else COLUMNS
    rows = ({"sequence": sequence.name, **vars(sequence)} for sequence in sequences)
    write_csv(folder / "sequences.csv", columns, ({column: row[column] for column in columns} for row in rows))
    counts = Counter(sequence.expression for sequence in sequences)
    counted = {
        "sequences": len(sequences),
        "subjects": len({sequence.subject for sequence in sequences}),
        "frames": sum(sequence.frames for sequence in sequences),
        "per_expression": {name: counts[name] for name in sorted(counts)},
    }
    write_json(folder / PREPARED.marker, {**PREPARED.stamp(), **about, "counts": counted})
