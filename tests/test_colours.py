"""Colours that everybody can tell apart, with ink that can be read on them."""

from itertools import combinations

import numpy as np
import pytest

from tfen.inference.colours import COLOURS, UNCLEAR, contrast, ink_on, letters_of, rgb
from tfen.labels import EXPRESSIONS

SEEN = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
"""How linear colours are seen without one kind of cones (Machado et al. 2009, full severity)."""
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def _lab(colour: str, seen: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of a colour as somebody sees it."""
    parts = np.array(rgb(colour)) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    x, y, z = XYZ @ np.clip(np.asarray(seen) @ linear, 0, 1) / [0.95047, 1, 1.08883]
    fx, fy, fz = (np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


@pytest.mark.parametrize("who", SEEN)
def test_colours_are_apart_for_everybody(who: str) -> None:
    for a, b in combinations(COLOURS, 2):
        assert np.linalg.norm(_lab(COLOURS[a], SEEN[who]) - _lab(COLOURS[b], SEEN[who])) > 25, (a, b)


def test_ink_can_be_read_on_every_colour() -> None:
    for colour in (*COLOURS.values(), UNCLEAR):
        assert contrast(ink_on(colour), colour) >= 4.5, colour
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_letters_stand_for_one_expression_each() -> None:
    letters = [letters_of(name, EXPRESSIONS) for name in EXPRESSIONS]
    assert letters == ["Ne", "An", "Co", "Di", "Fe", "Ha", "Sa", "Su"]
    assert [letters_of(name, ("happy", "hapless")) for name in ("happy", "hapless")] == ["Happ", "Hapl"]
