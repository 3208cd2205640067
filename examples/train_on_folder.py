"""Recordings of your own, from a folder to a report: python examples/train_on_folder.py FOLDER [OUT] [EPOCHS]

FOLDER holds <expression>/<subject>/<sequence>/ with frames, or films or photographs in their place. At least two people
are needed, since nobody is in training and test at once.
"""

import sys
from pathlib import Path

import tfen
from tfen.data.prepare import prepare
from tfen.data.settings import PrepareSettings
from tfen.data.sources.folder import find


def main(folder: Path, out: Path, epochs: int) -> None:
    prepare(folder, out / "prepared", "folder", find(folder), PrepareSettings())
    dataset = tfen.open_set(out / "prepared")
    print(f"{len(dataset.sequences)} sequences of {len(dataset.subjects)} subjects: {', '.join(dataset.expressions)}")
    changes = {
        "train": {"epochs": epochs, "lr": 0.001},
        "folds": {"count": min(5, len(dataset.subjects)), "exclude": ()},
    }
    figures = tfen.crossval(dataset, out / "run", tfen.make_settings("synth", changes))
    print(f"accuracy {figures['accuracy']:.3f}, UAR {figures['uar']:.3f} on {figures['people']}")
    print(tfen.write_report(out / "run"))


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]) if len(sys.argv) > 2 else Path("own-run"),
        int(sys.argv[3]) if len(sys.argv) > 3 else 40,
    )
