"""Writing files so that nothing half-written is ever seen, and reading small ones with a clear error."""

import csv
import errno
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tfen.errors import InputError, TfenError


def must_be_new(folder: Path, problem: str = "is not empty", but: Path | None = None) -> None:
    """Check that a folder to write is not there yet, or empty.

    Args:
        problem: what is wrong with the folder otherwise, for the message.
        but: what may lie in it.

    Raises:
        InputError: it is there and holds something, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(path != but for path in folder.iterdir())):
        raise InputError(f"{folder} exists and {problem}; choose a new folder")


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn what can go wrong while writing `path` into one clear sentence."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise TfenError(f"the disk is full: {path} was not written; free some space and run it again") from None
        if isinstance(error, PermissionError):
            raise TfenError(f"may not write {path}; choose another folder or change its permissions") from None
        if isinstance(error, (NotADirectoryError, FileExistsError)):
            raise InputError(f"cannot write {path}: a file is where a folder is needed; choose another place") from None
        if error.errno in (errno.EROFS, errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.EIO):
            raise InputError(f"cannot write {path}: {error.strerror}; choose another place") from None
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it replaces `path` when the block ends well and vanishes otherwise."""
    with clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".part-{path.name}")  # always the same: what a killed process left is written over
        try:
            part.touch()
            yield part
            part.chmod(0o644)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; it becomes `path` when the block ends well and vanishes otherwise."""
    with clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".part-{path.name}")
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            yield part
            part.chmod(0o755)
            if path.exists():
                shutil.rmtree(path)
            part.replace(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file; numbers that are none (NaN, infinite), which JSON does not have, become null."""
    write_text(path, json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def write_yaml(path: Path, value: Any) -> None:
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; `what` names it in the error."""
    try:
        if not path.exists() or path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: expected {what}") from None
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path} is not {what}: {error}") from None
    raise InputError(f"{path} is not {what}: it is no ordinary file")  # a pipe, which would be waited for


def read_values(path: Path, what: str, needed: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """Read a JSON file that holds named values, and check that those in `needed` are there and of their types."""
    values = read_json(path, what)
    if not isinstance(values, dict):
        raise InputError(f"{path} is not {what}: expected named values")
    for name, kind in needed.items():
        value = values.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"{path} is not {what}: {name} is {str(value)[:40]!r} or missing")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{path} is not {what}: {name} is {value}")
    return values


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read a YAML file that holds named values; `what` names it in the error."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: expected {what}") from None
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path} is not {what}: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is not {what}: expected named values")
    return values


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path, needed: Sequence[str], what: str) -> list[dict[str, str]]:
    """Read a CSV file with a header; columns in `needed` must be there."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in needed if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path} has no column {', '.join(missing)}: {what} needs the columns {', '.join(needed)}"
                )
            return list(reader)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: expected {what}") from None
    except (ValueError, csv.Error, OSError) as error:
        raise InputError(f"{path} is not {what}: {error}") from None
