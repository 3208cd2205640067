"""`tfen analyze`: many films, streams and photographs to tables, pictures and annotated films, with resume.

Everything lies in one folder: `results.csv` and `results.jsonl` (a row for each face and time), `episodes.csv`,
`summary.csv` (a row for each face), `files.csv` (a row for each source), `pictures/`, and on request `films/`, `elan/`,
`boris/` and `results.xlsx`. Rows are written as they come; what was written stays valid when the run breaks off, and the same command
goes on with the file it was in.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfen.errors import Cancelled, InputError, TfenError
from tfen.files import clear_errors, read_csv, read_json, write_json
from tfen.folders import claim
from tfen.inference.analyzer import PICTURES_AT_ONCE, Analyzer, Result, as_image
from tfen.inference.annotations import Observation, write_boris, write_elan
from tfen.inference.episodes import Episode, EpisodeFinder
from tfen.inference.inputs import ANALYSIS, AnalysisInput
from tfen.inference.rows import EPISODES, episode_row, row, schema, unescaped
from tfen.inference.settings import AnalyzerSettings
from tfen.inference.tables import FILES, Tables
from tfen.progress import Meter, meter, say
from tfen.spread import Cluster, spread
from tfen.video.media import IMAGES
from tfen.video.photographs import is_animated
from tfen.video.reading import Frame, ReadReport, look_at

if TYPE_CHECKING:
    from tfen.inference.annotate import AnnotatedFilm
    from tfen.inference.picture import SummaryPicture

LONGEST_STEM = 180
"""Bytes of the names of a source's own files: room is left for an ending and a number."""
SHEETS = ("results", "episodes", "summary", "files")
"""Tables that become sheets of results.xlsx."""


@dataclass
class _Person:
    """A face's row in summary.csv, while it grows."""

    first: float
    last: float
    count: int = 0
    confidence: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    episodes: int = 0


@dataclass(frozen=True)
class Wanted:
    """What else is written beside the tables."""

    annotate: bool = False
    pictures: bool = True
    elan: bool = False
    boris: bool = False
    xlsx: bool = False
    media: bool = True
    """Whether the files lie where their names say, so that annotations can refer to them."""


def analyze(
    sources: Sequence[AnalysisInput],
    out: Path,
    analyzer: Analyzer,
    wanted: Wanted,
    about: dict[str, Any],
    listen: Callable[[dict[str, Any]], None] | None = None,
    watch: Callable[[Frame], None] | None = None,
) -> dict[str, int]:
    """Analyze sources one after the other into a folder; files that are done are not done again.

    Args:
        about: settings that make a run another one.
        listen: is given every row of the results; then nothing is shown on the error stream.
        watch: is shown every frame, from another thread. If it raises `Cancelled`, the analysis stops at once; with a
            `TfenError` the source ends there, for that reason.

    Returns:
        counts of the folder: files read, files that are damaged, files that could not be read, faces, episodes.

    Raises:
        InputError: `out` holds something else; or the only source cannot be read.
    """
    state, left = _begin(sources, out, analyzer.expressions, about)
    totals = [_frames(source) for source in left]
    total = None if None in totals else sum(count for count in totals if count)
    with clear_errors(out), ExitStack() as stack:
        tables = Tables(out, analyzer.expressions, state["sizes"])
        stack.callback(tables.close)
        progress = stack.enter_context(meter("analyzing", total, "frames", quiet=listen is not None))
        for group in _groups(left):
            ready = _photographs(group, analyzer)
            for source in group:
                stem = _stem(source, state)
                try:
                    _Run(
                        source, out, analyzer, wanted, tables, progress, stem, listen, ready.get(source.name), watch
                    ).go()
                except InputError as error:
                    if len(sources) == 1:
                        raise
                    say(str(error))
                    tables.add("files.csv", _failed(source, stem, str(error)))
                _note(out, state, source, tables)
    return _counts(out, analyzer.expressions, wanted)


def _groups(sources: Sequence[AnalysisInput]) -> Iterator[list[AnalysisInput]]:
    """Yield the sources in order: photographs in batches, everything else alone."""
    batch: list[AnalysisInput] = []
    for source in sources:
        if source.still:
            batch.append(source)
        if batch and (not source.still or len(batch) == PICTURES_AT_ONCE):
            yield batch
            batch = []
        if not source.still:
            yield [source]
    if batch:
        yield batch


