"""One colour for each expression, in every film, picture and page."""

from collections.abc import Sequence

COLOURS = {
    "neutral": "#a7adb5",
    "anger": "#d1495b",
    "contempt": "#9c6ade",
    "disgust": "#6a994e",
    "fear": "#3d5a80",
    "happiness": "#f2b134",
    "sadness": "#4a9fd8",
    "surprise": "#2a9d8f",
}
OTHERS = ("#bc6c25", "#e07a9e", "#5f6caf", "#8d99ae")
"""For expressions of a set of one's own."""


def colour_of(expression: str, expressions: Sequence[str]) -> str:
    """Return an expression's colour as #rrggbb."""
    if expression in COLOURS:
        return COLOURS[expression]
    unknown = [name for name in expressions if name not in COLOURS]
    return OTHERS[unknown.index(expression) % len(OTHERS)]


def rgb(colour: str) -> tuple[int, int, int]:
    """Return #rrggbb as three numbers, 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
