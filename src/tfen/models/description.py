"""The `config.json` beside weights: what they are, checked before anything is built from it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfen.config import Settings, settings_in
from tfen.errors import InputError
from tfen.files import read_json
from tfen.models.formats import EXPORT_FORMATS

MOST_EXPRESSIONS, LONGEST_NAME = 100, 60
MOST_FACES = 200_000
MOST_FRAMES, LARGEST_IMAGE = 256, 1024
"""Frames of a clip, and pixels of their side: more would fill the memory."""
TEMPERATURES = (0.01, 100.0)


@dataclass(frozen=True)
class Description:
    """What weights are: `form` a name in `tfen.models.formats`; `faces` that the adversary tells apart, 0 without one."""

    settings: Settings
    expressions: tuple[str, ...]
    faces: int
    form: str
    about: dict[str, Any]


def read_description(path: Path) -> Description:
    """Read the configuration of weights.

    Raises:
        InputError: it is damaged, or asks for something that cannot be.
    """
    config = read_json(path, "the configuration of weights")
    problem = _missing(config)
    if problem:
        raise InputError(f"{path} is no configuration of tfen weights: {problem}")
    settings = settings_in(config["settings"], path)
    expressions, form, about = config["expressions"], config.get("format", "torch"), config.get("about", {})
    problem = (
        _wrong_expressions(expressions)
        or _beyond("faces", config["faces"], 0, MOST_FACES)
        or _beyond("model.frames", settings.model.frames, 1, MOST_FRAMES)
        or _beyond("model.image-size", settings.model.image_size, 1, LARGEST_IMAGE)
        or (
            ""
            if isinstance(form, str) and form in EXPORT_FORMATS
            else f"format is {str(form)[:40]!r}, expected {', '.join(EXPORT_FORMATS)}"
        )
        or _wrong_about(about)
    )
    if problem:
        raise InputError(f"{path} is no configuration of tfen weights: {problem}")
    return Description(settings, tuple(expressions), config["faces"], form, about)


def _missing(config: Any) -> str:
    if not isinstance(config, dict):
        return "expected named values"
    for name, kind in (("settings", dict), ("expressions", list), ("faces", int)):
        value = config.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"{name} is {str(value)[:40]!r} or missing"
    return ""


def _wrong_expressions(names: list[Any]) -> str:
    fit = all(isinstance(name, str) and name.isprintable() and 0 < len(name) <= LONGEST_NAME for name in names)
    if not fit or not 2 <= len(names) <= MOST_EXPRESSIONS or len(set(names)) < len(names):
        return f"expressions are {str(names)[:60]!r}, expected at least two different names"
    return ""


def _beyond(name: str, value: int, low: int, high: int) -> str:
    return "" if low <= value <= high else f"{name} is {value}, expected {low} to {high}"


def _wrong_about(about: Any) -> str:
    if not isinstance(about, dict):
        return f"about is {str(about)[:40]!r}, expected named values"
    for name, (low, high) in (("temperature", TEMPERATURES), ("least_confidence", (0.0, 1.0))):
        value = about.get(name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not (number and low <= value <= high):
            return f"about.{name} is {str(value)[:40]!r}, expected {low:g} to {high:g}"
    return ""
