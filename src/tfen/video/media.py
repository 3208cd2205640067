"""Which files are photographs and which are films."""

from pathlib import Path

IMAGES = (
    ".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".heif", ".hif", ".avif",
)  # fmt: skip
"""Endings of photographs, in every command; some of them can hold several pictures that move."""
VIDEOS = (
    ".mp4", ".m4v", ".mov", ".qt", ".avi", ".divx", ".mkv", ".webm", ".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".mts", ".m2ts",
    ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".ogg", ".dv", ".mxf", ".mj2", ".gif",
)  # fmt: skip
"""Endings of films, in every command."""


def is_hidden(path: Path, below: Path) -> bool:
    """Tell whether a file, or a folder on the way to it from `below`, is hidden: systems' own notes, no pictures."""
    return any(part.startswith(".") for part in path.relative_to(below).parts)
