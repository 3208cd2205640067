"""Expressions and their one canonical order, used by every file, table and network of the project."""

from collections.abc import Iterable
from difflib import get_close_matches

from tfen.errors import InputError

EXPRESSIONS = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""All expressions, in canonical order. A data set or a weights file has a subset, in this order."""

ABBREVIATIONS = {name: name[:2].capitalize() for name in EXPRESSIONS}
"""Two letters as the paper's tables print them: Ne, An, Co, Di, Fe, Ha, Sa, Su."""

SYNONYMS = {
    "neutral": ("ne", "calm", "none", "neutrality", "no expression"),
    "anger": ("an", "angry", "annoyed", "mad"),
    "contempt": ("co", "contemptuous", "scorn", "disdain"),
    "disgust": ("di", "disgusted"),
    "fear": ("fe", "fearful", "afraid", "scared", "frightened", "anxious"),
    "happiness": ("ha", "happy", "smile", "smiling", "joy", "joyful", "amusement"),
    "sadness": ("sa", "sad", "unhappy", "sorrow"),
    "surprise": ("su", "surprised", "astonished", "astonishment"),
}
"""Common words for each expression, as folders and tables have them."""
_MEANT = {word: name for name, words in SYNONYMS.items() for word in (name, *words)}


def canonical(name: str) -> str:
    """Return the canonical expression that a folder or column means by `name`.

    Case and surrounding blanks do not matter, and common words ("happy", "scared") are understood.

    Raises:
        InputError: it means none; the message lists the expressions and the nearest word.
    """
    key = name.strip().lower()
    if key not in _MEANT:
        near = get_close_matches(key, _MEANT, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"{name!r} is no expression; expected one of {', '.join(EXPRESSIONS)}{hint}")
    return _MEANT[key]


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct expressions in canonical order; unknown ones follow, alphabetically.

    Raises:
        InputError: fewer than two expressions.
    """
    present = set(names)
    known = [name for name in EXPRESSIONS if name in present]
    ordered = (*known, *sorted(present - set(known)))
    if len(ordered) < 2:
        raise InputError(
            f"found {len(ordered)} expression ({', '.join(ordered) or 'none'}); at least two are needed to tell apart"
        )
    return ordered
