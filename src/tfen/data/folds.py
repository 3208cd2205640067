"""Who is tested when: protocols that divide a set's sequences into folds.

`subjects` is the paper's for CK+, MMI and Oulu-CASIA: subjects in ascending order of their ids, nobody in training and
test at once. The table of the protocols is in `tfen.data.protocols`.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfen.config import FoldSettings
from tfen.data.prepared import PreparedSet, SequenceRecord, grouped, natural, open_set
from tfen.data.protocols import PROTOCOLS, SELECTIONS
from tfen.errors import InputError
from tfen.files import read_csv, write_csv

OFFICIAL = "official-folds.csv"
"""A prepared set's own folds, where its publishers give some; columns as in a fold file."""
COLUMNS = ("fold", "sequence", "part")


@dataclass(frozen=True)
class Fold:
    """One split: the sequences that train, those that choose the epoch (may be none), and those that are tested."""

    number: int
    train: tuple[SequenceRecord, ...]
    validation: tuple[SequenceRecord, ...]
    test: tuple[SequenceRecord, ...]

    def twins_apart(self) -> list[str]:
        """Return the test subjects that have a twin in training, ids ascending: none, if twins stay together."""
        learned = {one.group: one.subject for one in (*self.train, *self.validation) if one.group}
        trained = {one.subject for one in (*self.train, *self.validation)}
        tested = {one.subject for one in self.test if one.group in learned and one.subject not in trained}
        return sorted(tested, key=natural)

    def everybody(self, dataset: PreparedSet) -> list[SequenceRecord]:
        """Return all sequences that the fold divides, in the set's order; of a subset's fold, those of the subset."""
        own = {one.name for part in (self.train, self.validation, self.test) for one in part}
        return [one for one in dataset.sequences if one.name in own]


def subjects_of(sequences: Iterable[SequenceRecord]) -> tuple[str, ...]:
    """Return the subjects of some sequences, ids ascending."""
    return tuple(sorted({sequence.subject for sequence in sequences}, key=natural))


def groups_of(sequences: Iterable[SequenceRecord]) -> tuple[tuple[str, ...], ...]:
    """Return the subjects of some sequences in groups that stay together: twins, or one subject; ids ascending."""
    return grouped({sequence.subject: sequence.group for sequence in sequences})


Split = tuple[list[SequenceRecord], list[SequenceRecord]]
"""Training and test sequences, in the set's order."""


def subject_folds(groups: Sequence[tuple[str, ...]], count: int) -> list[frozenset[str]]:
    """Divide subjects (ids ascending) into `count` folds of neighbours whose sizes differ by at most one.

    Args:
        groups: subjects that stay together: twins, or one subject. Sizes are counted in groups.

    Raises:
        InputError: fewer groups than folds.
    """
    if len(groups) < max(count, 2):
        what = "subject" if all(len(group) == 1 for group in groups) else "group of twins"
        plural = what.replace("subject", "subjects").replace("group", "groups") if len(groups) != 1 else what
        advice = f"ask for at most {len(groups)} folds, or " if len(groups) > 1 else ""
        raise InputError(
            f"the set has {len(groups)} {plural}, fewer than the "
            f"{max(count, 2)} folds; {advice}take a set with more subjects"
        )
    parts = np.array_split(np.arange(len(groups)), count)
    return [frozenset(subject for k in part for subject in groups[k]) for part in parts]


def by_subject(dataset: PreparedSet, count: int) -> list[Split]:
    """Test a tenth (or another share) of the subjects at a time, ids ascending (Section 4.1); twins together."""
    return in_turn(dataset, subject_folds(dataset.groups, count))


def by_set(dataset: PreparedSet) -> list[Split]:
    """Test all people of one of the sets that a joined set was made of, after training on those of the others.

    Raises:
        InputError: the set was not joined.
    """
    groups = [frozenset(subjects) for subjects in dataset.subjects_by_set]
    if len(groups) < 2:
        raise InputError(f"{dataset.folder} is one set: leave-one-set-out needs several; join them with `tfen join`")
    return in_turn(dataset, groups)


def by_sequence(dataset: PreparedSet, count: int) -> list[Split]:
    """Divide the sequences themselves in ascending order of their ids, as the paper's words for MMI can be read.

    Neighbouring folds may then share a subject: this protocol is not subject-independent.
    """
    ordered = sorted(dataset.sequences, key=lambda one: natural(one.name))
    if len(ordered) < count:
        raise InputError(f"the set has {len(ordered)} sequences, fewer than the {count} folds")
    out = []
    for group in np.array_split(np.arange(len(ordered)), count):
        test = {ordered[k].name for k in group}
        out.append(_split(dataset, test, {one.name for one in dataset.sequences} - test))
    return out


