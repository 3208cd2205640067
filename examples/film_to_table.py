"""A film to a table and a plot: python examples/film_to_table.py FILM [FOLDER]"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import tfen


def main(film: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    analyzer = tfen.Analyzer()
    faces: dict[int, list[tfen.Result]] = defaultdict(list)
    with (out / "expressions.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["time", "face", "label", "confidence", *analyzer.expressions])
        for result in analyzer(film):
            if result.face is None or result.probabilities is None:
                continue
            faces[result.face].append(result)
            shares = [f"{result.probabilities[name]:.4f}" for name in analyzer.expressions]
            table.writerow([f"{result.time:.3f}", result.face, result.label or "", f"{result.confidence:.4f}", *shares])
    if not faces:
        sys.exit(f"{film}: no face was found")
    figure, grid = plt.subplots(len(faces), figsize=(8, 2.2 * len(faces)), squeeze=False, sharex=True)
    for axes, (face, results) in zip(grid[:, 0], sorted(faces.items())):
        for name in analyzer.expressions:
            axes.plot([one.time for one in results], [one.probabilities[name] for one in results], label=name)
        axes.set(title=f"face {face}", ylim=(0, 1), ylabel="probability")
    grid[-1, 0].set_xlabel("seconds")
    grid[0, 0].legend(ncols=4, fontsize=7, loc="upper right")
    figure.tight_layout()
    figure.savefig(out / "expressions.png", dpi=120)
    print(f"{out / 'expressions.csv'}, {out / 'expressions.png'}: {len(faces)} faces")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path("film-expressions"))
