"""The server's own folder for uploads and results: gone when the server ends, and after a crash at the next start."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "tfen-app-"
LOCK = ".lock"
FRESH = 60.0
"""Seconds for which a folder without a lock may belong to a server that is just starting."""


@contextmanager
def own_folder() -> Iterator[Path]:
    """Give an empty folder that nobody else can read; folders of servers that ended without clearing are deleted."""
    base = Path(tempfile.gettempdir())
    clear_left(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    with FileLock(folder / LOCK):
        try:
            yield folder
        finally:
            for path in folder.iterdir():
                if path.name != LOCK:
                    shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def clear_left(base: Path) -> None:
    """Delete the folders in `base` of this user's servers that do not run any more."""
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or not folder.is_dir() or not _is_mine(folder):
                continue
            lock = folder / LOCK
            if not lock.exists() and time.time() - folder.stat().st_mtime < FRESH:
                continue
            try:
                with FileLock(lock, timeout=0):
                    pass
            except Timeout:
                continue
            shutil.rmtree(folder, ignore_errors=True)


def _is_mine(folder: Path) -> bool:
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
