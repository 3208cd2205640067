"""Expressions and their one canonical order, used by every file, table and network of the project."""

from collections.abc import Iterable

from tfen.errors import InputError

EXPRESSIONS = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""All expressions, in canonical order. A data set or a weights file has a subset, in this order."""

ABBREVIATIONS = {name: name[:2].capitalize() for name in EXPRESSIONS}
"""Two letters as the paper's tables print them: Ne, An, Co, Di, Fe, Ha, Sa, Su."""

SYNONYMS = {
    "happy": "happiness",
    "smile": "happiness",
    "smiling": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "surprised": "surprise",
    "contemptuous": "contempt",
}


def canonical(name: str) -> str:
    """Return the canonical expression that a folder or column means by `name`.

    Case and surrounding blanks do not matter and common forms ("happy", "smiling") are understood.
    A name that is no basic expression is kept in lower case, so that sets with classes of their own work.
    """
    key = name.strip().lower()
    return SYNONYMS.get(key, key)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct expressions in canonical order; unknown ones follow, alphabetically.

    Raises:
        InputError: fewer than two expressions.
    """
    found = set(names)
    known = [name for name in EXPRESSIONS if name in found]
    ordered = (*known, *sorted(found - set(known)))
    if len(ordered) < 2:
        raise InputError(
            f"found {len(ordered)} expression ({', '.join(ordered) or 'none'}); at least two are needed to tell apart"
        )
    return ordered
