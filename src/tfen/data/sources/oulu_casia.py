"""Oulu-CASIA (Zhao et al. 2011): six expressions of P001 to P080, two cameras, three lights.

`OriginalImg/VL/Strong/P001/Anger/000.jpeg`, and pre-cropped `PreProcess_Img/VL_Acropped/Strong/P001/Anger/*.jpeg`; the
roots are spelled in several ways. The form with films names them with the light's letter between underscores (`_S_`,
`_W_`, `_D_`) and ends in A, D, F, H, S1 (surprise) or S2 (sadness).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfen.data.sources.recordings import (
    DatasetReader,
    Findings,
    Published,
    ReaderOptions,
    Recording,
    folders,
    images,
)
from tfen.errors import InputError
from tfen.labels import canonical
from tfen.video.media import VIDEOS

Camera = Literal["VL", "NI"]
Light = Literal["Strong", "Weak", "Dark"]
EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
ENDINGS = {"A": "anger", "D": "disgust", "F": "fear", "H": "happiness", "S1": "surprise", "S2": "sadness"}
PUBLISHED = Published(480, 80, dict.fromkeys(EXPRESSIONS, 80))


def find(source: Path, camera: Camera = "VL", light: Light = "Strong", cropped: bool = False) -> Findings:
    """Read one camera and one light; the paper takes VL and Strong.

    Args:
        cropped: take the pre-cropped images.

    Raises:
        InputError: the source has no such part.
    """
    place = _place(source, camera, light, cropped)
    if place is not None:
        return _from_images(place, cropped)
    films = _films(source, camera, light)
    if not films.recordings and not films.left_out:
        raise InputError(
            f"{source} has no {'pre-cropped ' if cropped else ''}images of {camera} {light}: expected "
            f"{'PreProcess_Img/' + camera + '_Acropped' if cropped else 'OriginalImg/' + camera}/{light}/P001/Anger/..., "
            "as handed out"
        )
    return films


def _place(source: Path, camera: str, light: str, cropped: bool) -> Path | None:
    """Find `.../<camera>[_Acropped]/<light>` under whatever the root is called, at most three folders down."""
    wanted = f"{camera}_acropped".lower() if cropped else camera.lower()
    level = [source]
    for _ in range(4):
        for folder in level:
            if folder.name.lower().replace("_", "") == wanted.replace("_", ""):
                for inner in folders(folder):
                    if inner.name.lower() == light.lower():
                        return inner
        level = [inner for folder in level for inner in folders(folder) if not re.fullmatch(r"P\d+", inner.name, re.I)]
    return None


def _from_images(place: Path, cropped: bool) -> Findings:
    findings = Findings()
    for subject in folders(place):
        if not re.fullmatch(r"P\d+", subject.name, re.I):
            findings.notes.append(f"{subject} is no subject (P001 ...) and was passed over")
            continue
        for folder in folders(subject):
            try:
                expression = canonical(folder.name)
            except InputError:
                expression = folder.name.lower()
            name = f"{subject.name}_{expression}"
            if expression not in EXPRESSIONS:
                findings.left_out[name] = f"{folder} is none of {', '.join(EXPRESSIONS)}"
                continue
            files = images(folder)
            if not files:
                findings.left_out[name] = f"{folder} holds no images"
                continue
            findings.recordings.append(Recording(name, subject.name, expression, files, cropped=cropped))
    return findings


def _films(source: Path, camera: str, light: str) -> Findings:
    findings = Findings()
    for path in sorted(path for path in source.rglob("*") if path.suffix.lower() in VIDEOS):
        words = path.stem.split("_")
        other = "NI" if camera == "VL" else "VL"
        if light[0] not in words[:-1] or other in (*words, *path.parent.parts):
            continue
        subject = next((word for word in (*words, *reversed(path.parts)) if re.fullmatch(r"P\d+", word, re.I)), None)
        expression = ENDINGS.get(words[-1].upper())
        if subject is None or expression is None:
            findings.left_out[path.stem] = f"{path}: expected a name with P001 ... that ends in A, D, F, H, S1 or S2"
            continue
        findings.recordings.append(Recording(f"{subject}_{expression}", subject, expression, video=path))
    return findings


@dataclass(frozen=True, kw_only=True)
class Options(ReaderOptions):
    """What can be chosen of Oulu-CASIA."""

    camera: Camera = "VL"
    """VL (visible light, the paper's) or NI (near infrared)."""
    light: Light = "Strong"
    """The paper's is Strong."""
    cropped: bool = False
    """Take the images that come cropped."""


READER = DatasetReader(
    title="Oulu-CASIA",
    about=f"Oulu-CASIA from its official folders: {PUBLISHED.sequences} sequences of {PUBLISHED.subjects} subjects for each camera and light.",
    source="Folder with OriginalImg or PreProcess_Img, however they are spelled, or with films.",
    read=lambda source, options: find(source, options.camera, options.light, options.cropped),
    example="tfen prepare oulu-casia ~/Oulu prepared/oulu --align none",
    options=Options,
    published=PUBLISHED,
)
