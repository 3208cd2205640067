"""How far fold accuracies spread by chance alone, beside the deviations that the publication prints.

    python benchmarks/deviations.py

Every sequence is right with the published accuracy, independently of all others: the least spread that folds of that
size can be expected to have. (People differ, which only adds to it.) DFEW: the deviation over the ten folds of each
subset, averaged over the twelve subsets.
"""

import numpy as np

from tfen.evaluation.published import PUBLISHED

SEQUENCES = {"ckplus": 327, "mmi": 208, "oulu-casia": 480, "dfew": 11697}
FOLDS, SUBSETS, TRIALS = 10, {"dfew": 12}, 3000


def deviations(sequences: int, accuracy: float, subsets: int, rng: np.random.Generator) -> np.ndarray:
    """Return simulated deviations in percent, (TRIALS,)."""
    sizes = np.array([len(part) for part in np.array_split(np.arange(sequences), subsets * FOLDS)])
    right = rng.binomial(sizes, accuracy, (TRIALS, len(sizes))) / sizes
    return 100 * right.reshape(TRIALS, subsets, FOLDS).std(2, ddof=1).mean(1)


print(f"{'':<12}{'printed':>9}{'by chance':>11}{'95 % of trials':>18}{'share <= printed':>18}{'chance / sqrt(10)':>19}")
for name, count in SEQUENCES.items():
    paper = PUBLISHED[name]
    by_chance = deviations(count, paper.accuracy / 100, SUBSETS.get(name, 1), np.random.default_rng(0))
    low, high = np.quantile(by_chance, [0.025, 0.975])
    print(
        f"{paper.title:<12}{paper.std:>9.3f}{by_chance.mean():>11.2f}{f'{low:.2f} to {high:.2f}':>18}"
        f"{np.mean(by_chance <= paper.std):>18.4f}{by_chance.mean() / np.sqrt(FOLDS):>19.3f}"
    )
