"""Help as people look for it: settings by part, choices from their tables, the defaults of the preset that is given."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from cyclopts.help import DefaultFormatter, HelpEntry, HelpPanel
from rich.text import Text

from tfen.choices import Choices, choices_in
from tfen.cli.options import base_settings, flag_names, flag_parts
from tfen.config import plain
from tfen.errors import InputError

PARTS = {
    "model": "Network",
    "data": "Frames and clips",
    "face": "Face pretraining",
    "train": "Training",
    "folds": "Folds, and the epoch that counts",
}
"""The parts of an experiment's settings, and the headings under which their flags stand."""


def shown(default: Any) -> Any:
    """Return a default as one would type it."""
    return (" ".join(map(str, default)) or "none") if isinstance(default, (tuple, list)) else default


class Help:
    """Prints the help of the command that is `function`, called with `arguments`."""

    def __init__(self, function: Callable[..., Any], arguments: Sequence[str]) -> None:
        self._function, self._arguments = function, arguments
        self._format = DefaultFormatter()

    def __call__(self, console: Any, options: Any, panel: HelpPanel) -> None:
        if panel.format != "parameter":
            self._format(console, options, panel)
            return
        tables, defaults = dict(_tables(self._function)), _defaults(self._arguments)
        entries = [_completed(entry, tables, defaults) for entry in panel.entries]
        for part, title in ((None, panel.title), *PARTS.items()):
            own = [entry for entry in entries if _part(entry) == part]
            if own:
                self._format(console, options, panel.copy(entries=own, title=title))


def _part(entry: HelpEntry) -> str | None:
    part, dot, _ = (entry.names or ("",))[0].lstrip("-").partition(".")
    return part if dot and part in PARTS else None


def _completed(entry: HelpEntry, tables: dict[str, Choices[Any]], defaults: dict[str, Any]) -> HelpEntry:
    flag = (entry.names or ("",))[0].lstrip("-")
    if flag in tables:
        texts = {} if flag == "variant" else tables[flag].texts()  # --model.variant tells them
        entry = entry.copy(choices=None if texts else tuple(tables[flag]), metavar="CHOICE")
        if texts:
            entry.description.append(Text(" ".join(f"{name}: {text}." for name, text in texts.items())))
    if flag in defaults:
        value = shown(defaults[flag])
        entry = entry.copy(default=None if value is None else str(value))
    return entry


def _tables(function: Callable[..., Any]) -> Iterator[tuple[str, Choices[Any]]]:
    """Yield the flags of a command that choose from a table, and the tables."""
    hints = get_type_hints(function, include_extras=True)
    for name in inspect.signature(function).parameters:
        kind = hints.get(name)
        inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        if is_dataclass(inner):
            nested = get_origin(kind) is not Annotated
            yield from _of_fields(inner, f"{name}." if nested else "")
        else:
            table = choices_in(kind)
            if table is not None:
                yield name.replace("_", "-"), table


def _of_fields(kind: Any, prefix: str) -> Iterator[tuple[str, Choices[Any]]]:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if is_dataclass(hint):
            yield from _of_fields(hint, f"{prefix}{name}.")
        else:
            table = choices_in(hint)
            if table is not None:
                yield f"{prefix}{name}".replace("_", "-"), table


def _defaults(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the settings' defaults under the --preset or --settings that a command line gives."""
    given = {}
    for flag in ("preset", "settings", "variant", "seed"):
        for k, argument in enumerate(arguments):
            if argument == f"--{flag}" and k + 1 < len(arguments):
                given[flag] = arguments[k + 1]
            elif argument.startswith(f"--{flag}="):
                given[flag] = argument.partition("=")[2]
    try:
        base = plain(base_settings(given))
    except InputError:
        base = plain(base_settings({}))
    out = {}
    for flag in flag_names():
        part, name = flag_parts(flag)
        out[flag] = base[part][name]
    return out
