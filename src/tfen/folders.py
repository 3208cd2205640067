"""Folders that a command makes and goes on with: "is this folder mine, and made with these settings?"

Every kind of folder has a marker, a file with the settings that it was begun with, and a format with a number of its
own. A folder of an earlier version of the program is gone on with as long as its format has the same number; settings
that did not exist then have their default.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfen import __version__
from tfen.errors import InputError
from tfen.files import must_be_new, read_json, read_yaml, write_json, write_yaml


@dataclass(frozen=True)
class Format:
    """A kind of folder.

    `what` names it in messages ("a synthetic set"), `marker` is the file that says what it was begun with (JSON or
    YAML), and `number` counts the changes after which older folders cannot be read.
    """

    what: str
    marker: str
    number: int = 1

    def stamp(self) -> dict[str, Any]:
        """Return what every marker begins with: the program's version and the format's number."""
        return {"tfen": __version__, "format": self.number}

    def check(self, values: Mapping[str, Any], where: Path) -> None:
        """Check that a marker's values are of this format; those without a number are of the first.

        Raises:
            InputError: they are not.
        """
        number = values.get("format", 1)
        if number != self.number:
            raise InputError(
                f"{where} is {self.what} in format {number}, made by tfen {values.get('tfen')}; tfen {__version__} reads "
                f"format {self.number}: use that version, or make it again"
            )


def claim(
    folder: Path,
    format: Format,
    settings: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    grows: Callable[[str, Any, Any], bool] = lambda name, before, now: False,
    ignore: frozenset[str] = frozenset(),
) -> bool:
    """Begin a folder, or check that it is one that was begun with the same settings.

    Args:
        settings: values and groups of values, as JSON or YAML keep them; they are written to the marker.
        defaults: what settings that an older marker lacks were then, in the same groups.
        grows: tells whether a folder with a setting's value before is part of one with its value now; both are given.
        ignore: settings that may differ.

    Returns:
        whether the folder was there before.

    Raises:
        InputError: the folder holds something else.
    """
    marker = folder / format.marker
    stamped = {**format.stamp(), **settings}
    yaml = marker.suffix == ".yaml"
    write = write_yaml if yaml else write_json
    if not marker.exists():
        must_be_new(folder, f"holds no {format.what.partition(' ')[2]}")
        write(marker, stamped)
        return False
    begun = (read_yaml if yaml else read_json)(marker, f"the settings of {format.what}")
    if not isinstance(begun, dict):
        raise InputError(f"{marker} is not the settings of {format.what}: expected named values")
    format.check(begun, marker)
    old, new = {**_flat(defaults or {}), **_flat(begun)}, _flat(settings)
    grown = False
    for name in (*new, *(name for name in old if name not in new)):
        before, now = old.get(name), new.get(name)
        if before == now or name in ignore or name in ("tfen", "format"):
            continue
        if not grows(name, before, now):
            raise InputError(
                f"{folder} holds {format.what} with {name} = {_shown(before)}, not {_shown(now)}; choose another folder, "
                "or the same settings"
            )
        grown = True
    if grown:
        write(marker, stamped)
    return True


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return grouped values with dots in their names, as JSON gives them back; the group "settings" has no name."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            out.update(_flat(value, prefix if name == "settings" else f"{prefix}{name}."))
        else:
            out[f"{prefix}{name}"] = list(value) if isinstance(value, tuple) else value
    return out


def _shown(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
