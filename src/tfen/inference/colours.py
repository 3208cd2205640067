"""One colour for each expression, in every film, picture and page; letters, where colour alone must not tell."""

from collections.abc import Sequence

COLOURS = {
    "neutral": "#d3d5d8",
    "anger": "#842d2d",
    "contempt": "#d661c5",
    "disgust": "#719021",
    "fear": "#341368",
    "happiness": "#eacb2d",
    "sadness": "#2049c5",
    "surprise": "#3c9e7d",
}
"""Apart for people with any of the three kinds of colour blindness, too: by lightness where hue does not tell."""
UNCLEAR = "#8b9098"
"""For a face of which nothing can be told."""
INKS = ("#10151b", "#ffffff")
OTHERS = ("#bc6c25", "#e07a9e", "#5f6caf", "#8d99ae")
"""For expressions of a set of one's own."""


def colour_of(expression: str, expressions: Sequence[str]) -> str:
    """Return an expression's colour as #rrggbb."""
    if expression in COLOURS:
        return COLOURS[expression]
    unknown = [name for name in expressions if name not in COLOURS]
    return OTHERS[unknown.index(expression) % len(OTHERS)]


def ink_on(colour: str) -> str:
    """Return the colour of words that can be read best on a colour."""
    return max(INKS, key=lambda ink: contrast(ink, colour))


def contrast(a: str, b: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it, 1 to 21."""
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = (value / 255 for value in rgb(colour))
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def letters_of(expression: str, expressions: Sequence[str]) -> str:
    """Return two letters, or more if it needs them, that no other expression begins with."""
    count = 2
    while count < len(expression) and any(
        other != expression and other[:count] == expression[:count] for other in expressions
    ):
        count += 1
    return expression[:count].capitalize()


def rgb(colour: str) -> tuple[int, int, int]:
    """Return #rrggbb as three numbers, 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
