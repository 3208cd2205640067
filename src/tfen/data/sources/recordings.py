"""What a reader of official folders finds: recordings with labels, what was left out and why, and what is odd."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfen.data.prepared import natural
from tfen.errors import InputError
from tfen.video.media import IMAGES


@dataclass(frozen=True)
class Recording:
    """One labelled recording in its source: image files in order, or a film.

    `landmarks` are files beside the images (CK+), as many as images or none. `cropped` says that the images hold the
    face alone. `both_views` says that a film shows a second view beside the frontal one.
    """

    name: str
    subject: str
    expression: str
    files: tuple[Path, ...] = ()
    video: Path | None = None
    landmarks: tuple[Path, ...] = ()
    cropped: bool = False
    both_views: bool = False


@dataclass
class Findings:
    """All recordings of a source; `left_out` names the others with the reason, `notes` what a user should know."""

    recordings: list[Recording] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    unlabelled: int = 0
    notes: list[str] = field(default_factory=list)
    folds: list[dict[str, str]] = field(default_factory=list)
    """Official folds: rows of fold, sequence, part."""


@dataclass(frozen=True)
class Published:
    """The published size of a data set."""

    sequences: int
    subjects: int | None
    per_expression: dict[str, int] = field(default_factory=dict)

    def differences(self, recordings: Iterable[Recording]) -> list[str]:
        """Return one sentence for each count that is not the published one."""
        own = list(recordings)
        counts = Counter(one.expression for one in own)
        differences = [("sequences", len(own), self.sequences)]
        if self.subjects is not None:
            differences.append(("subjects", len({one.subject for one in own}), self.subjects))
        differences += [(f"sequences of {name}", counts[name], count) for name, count in self.per_expression.items()]
        return [
            f"{count} {what}, published are {published}" for what, count, published in differences if count != published
        ]


@dataclass(frozen=True, kw_only=True)
class ReaderOptions:
    """What can be chosen when a data set is read; a data set with choices of its own has a subclass."""

    def changes(self) -> dict[str, Any]:
        """Return what the choices change in `PrepareSettings`."""
        return {}


@dataclass(frozen=True, kw_only=True)
class DatasetReader:
    """A data set that can be prepared: `tfen prepare NAME` is made of this.

    `about` says what it is, in one sentence, `source` what the folder holds that one gives; `read(source, options)`
    returns the recordings; `published` are the counts that are checked; `example` is a whole command.
    """

    title: str
    about: str
    source: str
    read: Callable[[Path, Any], Findings]
    example: str
    options: type[ReaderOptions] = ReaderOptions
    published: Published | None = None
    subjects_named: bool = True
    """Whether the data set says who its people are; if not, each sequence counts as a subject of its own."""


def children(folder: Path) -> list[Path]:
    """Return what a folder holds in natural order, without hidden files.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        return sorted((path for path in folder.iterdir() if path.name[0] not in "._"), key=lambda p: natural(p.name))
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}") from None


def folders(folder: Path) -> list[Path]:
    return [path for path in children(folder) if path.is_dir()]


def images(folder: Path) -> tuple[Path, ...]:
    return tuple(path for path in children(folder) if path.suffix.lower() in IMAGES and path.is_file())


def inside(path: Path, root: Path) -> bool:
    """Tell whether a path, links resolved, lies inside the source."""
    return path.resolve().is_relative_to(root.resolve())
