"""CK+ (Lucey et al. 2010): images, one emotion file for each labelled sequence, AAM landmarks beside.

`cohn-kanade-images/S005/001/S005_001_00000001.png`, `Emotion/S005/001/*_emotion.txt` (one number; the folder is missing
or empty where a sequence has no label), `Landmarks/S005/001/*_landmarks.txt` (68 lines of x and y).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

EMOTIONS = {1: "anger", 2: "contempt", 3: "disgust", 4: "fear", 5: "happiness", 6: "sadness", 7: "surprise"}
PUBLISHED = Published(
    327,
    118,
    {"anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happiness": 69, "sadness": 28, "surprise": 83},
)


def find(source: Path) -> Findings:
    """Read CK+'s folders.

    Raises:
        InputError: there are no images or no labels.
    """
    named = {path.name.lower(): path for path in folders(source)}
    pictures = next((path for name, path in named.items() if name.endswith("images")), None)
    emotions = next((path for name, path in named.items() if name.startswith("emotion")), None)
    marks = next((path for name, path in named.items() if name.startswith("landmark")), None)
    if pictures is None or emotions is None:
        raise InputError(
            f"{source} is not CK+: expected the folders cohn-kanade-images and Emotion (and Landmarks), as handed out"
        )
    findings = Findings()
    for subject in folders(pictures):
        for sequence in folders(subject):
            name = f"{subject.name}_{sequence.name}"
            try:
                expression = _label(emotions / subject.name / sequence.name)
                if expression is None:
                    findings.unlabelled += 1
                    continue
                files = images(sequence)
                if not files:
                    raise InputError(f"{sequence} holds no images")
                findings.recordings.append(
                    Recording(
                        name, subject.name, expression, files, landmarks=_landmarks(marks, subject, sequence, files)
                    )
                )
            except InputError as error:
                findings.left_out[name] = str(error)
    return findings


def _label(folder: Path) -> str | None:
    """Return the expression of a sequence, None where it has no label."""
    if not folder.is_dir():
        return None
    files = [path for path in children(folder) if path.suffix == ".txt"]
    if not files:
        return None
    text = ""
    try:
        text = files[0].read_text(encoding="utf-8", errors="replace").strip()
        return EMOTIONS[round(float(text))]
    except OSError as error:
        raise InputError(f"{files[0]} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, OverflowError):
        raise InputError(f"{files[0]} says {text[:40]!r}, expected a number from 1 to 7") from None


def _landmarks(marks: Path | None, subject: Path, sequence: Path, files: tuple[Path, ...]) -> tuple[Path, ...]:
    if marks is None:
        return ()
    place = marks / subject.name / sequence.name
    paths = tuple(place / f"{path.stem}_landmarks.txt" for path in files)
    return paths if all(path.is_file() for path in paths) else ()


@dataclass(frozen=True, kw_only=True)
class Options(ReaderOptions):
    """What can be chosen of CK+."""

    colour: bool = False
    """Keep the colour of the few colour films."""

    def changes(self) -> dict[str, Any]:
        return {"grey": not self.colour}


READER = DatasetReader(
    title="CK+",
    about=f"CK+ from its official folders: {PUBLISHED.sequences} labelled sequences of {PUBLISHED.subjects} subjects, grey as in the paper.",
    source="Folder with cohn-kanade-images, Emotion and Landmarks.",
    read=lambda source, options: find(source),
    example="tfen prepare ckplus ~/CK+ prepared/ckplus --align none",
    options=Options,
    published=PUBLISHED,
)
