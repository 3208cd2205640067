"""Analyses one after the other: a bounded queue, a worker, results that are kept for a while."""

import asyncio
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfen.app.uploads import Limits, Refused, judge, receive, shown_name
from tfen.errors import TfenError
from tfen.files import read_csv
from tfen.inference.analysis import SUMMARY_BEFORE, AnalysisInput, Wanted, analyze
from tfen.inference.analyzer import Analyzer
from tfen.inference.rows import EPISODES
from tfen.progress import say


@dataclass
class Job:
    """An upload on its way to results. `state` is waiting, working, done or failed."""

    id: str
    name: str
    folder: Path
    kind: str = ""
    seconds: float = 0.0
    state: str = "waiting"
    error: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    share: float = 0.0
    finished: float | None = None
    gone: bool = False

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def status(self) -> dict[str, Any]:
        """Return what a client is told."""
        return {
            "id": self.id, "name": self.name, "kind": self.kind, "state": self.state, "error": self.error,
            "results": len(self.rows), "share": round(self.share, 3),
        }  # fmt: skip


class Jobs:
    """All jobs of a server.

    Args:
        folder: for uploads and results.
        analyzer: does the work.
        limits: of uploads and the queue.
    """

    def __init__(self, folder: Path, analyzer: Analyzer, limits: Limits) -> None:
        self.folder, self.analyzer, self.limits = folder, analyzer, limits
        self._jobs: dict[str, Job] = {}
        self._busy = 0
        self._pool = ThreadPoolExecutor(1)
        self._lock = threading.Lock()
        self._lately: deque[float] = deque([5.0], maxlen=10)

    def close(self) -> None:
        for job in self._jobs.values():
            job.gone = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def find(self, id: str) -> Job:
        """Return a job.

        Raises:
            Refused: there is none of that name.
        """
        self._tidy()
        job = self._jobs.get(id)
        if job is None or job.gone:
            raise Refused(404, "there is no such analysis; results are kept for a while only")
        return job

    def wait_for(self) -> int:
        """Return in how many seconds a place in the queue is likely to be free."""
        return max(1, round(sum(self._lately) / len(self._lately)))

    async def add(self, chunks: AsyncIterator[bytes], announced: str | None, name: str, annotate: bool) -> Job:
        """Take an upload and queue it.

        Raises:
            Refused: the queue is full, or the upload is not fit.
        """
        with self._lock:
            if self._busy >= self.limits.waiting:
                raise Refused(429, f"too many films wait; come back in {self.wait_for()} seconds")
            self._busy += 1
        self._tidy()
        id = secrets.token_urlsafe(12)
        job = Job(id, shown_name(name), self.folder / id)
        try:
            job.folder.mkdir()
            await receive(chunks, announced, job.folder / "upload", self.limits)
            job.kind, job.seconds = await asyncio.to_thread(judge, job.folder / "upload", self.limits)
        except BaseException:
            shutil.rmtree(job.folder, ignore_errors=True)
            with self._lock:
                self._busy -= 1
            raise
        self._jobs[id] = job
        self._pool.submit(self._work, job, annotate)
        return job

    def remove(self, job: Job) -> None:
        """Forget a job and delete its files; one that is worked on stops soon."""
        job.gone = True
        self._jobs.pop(job.id, None)
        if job.finished is not None:
            shutil.rmtree(job.folder, ignore_errors=True)

    def _work(self, job: Job, annotate: bool) -> None:
        begin = time.monotonic()
        try:
            if not job.gone:
                job.state = "working"
                self._analyze(job, annotate, begin)
                job.state = "done"
        except TfenError as error:
            job.state, job.error = "failed", str(error).replace(str(job.folder / "upload"), job.name)
        except Exception as error:
            say(f"{job.name}: {error!r}")
            job.state, job.error = "failed", "the analysis failed; the server's log says why"
        finally:
            for upload in job.folder.glob("upload*"):
                upload.unlink(missing_ok=True)
            job.finished = time.monotonic()
            with self._lock:
                self._busy -= 1
                self._lately.append(job.finished - begin)
            if job.gone:
                shutil.rmtree(job.folder, ignore_errors=True)

    def _analyze(self, job: Job, annotate: bool, begin: float) -> None:
        path = job.folder / ("upload.png" if job.kind == "photograph" else "upload.film")
        (job.folder / "upload").rename(path)

        def listen(row: dict[str, Any]) -> None:
            job.rows.append(row)
            job.share = min(1.0, row["time"] / job.seconds) if job.seconds else 0.0
            if job.gone:
                raise TfenError("the analysis was given up")
            if time.monotonic() - begin > self.limits.work_seconds:
                raise TfenError(f"the analysis took longer than {self.limits.work_seconds:g} seconds")

        wanted = Wanted(annotate=annotate, pictures=False)
        analyze([AnalysisInput(job.name, "file", path)], job.out, self.analyzer, wanted, {}, listen)
        job.share = 1.0

    def _tidy(self) -> None:
        """Delete results that are old, and the oldest where there are too many."""
        done = sorted(
            (job for job in list(self._jobs.values()) if job.finished is not None), key=lambda job: job.finished or 0
        )
        now = time.monotonic()
        for k, job in enumerate(done):
            if now - (job.finished or now) > self.limits.kept_seconds or k < len(done) - self.limits.kept:
                self.remove(job)


def whole(job: Job) -> dict[str, Any]:
    """Return all that was found, as plain values."""
    episodes = [
        {**one, "face": int(one["face"]), **{name: float(one[name]) for name in EPISODES[3:]}}
        for one in read_csv(job.out / "episodes.csv", EPISODES, "episodes")
    ]
    numbers = ("first", "last", "confidence")
    people = [
        {
            **{name: value for name, value in one.items() if name not in numbers},
            "face": int(one["face"]), "results": int(one["results"]), "episodes": int(one["episodes"]),
            **{name: float(value) for name, value in one.items() if name in numbers or name.startswith("share_")},
        }
        for one in read_csv(job.out / "summary.csv", SUMMARY_BEFORE, "a summary")
    ]  # fmt: skip
    return {**job.status(), "results": job.rows, "episodes": episodes, "summary": people}
