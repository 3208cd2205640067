"""Whether networks know a stranger again by what they make of the expression, and whether they know a smile.

usage: python benchmarks/verification.py SET RUN [RUN ...]

SET is a prepared set of people none of the runs has seen, with a calm and a smiling photograph of each (the expressions
neutral and happiness). For the networks of a run's folds prints the mean of two areas under the curve: of the likeness
(cosine) of features, two photographs of one person against a calm and a smiling one of two people (0.5: the person is
gone); and of the score of happiness, smiling against calm photographs. Features are TFE, or E's where nothing is decoupled,
averaged as `tfen leakage` averages them, and T's.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from tfen.data.clips import FrameStore
from tfen.data.prepared import open_set
from tfen.evaluation.features import RunFold, extract, open_folds
from tfen.evaluation.leakage import cosine


def same_person(x: np.ndarray, subjects: np.ndarray, smiling: np.ndarray) -> float:
    """Return the area under the curve of likeness for calm and smiling photographs, one person's against two people's."""
    likeness = cosine(x)[~smiling][:, smiling]
    same = subjects[~smiling][:, None] == subjects[smiling][None]
    return float(roc_auc_score(same.ravel(), likeness.ravel()))


@torch.no_grad()
def main() -> None:
    photographs = open_set(Path(sys.argv[1]))
    sequences = [one for one in photographs.sequences if one.expression in ("neutral", "happiness")]
    subjects = np.array([one.subject for one in sequences])
    smiling = np.array([one.expression == "happiness" for one in sequences])
    print(f"{len(sequences)} photographs of {len(set(subjects))} people")
    for run in sys.argv[2:]:
        dataset, folds = open_folds(Path(run))
        rows = []
        for fold in folds:
            store = FrameStore(photographs, fold.settings.model.image_size, fold.settings.data)
            there = RunFold(fold.number, fold.network, store, fold.settings, [], sequences, 0.0)
            found = extract(there, sequences).clips
            place = "TFE" if "TFE" in found else "E"
            batches = there.clips(sequences).testing(32)
            happiness = np.concatenate([fold.network(batch.clips).numpy() for batch in batches])
            score = happiness[:, dataset.expressions.index("happiness")]
            rows.append(
                (
                    same_person(found[place], subjects, smiling),
                    same_person(found["T"], subjects, smiling),
                    roc_auc_score(smiling, score),
                )
            )
        likeness, at_t, smiles = np.mean(rows, 0)
        print(f"{run}: same person? {place} {likeness:.3f}, T {at_t:.3f}; smiles {smiles:.3f} ({len(rows)} folds)")


if __name__ == "__main__":
    main()
