"""Analyses one after the other: a bounded queue, a worker, results that are kept for a while."""

import asyncio
import json
import re
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfen.app.answers import Person
from tfen.app.settings import Limits
from tfen.app.uploads import FormFile, Refused, judge, receive, shown_name
from tfen.app.wishes import Analyzers, JobWishes
from tfen.errors import Cancelled, TfenError
from tfen.files import read_csv
from tfen.inference.analysis import Wanted, analyze
from tfen.inference.inputs import AnalysisInput
from tfen.inference.tables import FILES
from tfen.progress import say
from tfen.video.reading import Frame

UNATTENDED = 4.0
"""Seconds without a listener after which an attended analysis is given up; a page that is loaded anew takes less."""


@dataclass
class Job:
    """An upload on its way to results. `state` is waiting, working, done or failed."""

    id: str
    name: str
    folder: Path
    wishes: JobWishes
    path: Path = Path()
    """Where the upload lies until it was analyzed."""
    kind: str = ""
    seconds: float = 0.0
    state: str = "waiting"
    error: str = ""
    complete: bool | None = None
    """Whether all of the film was read; None before the end."""
    reason: str = ""
    """Why it was not."""
    reached: float = 0.0
    """Seconds of the film that have been read."""
    count: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Results while it is worked on; afterwards they are in the folder alone."""
    share: float = 0.0
    began: float | None = None
    finished: float | None = None
    cancelled: bool = False
    listeners: int = 0
    left: float = field(default_factory=time.monotonic)
    """When the last listener left."""
    people: Sequence[Person] = ()
    """What a user knows of the faces."""
    renamed: Path | None = None
    """Folder of the results as the user knows the people."""

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def results(self) -> list[dict[str, Any]]:
        """Return the rows of the results so far."""
        rows = self.rows
        if self.finished is None:
            return list(rows)
        path = self.out / "results.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    @contextmanager
    def listened(self) -> Iterator[None]:
        """Count a listener while the block runs."""
        self.listeners += 1
        try:
            yield
        finally:
            self.listeners -= 1
            self.left = time.monotonic()


class Jobs:
    """All jobs of a server.

    Args:
        folder: for uploads and results.
        analyzers: do the work.
        limits: of uploads and the queue.
    """

    def __init__(self, folder: Path, analyzers: Analyzers, limits: Limits) -> None:
        self.folder, self.analyzers, self.limits = folder, analyzers, limits
        self._jobs: dict[str, Job] = {}
        self._queue: deque[Job] = deque()
        self._receiving = 0
        self._working: Job | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._pace = 1.0
        """Seconds of work for a second of film."""
        self._worker = threading.Thread(target=self._run, daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Give everything up and wait for the worker."""
        with self._changed:
            self._closed = True
            for job in self._jobs.values():
                job.cancelled = True
            self._changed.notify_all()
        self._worker.join(20)

    def find(self, id: str) -> Job:
        """Return a job.

        Raises:
            Refused: there is none of that name.
        """
        self.tidy()
        job = self._jobs.get(id)
        if job is None:
            raise Refused(404, "there is no such analysis; results are kept for a while only")
        return job

    def status(self, job: Job) -> dict[str, Any]:
        """Return what a client is told of a job."""
        place, left = self._place(job)
        return {
            "id": job.id, "name": job.name, "kind": job.kind, "state": job.state, "error": job.error,
            "complete": job.complete, "reason": job.reason, "reached": round(job.reached, 3),
            "seconds": round(job.seconds, 3), "count": job.count, "share": round(job.share, 3), "place": place,
            "left": left, "annotated": job.wishes.annotate and job.kind == "film",
            "settings": job.wishes.model_dump(exclude={"name", "annotate", "attended"}),
        }  # fmt: skip

    def wait_for(self) -> int:
        """Return in how many seconds a place in the queue is likely to be free."""
        working = self._working
        return max(1, round(self._left(working))) if working is not None else 1

    def _left(self, job: Job) -> float:
        """Return how many seconds of work a job still is, as far as can be told."""
        expected = 0.5 + self._pace * max(job.seconds, 0.5)
        if job.began is None:
            return expected
        spent = time.monotonic() - job.began
        return spent / job.share - spent if job.share > 0.1 else max(0.5, expected - spent)

    def _place(self, job: Job) -> tuple[int, float | None]:
        """Return how many films come before a job, and in how many seconds it is likely to be done."""
        with self._changed:
            before = list(self._queue)
            working = self._working
        if job.finished is not None:
            return 0, None
        if job not in before:
            return 0, round(self._left(job), 1)
        ahead = ([working] if working is not None else []) + before[: before.index(job)]
        return len(ahead), round(sum(self._left(one) for one in (*ahead, job)), 1)

    async def add(self, chunks: AsyncIterator[bytes] | FormFile, announced: str | None, wishes: JobWishes) -> Job:
        """Take an upload and queue it.

        Raises:
            Refused: the queue is full, the upload is not fit, or a wish cannot be met.
        """
        self.analyzers.check(wishes)
        with self._changed:
            if self._receiving + len(self._queue) + (self._working is not None) >= self.limits.waiting:
                raise Refused(429, f"too many films wait; come back in {self.wait_for()} seconds")
            self._receiving += 1
        id = secrets.token_urlsafe(12)
        job = Job(id, shown_name(wishes.name), self.folder / id, wishes)
        try:
            job.folder.mkdir()
            await receive(aiter(chunks), announced, job.folder / "upload", self.limits)
            if isinstance(chunks, FormFile) and not wishes.name:
                job.name = shown_name(chunks.name)
            judged = await asyncio.to_thread(judge, job.folder / "upload", self.limits)
            job.kind, job.seconds = judged.kind, judged.seconds
            job.path = (job.folder / "upload").rename(job.folder / f"upload{judged.suffix}")
        except BaseException:
            shutil.rmtree(job.folder, ignore_errors=True)
            with self._changed:
                self._receiving -= 1
            raise
        job.left = time.monotonic()
        with self._changed:
            self._receiving -= 1
            self._jobs[id] = job
            self._queue.append(job)
            self._changed.notify_all()
        return job

    def remove(self, job: Job) -> None:
        """Forget a job and delete its files; one that is worked on stops at once, and then its files go."""
        with self._changed:
            job.cancelled = True
            self._jobs.pop(job.id, None)
            if job in self._queue:
                self._queue.remove(job)
            elif job is self._working:
                return
        shutil.rmtree(job.folder, ignore_errors=True)

    def tidy(self) -> None:
        """Delete results that are old, the oldest where there are too many, and what nobody attends to any more."""
        now = time.monotonic()
        jobs = list(self._jobs.values())
        done = sorted((job for job in jobs if job.finished is not None), key=lambda job: job.finished or 0)
        for k, job in enumerate(done):
            if now - (job.finished or now) > self.limits.kept_seconds or k < len(done) - self.limits.kept:
                self.remove(job)
        for job in jobs:
            if job.wishes.attended and job.finished is None and not job.listeners and now - job.left > UNATTENDED:
                self.remove(job)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                job = self._working = self._queue.popleft()
            self._work(job)
            with self._changed:
                self._working = None
            if job.cancelled:
                shutil.rmtree(job.folder, ignore_errors=True)

    def _work(self, job: Job) -> None:
        job.began = time.monotonic()
        state = "failed"
        try:
            job.state = "working"
            self._analyze(job)
            state = "done"
        except Cancelled:
            job.error = "the analysis was given up"
        except TfenError as error:
            job.error = re.sub(re.escape(str(job.folder / "upload")) + r"(\.\w+)?", lambda _: job.name, str(error))
        except Exception as error:
            say(f"{job.name}: {error!r}")
            job.error = "the analysis failed; the server's log says why"
        for upload in job.folder.glob("upload*"):
            upload.unlink(missing_ok=True)
        spent = time.monotonic() - job.began
        if state == "done" and job.reached > 0:
            self._pace += 0.3 * (spent / job.reached - self._pace)
        job.state = state
        job.finished = time.monotonic()
        job.rows = []

    def _analyze(self, job: Job) -> None:
        began = job.began or 0.0

        def watch(frame: Frame) -> None:
            if job.cancelled:
                raise Cancelled
            if time.monotonic() - began > self.limits.work_seconds:
                raise TfenError(f"the analysis took longer than {self.limits.work_seconds:g} seconds")
            job.reached = frame.time
            job.share = min(1.0, frame.time / job.seconds) if job.seconds else 0.0

        def listen(row: dict[str, Any]) -> None:
            if job.cancelled:
                raise Cancelled
            job.rows.append(row)
            job.count = len(job.rows)

        wanted = Wanted(annotate=job.wishes.annotate, pictures=False, elan=True, boris=True, xlsx=True, media=False)
        source = AnalysisInput(job.name, "file", job.path)
        analyze([source], job.out, self.analyzers.make(job.wishes), wanted, {}, listen, watch)
        [file] = read_csv(job.out / "files.csv", FILES, "a table of files")
        job.complete, job.reason, job.reached = file["status"] != "broke off", file["note"], float(file["seconds"])
        job.share = 1.0


def whole(jobs: Jobs, job: Job) -> dict[str, Any]:
    """Return all results of a finished job, as plain values."""
    out = job.renamed or job.out
    tables = {
        name: [_numbers(one) for one in read_csv(out / f"{name}.csv", ("file", "face"), name)]
        for name in ("episodes", "summary")
    }
    path = out / "results.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    people = [one.model_dump() for one in job.people]
    return {**jobs.status(job), "results": rows, **tables, "people": people}


def _numbers(row: dict[str, str]) -> dict[str, Any]:
    """Return a row of a table with its numbers as such."""
    return {key: _value(key, value) for key, value in row.items()}


def _value(column: str, text: str) -> Any:
    if column in ("file", "expression", "main", "name"):
        return text
    if column in ("face", "results", "episodes"):
        return int(text)
    return float(text) if text else None
