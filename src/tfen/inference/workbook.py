"""The tables of an analysis as one workbook, which Excel, JASP and SPSS open with letters and numbers as they are."""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from tfen.files import whole_file
from tfen.inference.rows import unescaped

MOST_ROWS = 2**20
"""Rows that a sheet can have; further ones go on in another sheet."""
TEXT_COLUMNS = ("file", "stem", "status", "note", "label", "expression", "main", "name")


def write_workbook(path: Path, tables: Sequence[Path]) -> None:
    """Write a sheet for each table (CSV with a header), named like its file.

    Numbers are numbers and texts are texts, whatever they begin with. Memory does not grow with the tables.
    """
    book = Workbook(write_only=True)
    for table in tables:
        with table.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file)
            header = next(lines)
            number, more = 1, True
            while more:
                name = table.stem if number == 1 else f"{table.stem} {number}"
                more = _fill(book.create_sheet(name), header, lines)
                number += 1
    with whole_file(path) as part:
        book.save(part)


def _fill(sheet: Any, header: Sequence[str], lines: Iterator[list[str]]) -> bool:
    """Write as many rows as a sheet can have; return whether it is full."""
    sheet.freeze_panes = "A2"
    sheet.append([_text(sheet, name) for name in header])
    count = 1
    for cells in islice(lines, MOST_ROWS - 1):
        sheet.append([_cell(sheet, name, value) for name, value in zip(header, cells)])
        count += 1
    return count == MOST_ROWS


def _cell(sheet: Any, name: str, value: str) -> Any:
    if not value:
        return None
    if name in TEXT_COLUMNS:
        return _text(sheet, unescaped(value))
    return int(value) if value.lstrip("-").isdecimal() else float(value)


def _text(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("?", text))
    cell.data_type = "s"
    return cell
