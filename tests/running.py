"""Runs the command in a process of its own that is forked from one in which everything is imported already."""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from subprocess import CompletedProcess

SECONDS = 300
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    [
        "tfen.cli", "tfen.training.averaging", "tfen.inference.analysis", "tfen.evaluation.comparison",
        "tfen.evaluation.figures", "tfen.evaluation.leakage", "tfen.evaluation.report", "tfen.synth.generate",
    ]
)  # fmt: skip


def run(arguments: list[str], cwd: Path | None = None) -> CompletedProcess[str]:
    """Run `tfen` with arguments, as a user does, and return what it said and its exit code."""
    with tempfile.TemporaryDirectory() as place:
        out, error = Path(place, "out"), Path(place, "error")
        process = FORKING.Process(target=_command, args=(arguments, cwd or Path.cwd(), dict(os.environ), out, error))
        process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"tfen {' '.join(arguments)} took more than {SECONDS} seconds: {error.read_text()}")
        return CompletedProcess(["tfen", *arguments], process.exitcode, out.read_text(), error.read_text())


def _command(arguments: list[str], cwd: Path, environment: dict[str, str], out: Path, error: Path) -> None:
    for number, path in ((1, out), (2, error)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8") for number in (1, 2))  # noqa: PTH123, SIM115
    os.environ.clear()  # the process that this one was forked from may have had others
    os.environ.update({**environment, "COLUMNS": "200"})
    os.chdir(cwd)
    from tfen import cli

    cli.main(arguments)
