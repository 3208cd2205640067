"""Who is tested when: folds of subjects, so that nobody is in training and test at once."""

from dataclasses import dataclass

import numpy as np

from tfen.data.prepared import PreparedSet
from tfen.errors import InputError


@dataclass(frozen=True)
class Fold:
    """One split: the subjects that train, those that choose the epoch (may be none), and those that are tested."""

    number: int
    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str]


def subject_folds(subjects: tuple[str, ...], count: int) -> list[frozenset[str]]:
    """Divide subjects (ids ascending) into `count` groups of neighbours whose sizes differ by at most one.

    Raises:
        InputError: fewer subjects than folds.
    """
    if len(subjects) < count:
        raise InputError(
            f"the set has {len(subjects)} subject{'s' if len(subjects) != 1 else ''}, fewer than the {count} folds; "
            f"ask for at most {len(subjects)} folds or take a set with more subjects"
        )
    return [frozenset(group.tolist()) for group in np.array_split(np.array(subjects, dtype=object), count)]


def validation_split(subjects: tuple[str, ...], share: float, rng: np.random.Generator) -> frozenset[str]:
    """Draw the subjects of the inner validation split: a share of the training subjects, at least one.

    Raises:
        InputError: nobody would be left for training.
    """
    count = max(1, round(share * len(subjects)))
    if count >= len(subjects):
        raise InputError(
            f"there are {len(subjects)} training subject(s): none is left beside the validation split; "
            "use more subjects or --folds.select last"
        )
    return frozenset(subjects[i] for i in rng.permutation(len(subjects))[:count])


def make_folds(found: PreparedSet, count: int, validation_share: float, seed: int) -> list[Fold]:
    """Return the folds of a set; `validation_share` of the training subjects (0: none) go to validation."""
    folds = []
    groups = subject_folds(found.subjects, count)
    for number, test in enumerate(groups):
        rest = tuple(subject for subject in found.subjects if subject not in test)
        validation: frozenset[str] = frozenset()
        if validation_share > 0:
            validation = validation_split(rest, validation_share, np.random.default_rng([seed, number, 2]))
        train = frozenset(rest) - validation
        if not train & {sequence.subject for sequence in found.sequences}:
            raise InputError(f"fold {number} has no training subject; use more subjects or fewer folds")
        folds.append(Fold(number, train, validation, test))
    return folds
