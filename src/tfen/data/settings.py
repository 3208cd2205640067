"""How faces are found in recordings and cut out of them. Light to import: the command line shows these as flags."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfen.errors import InputError
from tfen.faces.detectors import DEFAULT_DETECTOR


@dataclass(frozen=True)
class Square:
    """The part of every image that is taken: left, top and side, in pixels of the source."""

    left: int
    top: int
    side: int

    @staticmethod
    def parse(text: str) -> "Square":
        """Read "left,top,side"."""
        try:
            left, top, side = (int(part) for part in text.split(","))
        except ValueError:
            raise InputError(
                f"the box {text!r} is not understood: expected left,top,side in pixels, such as 110,130,180"
            ) from None
        if side < 8 or left < 0 or top < 0:
            raise InputError(
                f"the box {text!r} is out of range: expected left and top of at least 0 and a side of at least 8"
            )
        return Square(left, top, side)


@dataclass(frozen=True, kw_only=True)
class CropSettings:
    """How faces are found and cut out, whatever the data set."""

    size: int = 244
    """Side of the stored crops, pixels."""
    detector: str = DEFAULT_DETECTOR
    """Finds the faces: yunet, haar or mediapipe; none takes the box, or the largest centred square."""
    detector_model: Path | None = None
    """Model file of the detector: needed for mediapipe; for yunet another one than the package has."""
    align: Literal["none", "eyes"] = "eyes"
    """eyes: crops are turned until the eyes are level, where landmarks are known. none: as in the paper."""

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 2048:
            raise InputError(f"size is {self.size}, expected 16 to 2048 pixels")


@dataclass(frozen=True, kw_only=True)
class PrepareSettings(CropSettings):
    """The same, with what a data set's own options add."""

    grey: bool = False
    """Take the colour away."""
    box: Square | None = None
    """The face's square in every image; no face is looked for then."""
