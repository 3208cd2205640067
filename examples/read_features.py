"""The features of a run's test people, and who is near whom: python examples/read_features.py RUN [FILE.npz]"""

import sys
from pathlib import Path

import numpy as np

from tfen.evaluation.features import extract, open_folds


def main(run: Path, out: Path) -> None:
    dataset, folds = open_folds(run)
    fold = folds[0]
    features = extract(fold, fold.testing).clips["T"]  # (sequences, channels), before the classifier
    subjects = np.array([one.subject for one in fold.testing])
    expressions = np.array([one.expression for one in fold.testing])
    np.savez(out, features=features, subjects=subjects, expressions=expressions)
    print(f"{out}: {features.shape[0]} sequences of {dataset.name}, {features.shape[1]} features each")
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(1)
    print(f"the nearest sequence shows the same expression in {np.mean(expressions == expressions[nearest]):.0%}")
    print(f"the nearest sequence is of the same person in {np.mean(subjects == subjects[nearest]):.0%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path("features.npz"))
