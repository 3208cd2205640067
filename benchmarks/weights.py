"""What weights say about prepared sets, all their expressions to choose from.

usage: python benchmarks/weights.py WEIGHTS SET [SET ...]

WEIGHTS is what `tfen.load` takes, such as "packaged". Each face is looked at six times, as `tfen analyze` does. Prints, for
each set, a row for each true expression: how many sequences of it are told as what, and the share that is right; the same
for the last frame alone, as if it were a photograph, where sequences have several; and how often bf16 says the same as
single precision.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from tfen import load
from tfen.data.clips import FrameStore
from tfen.data.prepared import open_set
from tfen.data.sampling import middle_frames
from tfen.inference.engine import Engine


def confusions(weights: str, folder: Path) -> tuple[tuple[str, ...], dict[str, dict[str, np.ndarray]], float]:
    """Return the weights' expressions, how often each was said for each true one, of sequences and of their last frames,
    and the share of sequences of which bf16 says the same."""
    loaded, found = load(weights), open_set(folder)
    settings = loaded.settings
    store = FrameStore(found, settings.model.image_size, settings.data)
    engine = Engine(loaded, 6)
    counts = {
        what: {name: np.zeros(len(loaded.expressions), int) for name in found.expressions}
        for what in ("sequences", "last frames")
    }
    same = 0
    for sequence in found.sequences:
        frames = store.frames(sequence, middle_frames(sequence.frames, engine.frames))
        codes = engine.encode(list(frames))
        said, alone = engine.scores([codes, codes[-1:] * engine.frames]).argmax(1)
        with torch.autocast("cpu", torch.bfloat16):
            same += said == engine.scores([engine.encode(list(frames))])[0].argmax()
        counts["sequences"][sequence.expression][said] += 1
        counts["last frames"][sequence.expression][alone] += 1
    if all(sequence.frames == 1 for sequence in found.sequences):
        del counts["last frames"]
    return loaded.expressions, counts, same / len(found.sequences)


def main() -> None:
    weights, *folders = sys.argv[1:]
    for folder in folders:
        names, counts, same = confusions(weights, Path(folder))
        for what, rows in counts.items():
            print(f"\n{folder}, {what}\n{'true':<12}" + "".join(f"{name[:9]:>10}" for name in names) + f"{'right':>8}")
            for true, row in rows.items():
                right = row[names.index(true)] / row.sum() if true in names else float("nan")
                print(f"{true:<12}" + "".join(f"{count:>10}" for count in row) + f"{100 * right:>6.1f} %")
            total = sum(row.sum() for row in rows.values())
            right = sum(row[names.index(true)] for true, row in rows.items() if true in names)
            print(f"{100 * right / total:.1f} % of {total} {what}")
        print(f"bf16 says the same of {100 * same:.1f} % of the sequences")


if __name__ == "__main__":
    main()