def _photographs(group: Sequence[AnalysisInput], analyzer: Analyzer) -> dict[str, list[Result]]:
    """Return the results of a batch of photographs by name; those that cannot be read are left out."""
    images = {}
    for source in group:
        if source.still and len(group) > 1:
            with suppress(InputError):  # reported when its turn comes
                images[source.name] = as_image(source.file)
    return dict(zip(images, analyzer.images(list(images.values()))))


def analyze_spread(
    sources: Sequence[AnalysisInput],
    out: Path,
    make: Callable[[], Analyzer],
    expressions: Sequence[str],
    wanted: Wanted,
    about: dict[str, Any],
    cluster: Cluster,
) -> dict[str, int]:
    """Do the same on a Ray cluster, each file by a worker; the folder is the same as that of `analyze`.

    Args:
        make: makes an analyzer in a worker; can be sent there.
        expressions: those of its weights.

    Raises:
        InputError: as for `analyze`; or a source is no file.
    """
    other = next((source for source in sources if source.kind != "file"), None)
    if other is not None:
        raise InputError(f"--ray spreads files; {other.name} is a {other.kind}: leave --ray out for it")
    state, left = _begin(sources, out, expressions, about)
    places = {source.name: f"{k:06d}" for k, source in enumerate(sources)}
    parts = [out / ".parts" / places[source.name] for source in left]
    if not left:
        return _counts(out, expressions, wanted)
    work = [partial(_part, source, part, make, wanted, about) for source, part in zip(left, parts)]
    failures = spread(work, cluster, "analyzing", "files")
    if len(sources) == 1 and failures[0] is not None:
        raise InputError(failures[0])
    with clear_errors(out), ExitStack() as stack:
        tables = Tables(out, expressions, state["sizes"])
        stack.callback(tables.close)
        for source, part, failure in zip(left, parts, failures):
            stem = _stem(source, state)
            if failure is None:
                tables.append(part, stem)
                for kind in ("pictures", "films", "elan"):
                    for path in (part / kind).glob("*"):
                        (out / kind).mkdir(exist_ok=True)
                        path.replace(out / kind / f"{stem}{path.suffix}")
            else:
                say(failure)
                tables.add("files.csv", _failed(source, stem, failure))
            _note(out, state, source, tables)
            shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(out / ".parts", ignore_errors=True)
    return _counts(out, expressions, wanted)


def _part(
    source: AnalysisInput, part: Path, make: Callable[[], Analyzer], wanted: Wanted, about: dict[str, Any]
) -> str | None:
    """Analyze one file into a folder of its own, in a worker; return what was wrong with the file."""
    try:
        analyze([source], part, make(), replace(wanted, boris=False, xlsx=False), about, listen=lambda values: None)
    except InputError as error:
        return str(error)
    return None


def _begin(
    sources: Sequence[AnalysisInput], out: Path, expressions: Sequence[str], about: dict[str, Any]
) -> tuple[dict[str, Any], list[AnalysisInput]]:
    """Return a run's state, and the sources that are still to be done."""
    state = _state(out, {"expressions": list(expressions), **about})
    done: set[str] = set(state["files"])
    left = [source for source in sources if source.name not in done]
    if done and len(left) < len(sources):
        say(f"{len(sources) - len(left)} of {len(sources)} files: done before")
    return state, left


def _note(out: Path, state: dict[str, Any], source: AnalysisInput, tables: Tables) -> None:
    """Note that a source is done, and how far the tables go."""
    state["files"].append(source.name)
    state["sizes"] = tables.flush()
    write_json(out / ".state.json", state)


def _failed(source: AnalysisInput, stem: str, why: str) -> dict[str, Any]:
    values = {"file": source.name, "stem": stem, "status": "failed", "note": why}
    return {**values, "frames": 0, "frames_lost": 0, "seconds": 0, "faces": 0}


def _counts(out: Path, expressions: Sequence[str], wanted: Wanted) -> dict[str, int]:
    """Write what needs all files of the folder, those of earlier calls too, and count."""
    files = read_csv(out / "files.csv", FILES, "a table of files")
    read = [one for one in files if one["status"] != "failed"]
    if wanted.boris:
        _write_boris(out, expressions, read, wanted.media)
    if wanted.xlsx:
        from tfen.inference.workbook import write_workbook

        write_workbook(out / "results.xlsx", [out / f"{name}.csv" for name in SHEETS])
    with (out / "summary.csv").open(encoding="utf-8") as people, (out / "episodes.csv").open(encoding="utf-8") as rows:
        return {
            "files": len(read),
            "damaged": sum(one["status"] != "done" for one in read),
            "failed": len(files) - len(read),
            "faces": sum(1 for _ in people) - 1,
            "episodes": sum(1 for _ in rows) - 1,
        }


