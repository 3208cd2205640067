"""Choices by name: one table for each choice; a name that is not in its table is an error that lists what there is.

A setting refers to its table in its type, `variant: Annotated[str, VARIANTS]`: settings are checked by it, the command
line's help lists its names, and who adds an entry adds it everywhere.
"""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Generic, TypeVar, get_args, get_origin

from tfen.errors import InputError

T = TypeVar("T")


class Choices(Mapping[str, T], Generic[T]):
    """What can be chosen, by name, in the order in which it is listed.

    Args:
        what: the thing that is chosen, for messages: "network", "preset".
        entries: what each name stands for.
    """

    def __init__(self, what: str, entries: Mapping[str, T]) -> None:
        self.what, self._entries = what, dict(entries)

    __hash__ = object.__hash__  # a type that refers to a table is put into dictionaries

    def __getitem__(self, name: str) -> T:
        """Return what a name stands for.

        Raises:
            InputError: there is no such name.
        """
        self.check(name)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._entries

    def texts(self) -> dict[str, str]:
        """Return the line for the help of every entry that has one, by name."""
        return {name: entry.text for name, entry in self._entries.items() if hasattr(entry, "text")}

    def add(self, name: str, entry: T) -> None:
        """Add an entry, such as one of your own.

        Raises:
            InputError: the name is taken.
        """
        if name in self._entries:
            raise InputError(f"the {self.what} {name!r} is there already; choose another name")
        self._entries[name] = entry

    def remove(self, name: str) -> None:
        """Take an entry out again."""
        self.check(name)
        del self._entries[name]

    def check(self, name: object, where: str = "") -> None:
        """Check that a name is in the table.

        Args:
            where: the flag or setting that holds the name, for the message.

        Raises:
            InputError: it is not; the message lists the names and the nearest one.
        """
        if name in self:
            return
        near = get_close_matches(str(name), self._entries, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        found = f"{where} is {name!r}" if where else f"the {self.what} {name!r} is unknown"
        raise InputError(f"{found}; choose from {', '.join(self._entries)}{hint}")


def function_at(place: str) -> Callable[..., Any]:
    """Return the function that a light table names as module:function, so that its module is imported only now."""
    module, _, name = place.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def choices_in(kind: Any) -> Choices[Any] | None:
    """Return the table that a type refers to (`Annotated[str, TABLE]`, also in a tuple or beside None), or None."""
    for one in getattr(kind, "__metadata__", ()):
        if isinstance(one, Choices):
            return one
    if get_origin(kind) is not None:
        for one in get_args(kind):
            table = choices_in(one)
            if table is not None:
                return table
    return None