def stratified_subsets(dataset: PreparedSet, subsets: int, count: int, seed: int) -> list[Split]:
    """Divide a set into subsets with the same share of every expression, and each of them into folds (Section 4.1.4).

    Folds of a subset train and test inside it; fold number k belongs to subset k // count. In a set that knows its
    subjects, all sequences of one stay together, and so do those of twins.
    """
    by_expression: dict[str, list[tuple[str, ...]]] = {}
    expression_of: dict[str, list[str]] = {}
    for one in dataset.sequences:
        expression_of.setdefault(one.subject, []).append(one.expression)
    for group in dataset.groups:
        own = [expression for subject in group for expression in expression_of[subject]]
        by_expression.setdefault(max(sorted(set(own)), key=own.count), []).append(group)
    rng = np.random.default_rng([seed, 12])
    cells: list[list[set[str]]] = [[set() for _ in range(count)] for _ in range(subsets)]
    start = 0
    for expression in sorted(by_expression):
        groups = by_expression[expression]
        for place, k in enumerate(rng.permutation(len(groups)), start):
            cells[place % subsets][place // subsets % count].update(groups[k])
        start += len(groups)
    if not all(cell for subset in cells for cell in subset):
        raise InputError(
            f"the set has {len(dataset.subjects)} subjects: too few for {subsets} subsets of {count} folds each"
        )
    return [split for subset in cells for split in in_turn(dataset, subset)]


def from_file(dataset: PreparedSet, path: Path) -> list[Split]:
    """Read folds from a CSV with the columns fold, sequence (or subject) and part (train or test).

    A sequence that a fold does not name takes no part in it; where no row says "train", all others train.

    Raises:
        InputError: missing columns, unknown names, or someone in training and test at once. (Twins in both are a leak
            that reports tell of.)
    """
    rows = read_csv(path, ("fold", "part"), "a file of folds")
    key = "sequence" if rows and "sequence" in rows[0] else "subject"
    known: dict[str, set[str]] = {}
    for one in open_set(dataset.folder).sequences:
        known.setdefault(one.name if key == "sequence" else one.subject, set()).add(one.name)
    folds: dict[str, dict[str, set[str]]] = {}
    for number, row in enumerate(rows, 2):
        if row["part"] not in ("train", "test"):
            raise InputError(f"{path} row {number}: part is {row['part']!r}, expected train or test")
        name = row.get(key, "")
        if name not in known:
            raise InputError(f"{path} row {number}: the set has no {key} {name!r}")
        folds.setdefault(row["fold"], {"train": set(), "test": set()})[row["part"]] |= known[name]
    if not folds:
        raise InputError(f"{path} names no fold; expected the columns fold, sequence or subject, part")
    out = []
    for label in sorted(folds, key=natural):
        train, test = folds[label]["train"], folds[label]["test"]
        twice = train & test
        if twice:
            raise InputError(f"{path}: fold {label} has {sorted(twice)[0]} in training and in test")
        if not train:
            train = {one.name for one in dataset.sequences} - test
        out.append(_split(dataset, test, train))
    return out


def in_turn(dataset: PreparedSet, groups: Iterable[Set[str]]) -> list[Split]:
    """Test each group of subjects once, after training on the other groups."""
    groups = list(groups)
    everybody = frozenset().union(*groups)
    return [(dataset.of_subjects(everybody - test), dataset.of_subjects(test)) for test in groups]


def _split(dataset: PreparedSet, test: set[str], train: set[str]) -> Split:
    return (
        [one for one in dataset.sequences if one.name in train],
        [one for one in dataset.sequences if one.name in test],
    )


def make_folds(dataset: PreparedSet, settings: FoldSettings, seed: int) -> list[Fold]:
    """Return the folds of a set under the settings' protocol.

    If the epoch is chosen on validation, `validation_share` of each fold's training subjects go there.

    Raises:
        InputError: the set does not allow the protocol, or too few subjects.
    """
    splits = PROTOCOLS[settings.protocol].split(dataset, settings, seed)
    folds = []
    for number, (train, test) in enumerate(splits):
        if not train or not test:
            raise InputError(f"fold {number} has no {'training' if not train else 'test'} sequence; use fewer folds")
        chosen: frozenset[str] = frozenset()
        if SELECTIONS[settings.select].measured_on == "validation":
            rng = np.random.default_rng([seed, number, 2])
            chosen = validation_split(groups_of(train), settings.validation_share, rng)
        folds.append(
            Fold(
                number,
                tuple(one for one in train if one.subject not in chosen),
                tuple(one for one in train if one.subject in chosen),
                tuple(test),
            )
        )
    return folds


def validation_split(groups: Sequence[tuple[str, ...]], share: float, rng: np.random.Generator) -> frozenset[str]:
    """Draw the subjects of the inner validation split: a share of the training subjects, at least one.

    Args:
        groups: training subjects in groups that stay together, see `groups_of`.
        share: of the groups.

    Raises:
        InputError: nobody would be left for training.
    """
    count = max(1, round(share * len(groups)))
    if count >= len(groups):
        raise InputError(
            f"there are {len(groups)} training subject(s) or groups of twins: none is left beside the validation split; "
            "use more subjects or --folds.select last"
        )
    return frozenset(subject for i in rng.permutation(len(groups))[:count] for subject in groups[i])


def write_folds(path: Path, folds: list[Fold]) -> None:
    """Write folds as a file that `--folds.file` reads; validation sequences are training sequences there."""
    rows = [
        {"fold": fold.number, "sequence": one.name, "part": part}
        for fold in folds
        for part, group in (("train", (*fold.train, *fold.validation)), ("test", fold.test))
        for one in group
    ]
    write_csv(path, COLUMNS, rows)
