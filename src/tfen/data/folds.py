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


def make_folds(found: PreparedSet, count: int, validation_share: float, seed: int) -> list[Fold]:
    """Return the folds of a set; `validation_share` of the training subjects (0: none) go to validation."""
    folds = []
    groups = subject_folds(found.subjects, count)
    for number, test in enumerate(groups):
        rest = [subject for subject in found.subjects if subject not in test]
        validation: frozenset[str] = frozenset()
        if validation_share > 0:
            chosen = max(1, round(validation_share * len(rest)))
            if chosen >= len(rest):
                raise InputError(
                    f"fold {number} has {len(rest)} training subject(s): none is left beside the validation split; "
                    "use more subjects or --folds.select last"
                )
            order = np.random.default_rng([seed, number, 2]).permutation(len(rest))
            validation = frozenset(rest[i] for i in order[:chosen])
        train = frozenset(rest) - validation
        if not train & {sequence.subject for sequence in found.sequences}:
            raise InputError(f"fold {number} has no training subject; use more subjects or fewer folds")
        folds.append(Fold(number, train, validation, test))
    return folds
