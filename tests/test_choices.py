"""Choices by name: listed in order, checked everywhere, extended in one place."""

from typing import Annotated

import pytest

from tfen.choices import Choices, choices_in
from tfen.errors import InputError


def test_an_unknown_name_is_an_error_that_lists_the_names_and_the_nearest() -> None:
    table = Choices("norm", {"squared": 2, "absolute": 1})
    assert table["absolute"] == 1
    with pytest.raises(InputError, match=r"the norm 'squard' is unknown; choose from squared, absolute \(did you mean"):
        table["squard"]
    with pytest.raises(InputError, match=r"--norm is 'x'; choose from squared, absolute$"):
        table.check("x", "--norm")


def test_what_is_added_is_there_until_it_is_removed_and_no_name_is_taken_twice() -> None:
    table = Choices("norm", {"squared": 2})
    table.add("cubed", 3)
    assert list(table) == ["squared", "cubed"]
    with pytest.raises(InputError, match="there already"):
        table.add("cubed", 4)
    table.remove("cubed")
    assert "cubed" not in table


def test_a_type_knows_its_table() -> None:
    table = Choices("norm", {"squared": 2})
    assert choices_in(Annotated[str, table]) is table
    assert choices_in(tuple[Annotated[str, table], ...]) is table
    assert choices_in(Annotated[str, table] | None) is table
    assert choices_in(int) is None
