"""DFEW (Jiang et al. 2020): clips from films, in four forms; labels and five official folds as CSV.

`Clip/clip_224x224/00001/*.jpg`, `Clip/clip_224x224_16f/1/*.jpg` (names without zeros), `Clip/clip_224x224_avi/1.avi`,
`Clip/original/1.mp4`; `EmoLabel_DataSplit/{train,test}(single-labeled)/set_{1..5}.csv` with `video_name,label`, and
`Annotation/annotation.xlsx`. A widespread copy of the CSVs counts its labels from 0 under the same header.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tfen.data.sources.recordings import (
    DatasetReader,
    Findings,
    Published,
    ReaderOptions,
    Recording,
    children,
    folders,
    images,
)
from tfen.errors import InputError
from tfen.files import read_csv
from tfen.video.media import VIDEOS

LABELS = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
"""Label 1 to 7."""
PUBLISHED = Published(
    11_697,
    None,
    {"happiness": 2445, "sadness": 1894, "neutral": 2669, "anger": 2173, "surprise": 1469, "disgust": 145, "fear": 902},
)
Form = Literal["clip_224x224", "clip_224x224_16f", "clip_224x224_avi", "original"]
FORMS: tuple[str, ...] = get_args(Form)


def find(source: Path, form: Form | None = None) -> Findings:
    """Read DFEW's clips with a single label; each counts as a subject of its own, since nobody is named.

    Args:
        form: which of the four; the first that is there if not given.

    Raises:
        InputError: no clips or no labels.
    """
    clips = next((path for path in folders(source) if path.name.lower().startswith("clip")), source)
    there = {path.name: path for path in folders(clips)}
    chosen = next((there[name] for name in ((form,) if form else FORMS) if name in there), None)
    if chosen is None:
        raise InputError(
            f"{source} holds no {form or ' nor '.join(FORMS)}: expected Clip/clip_224x224/00001/... as handed out"
        )
    findings = Findings()
    labels = _labels(source, findings)
    media = {_number(path.stem if path.is_file() else path.name): path for path in children(chosen)}
    for number, label in sorted(labels.items()):
        name = f"{number:05d}"
        path = media.get(number)
        if path is None:
            findings.left_out[name] = f"{chosen} has no clip {number}"
        elif path.is_dir():
            files = images(path)
            if files:
                findings.recordings.append(
                    Recording(name, name, LABELS[label - 1], files, cropped=chosen.name != "original")
                )
            else:
                findings.left_out[name] = f"{path} holds no images"
        elif path.suffix.lower() in VIDEOS:
            findings.recordings.append(
                Recording(name, name, LABELS[label - 1], video=path, cropped=chosen.name != "original")
            )
        else:
            findings.left_out[name] = f"{path} is neither a folder of images nor a film"
    return findings


def _number(text: str) -> int:
    digits = text.split(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else -1


def _labels(source: Path, findings: Findings) -> dict[int, int]:
    """Return the label (1 to 7) of each clip's number; the official folds go into `findings`."""
    split = next((path for path in folders(source) if path.name.lower().startswith("emolabel")), None)
    if split is None:
        return _from_annotation(source)
    rows: list[tuple[str, str, int, int]] = []
    for folder in folders(split):
        part = "train" if folder.name.lower().startswith("train") else "test"
        for path in children(folder):
            if path.suffix.lower() == ".csv":
                rows += _read_split(path, part, findings)
    if not rows:
        raise InputError(
            f"{split} holds no set_1.csv to set_5.csv; expected train(single-labeled) and test(single-labeled)"
        )
    if min(label for *_, label in rows) == 0:
        if max(label for *_, label in rows) > 6:
            raise InputError(f"{split} has labels from 0 to 7; expected 1 to 7 (or 0 to 6)")
        findings.notes.append(f"the labels of {split.name} count from 0 (a known copy of the CSVs); read as 1 to 7")
        rows = [(fold, part, number, label + 1) for fold, part, number, label in rows]
    labels: dict[int, int] = {}
    for _, _, number, label in rows:
        if labels.setdefault(number, label) != label:
            low, high = sorted((labels[number], label))
            findings.left_out[f"{number:05d}"] = f"{split.name} gives clip {number} two labels: {low} and {high}"
    for name in findings.left_out:
        labels.pop(int(name), None)
    findings.folds = [
        {"fold": fold, "sequence": f"{number:05d}", "part": part} for fold, part, number, _ in rows if number in labels
    ]
    return labels


def _read_split(path: Path, part: str, findings: Findings) -> list[tuple[str, str, int, int]]:
    fold = path.stem.removeprefix("set_")
    out = []
    for row_number, row in enumerate(read_csv(path, ("video_name", "label"), "a table of labels"), 2):
        number = _number(row["video_name"].strip())
        try:
            label = int(row["label"])
        except ValueError:
            label = -1
        if number < 0 or not 0 <= label <= 7:
            findings.notes.append(
                f"{path} row {row_number}: {row['video_name']!r}, {row['label']!r} is no clip with a label; passed over"
            )
            continue
        out.append((fold, part, number, label))
    return out


def _from_annotation(source: Path) -> dict[int, int]:
    """Read labels from `Annotation/annotation.xlsx`, where 0 means no single label."""
    from openpyxl import load_workbook

    path = next(iter(sorted(source.glob("[Aa]nnotation/*.xlsx"))), None)
    if path is None:
        raise InputError(f"{source} has no labels: expected EmoLabel_DataSplit/ or Annotation/annotation.xlsx")
    try:
        sheet: Any = load_workbook(path, read_only=True, data_only=True).active
        rows = sheet.iter_rows(values_only=True)
        header = [str(cell).strip().lower() for cell in next(rows)]
        name_at = next(k for k, name in enumerate(header) if name in ("order", "clip", "clip name", "video_name"))
        label_at = header.index("annotation")
        out = {}
        for row in rows:
            number, label = _number(str(row[name_at]).strip()), row[label_at]
            if number >= 0 and isinstance(label, (int, float)) and 1 <= int(label) <= 7:
                out[number] = int(label)
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as DFEW's annotation (a column order, and annotation): {type(error).__name__}"
        ) from None
    return out


@dataclass(frozen=True, kw_only=True)
class Options(ReaderOptions):
    """What can be chosen of DFEW."""

    form: Form | None = None
    """Which form of the clips; the first of the four that is there if not given."""


READER = DatasetReader(
    title="DFEW",
    about=f"DFEW from its official folders: {PUBLISHED.sequences:,} clips with a single label, and the five official folds.",
    source="Folder with Clip and EmoLabel_DataSplit (or Annotation).",
    read=lambda source, options: find(source, options.form),
    example="tfen prepare dfew ~/DFEW prepared/dfew",
    options=Options,
    published=PUBLISHED,
    subjects_named=False,
)
