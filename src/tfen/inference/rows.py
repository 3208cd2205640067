"""Results as tables: columns, JSON, and the schema that describes them."""

from collections.abc import Sequence
from typing import Any

from tfen.inference.analyzer import Result
from tfen.inference.episodes import Episode

BEFORE = (
    "file", "time", "frame", "face", "left", "top", "width", "height", "score", "size", "sharpness", "yaw", "pitch",
    "roll", "window_start", "window_end", "label", "confidence",
)  # fmt: skip
EPISODES = ("file", "face", "expression", "onset", "apex", "offset", "duration", "peak")

_MEANING: dict[str, tuple[str, str]] = {
    "file": ("string", "The source, as it was given."),
    "time": ("number", "Time of the frame on the film's own clock, seconds; 0 is where its first track begins."),
    "frame": ("integer", "Number of the frame, from 0; with the face it is unique in a file."),
    "face": ("integer", "Number of the person in this file, from 0 in order of appearance; empty where no face is seen."),
    "left": ("number", "Left edge of the face's square, pixels."),
    "top": ("number", "Upper edge of the face's square, pixels."),
    "width": ("number", "Width of the face's square, pixels."),
    "height": ("number", "Height of the face's square, pixels."),
    "score": ("number", "How sure the detector was, on its own scale; 0: the face was followed by its landmarks."),
    "size": ("number", "Side of the face's square, pixels; below 40 little can be seen."),
    "sharpness": ("number", "Deviation of the Laplacian over that of the grey values, at 64 pixels; below 0.3: blurred."),
    "yaw": ("number", "Turn of the head, degrees; above 0 to the image's right."),
    "pitch": ("number", "Nod of the head, degrees; above 0 up."),
    "roll": ("number", "Tilt of the head, degrees; above 0 clockwise."),
    "window_start": ("number", "Time of the first frame that the probabilities rest on, seconds."),
    "window_end": ("number", "Time of the last frame that the probabilities rest on, seconds."),
    "label": ("string", "The likeliest expression; empty below the least confidence, and where no face is seen."),
    "confidence": ("number", "Its probability, at the temperature that the weights were calibrated to; 1 if they were not."),
}  # fmt: skip


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula, at its beginning."""


def escaped(value: Any) -> Any:
    """Return a table's cell so that no spreadsheet runs it: a text that looks like a formula gets a ' before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith((*FORMULA, "'")) else value


def unescaped(text: str) -> str:
    """Return a text as it was before `escaped`."""
    return text[1:] if text.startswith("'") else text


def columns(expressions: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the results of weights with these expressions."""
    return (*BEFORE, *expressions)


def row(file: str, result: Result, expressions: Sequence[str]) -> dict[str, Any]:
    """Return a result as plain values under the columns; None where there is none."""
    box = result.box or (None,) * 4
    start, end = result.window or (None, None)
    values: dict[str, Any] = {
        "file": file,
        "time": round(result.time, 4),
        "frame": result.frame,
        "face": result.face,
        **{name: _round(value, 1) for name, value in zip(("left", "top", "width", "height"), box)},
        "score": _round(result.score, 3),
        "size": _round(result.size, 1),
        "sharpness": _round(result.sharpness, 3),
        "yaw": _round(result.yaw, 1),
        "pitch": _round(result.pitch, 1),
        "roll": _round(result.roll, 1),
        "window_start": _round(start, 4),
        "window_end": _round(end, 4),
        "label": result.label,
        "confidence": _round(result.confidence, 4),
    }
    probabilities = result.probabilities or {}
    return {**values, **{name: _round(probabilities.get(name), 4) for name in expressions}}


def episode_row(file: str, episode: Episode) -> dict[str, Any]:
    """Return an episode as plain values."""
    times = {name: round(getattr(episode, name), 4) for name in ("onset", "apex", "offset", "duration")}
    return {
        "file": file,
        "face": episode.face,
        "expression": episode.expression,
        **times,
        "peak": round(episode.peak, 4),
    }


def schema(expressions: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a line of results.jsonl."""
    always = ("file", "time", "frame")
    properties: dict[str, dict[str, Any]] = {
        name: {"type": kind if name in always else [kind, "null"], "description": meaning}
        for name, (kind, meaning) in _MEANING.items()
    }
    for name in expressions:
        properties[name] = {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1,
            "description": f"Probability of {name}, smoothed over time; the expressions sum to 1.",
        }
    properties["label"]["enum"] = [*expressions, None]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A face at a time, as measured by tfen analyze",
        "type": "object",
        "properties": properties,
        "required": list(columns(expressions)),
        "additionalProperties": False,
    }


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