def _write_boris(out: Path, expressions: Sequence[str], files: Sequence[dict[str, str]], media: bool) -> None:
    """Write the films, cameras and streams of a table of files, with their episodes, as a project."""
    episodes: dict[str, list[Episode]] = {one["file"]: [] for one in files}
    for one in read_csv(out / "episodes.csv", EPISODES, "episodes"):
        onset, apex, offset, peak = (float(one[name]) for name in ("onset", "apex", "offset", "peak"))
        episodes[one["file"]].append(Episode(int(one["face"]), one["expression"], onset, apex, offset, peak))
    observations = []
    for one in files:
        name, seconds = unescaped(one["file"]), float(one["seconds"])
        path = Path(name)
        if path.suffix.lower() in IMAGES and not is_animated(path):
            continue
        try:
            film = look_at(path) if media and path.is_file() else None
        except InputError:
            film = None
        observations.append(
            Observation(
                unescaped(one["stem"]),
                "" if film is None else name,
                max(seconds, film.seconds) if film else seconds,
                film.rate if film else 0.0,
                film is not None and film.has_sound,
                episodes[one["file"]],
            )
        )
    write_boris(out / "boris" / "tfen.boris", expressions, observations)


def _state(out: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a run that is gone on with, or a new one's.

    Raises:
        InputError: the folder holds something else.
    """
    path = out / ".state.json"
    with clear_errors(out):
        there = claim(out, ANALYSIS, about, noted(AnalyzerSettings()))
    if there and path.exists():
        return read_json(path, "the state of an analysis")
    write_json(out / "schema.json", schema(about["expressions"]))
    return {"files": [], "sizes": None, "stems": []}


def noted(settings: AnalyzerSettings) -> dict[str, Any]:
    """Return the settings that make an analysis another one; engine and device are none."""
    values = asdict(settings)
    del values["engine"], values["device"]
    return {**values, "detector_model": None if settings.detector_model is None else str(settings.detector_model)}


def short_stem(name: str) -> str:
    """Return a file's name without folders and ending, not too long to get another ending."""
    return Path(name).stem.encode()[:LONGEST_STEM].decode(errors="ignore")


def _stem(source: AnalysisInput, state: dict[str, Any]) -> str:
    """Return a name for the source's own files, that no other source has."""
    plain = {"file": short_stem(Path(source.name).name or source.file.name), "camera": f"camera-{source.name}"}.get(
        source.kind, "stream"
    )
    stem, number = plain, 1
    while stem in state["stems"]:
        number += 1
        stem = f"{plain}-{number}"
    state["stems"].append(stem)
    return stem


def _frames(source: AnalysisInput) -> int | None:
    """Return how many frames a source has, as far as its header says; None for an endless one."""
    if source.kind != "file":
        return None
    if source.still:
        return 1
    try:
        return look_at(source.file).frames
    except InputError:
        return 0


def _summary_picture(analyzer: Analyzer) -> "SummaryPicture":
    from tfen.inference.picture import SummaryPicture  # brings Matplotlib along

    return SummaryPicture(analyzer.expressions, analyzer.step)


def _annotated_film(source: AnalysisInput, path: Path, analyzer: Analyzer) -> "AnnotatedFilm":
    from tfen.inference.annotate import AnnotatedFilm

    return AnnotatedFilm(path, analyzer.expressions, analyzer.step, source.file if source.kind == "file" else None)


class _Run:
    """One source on its way into the tables."""

    def __init__(
        self,
        source: AnalysisInput,
        out: Path,
        analyzer: Analyzer,
        wanted: Wanted,
        tables: Tables,
        progress: Meter,
        stem: str,
        listen: Callable[[dict[str, Any]], None] | None,
        ready: list[Result] | None,
        watch: Callable[[Frame], None] | None = None,
    ) -> None:
        self.source, self.out, self.analyzer, self.wanted, self.tables = source, out, analyzer, wanted, tables
        self.progress, self.stem, self.listen, self.watch = progress, stem, listen, watch
        self.finder = EpisodeFinder()
        self.episodes: list[Episode] = []
        self.people: dict[int, _Person] = {}
        self.frames, self.seconds, self.report, self.ready = 0, 0.0, ReadReport(), ready
        self.stopped = ""
        moving = not source.still
        self.picture = _summary_picture(analyzer) if wanted.pictures and moving else None
        self.film = (
            _annotated_film(source, out / "films" / f"{stem}.mp4", analyzer) if wanted.annotate and moving else None
        )

    def go(self) -> None:
        """Analyse it and write everything; an annotated film can be played whatever ends it."""
        with nullcontext() if self.film is None else closing(self.film):
            try:
                self._read()
            except Cancelled:
                if self.film is not None:
                    self.film.discard()
                raise
        self._finish()

    def _read(self) -> None:
        if self.ready is not None:
            self.frames = 1
            self.progress.advance()
            for result in self.ready:
                self._take(result)
            return
        results = self.analyzer(self.source.opened, self._watch, self.report)
        try:
            for result in results:
                self._take(result)
        except KeyboardInterrupt:
            if self.source.kind == "file":
                raise
            self.stopped = "stopped by hand"
        except TfenError as error:
            if isinstance(error, InputError) or self.frames == 0:
                raise
            self.report.broke_off = str(error)
        finally:
            results.close()  # type: ignore[attr-defined]
            self.tables.flush()

    def _watch(self, frame: Frame) -> None:
        if self.watch is not None:
            self.watch(frame)
        self.frames, self.seconds = frame.number + 1, frame.time
        if self.film is not None:
            self.film.frame(frame)
        self.progress.advance()

    def _take(self, result: Result) -> None:
        values = row(self.source.name, result, self.analyzer.expressions)
        self.tables.add("results.csv", values)
        self.tables.add_json(values)
        if self.listen is not None:
            self.listen(values)
        if self.source.kind != "file":
            self.tables.flush()
        for episode in self.finder.add(result):
            self._episode(episode)
        if self.picture is not None:
            self.picture.add(result)
        if self.film is not None:
            self.film.add(result)
        if result.face is None:
            return
        person = self.people.setdefault(result.face, _Person(result.time, result.time))
        person.last, person.count = result.time, person.count + 1
        person.confidence += result.confidence or 0.0
        person.labels[result.label or ""] += 1

    def _episode(self, episode: Episode) -> None:
        self.tables.add("episodes.csv", episode_row(self.source.name, episode))
        self.people[episode.face].episodes += 1
        if self.wanted.elan:
            self.episodes.append(episode)

    def _finish(self) -> None:
        for episode in self.finder.finish():
            self._episode(episode)
        for face, person in sorted(self.people.items()):
            self.tables.add("summary.csv", self._summary(face, person))
        if self.picture is not None:
            title = Path(self.source.name).name if self.source.kind == "file" else self.source.name
            self.picture.draw(self.out / "pictures" / f"{self.stem}.png", title)
        if self.wanted.elan and not self.source.still:
            path = self.out / "elan" / f"{self.stem}.eaf"
            write_elan(path, self.source.name, self.episodes, self.wanted.media)
        lost, broke_off = self.report.lost, self.report.broke_off
        damage = f"{lost} damaged frames cannot be decoded" if lost else ""
        note = "; ".join(part for part in (damage, broke_off, self.stopped) if part)
        if note and self.listen is None:
            say(f"{self.source.name}: {note}; the results of what could be read are kept")
        if not self.people and self.listen is None:
            say(f"{self.source.name}: no face was seen")
        self.tables.add(
            "files.csv",
            {
                "file": self.source.name, "stem": self.stem,
                "status": "broke off" if broke_off else "damaged" if lost else "done",
                "frames": self.frames, "frames_lost": lost, "seconds": round(self.seconds, 3), "faces": len(self.people),
                "note": note,
            },
        )  # fmt: skip

    def _summary(self, face: int, person: _Person) -> dict[str, Any]:
        labels = {name: count for name, count in person.labels.items() if name}
        shares = {f"share_{name}": round(person.labels[name] / person.count, 4) for name in self.analyzer.expressions}
        return {
            "file": self.source.name, "face": face, "first": round(person.first, 3), "last": round(person.last, 3),
            "results": person.count, "main": max(labels, key=lambda name: labels[name]) if labels else None,
            "confidence": round(person.confidence / person.count, 4), "episodes": person.episodes, **shares,
        }  # fmt: skip
