"""What a client may choose for an analysis, and the analyzers that do it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tfen.app.uploads import Refused
from tfen.errors import InputError
from tfen.faces.detectors import DEFAULT_DETECTOR, DETECTORS, make_detector
from tfen.inference.analyzer import Analyzer
from tfen.inference.settings import AnalyzerSettings
from tfen.models.weights import load


class Wishes(BaseModel):
    """Settings of an analysis, as the address of a request tells them; those of `tfen analyze`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, Field(max_length=300, description="The file's name, for display.")] = ""
    weights: Annotated[str, Field(description="One of the weights that `/api/version` lists; the first if empty.")] = ""
    window: Annotated[float, Field(ge=0.1, le=60, description="Seconds of film that a result rests on.")] = 1.0
    smoothing: Annotated[
        float, Field(ge=0, le=10, description="Seconds over which neighbouring results are averaged; 0 for none.")
    ] = 0.2
    min_confidence: Annotated[
        float | None,
        Field(
            ge=0, le=1, description="Results whose confidence is below it get no label; the weights' own if missing."
        ),
    ] = None
    test_time_augmentation: Annotated[
        Literal["1", "6"],
        Field(description="Views of each face whose results are averaged: 6, or 1, which is faster."),
    ] = "6"
    detector: Annotated[str, Field(description="One of the detectors that `/api/version` lists.")] = DEFAULT_DETECTOR


class JobWishes(Wishes):
    """What a queued analysis may have beside."""

    annotate: Annotated[bool, Field(description="Also make the film with boxes, labels and a timeline.")] = False
    attended: Annotated[
        bool,
        Field(description="Give the analysis up when nobody listens to its events for a few seconds."),
    ] = False


@dataclass
class Analyzers:
    """Makes the analyzer that a client asks for.

    Args:
        weights: what may be chosen, the first if nothing is chosen. Page and interface have one list of expressions.

    Raises:
        InputError: weights cannot be loaded, or tell other expressions than the first.
    """

    weights: Sequence[str]

    def __post_init__(self) -> None:
        self.loaded = {name: load(name) for name in self.weights}
        self.first = self.make(Wishes())
        """With the settings that are taken if nothing is chosen."""
        self.expressions = self.first.expressions
        for name, loaded in self.loaded.items():
            if loaded.expressions != self.expressions:
                raise InputError(
                    f"{name} tells {', '.join(loaded.expressions)}, and {self.weights[0]} tells "
                    f"{', '.join(self.expressions)}: start a server for each"
                )

    def name_of(self, wishes: Wishes) -> str:
        """Return the weights that were chosen.

        Raises:
            Refused: they are not offered.
        """
        name = wishes.weights or self.weights[0]
        if name not in self.weights:
            raise Refused(422, f"weights: {name!r} is not offered here; choose from {', '.join(self.weights)}")
        return name

    def check(self, wishes: Wishes) -> None:
        """Check what can only be checked here.

        Raises:
            Refused: weights or a detector that are not offered.
        """
        self.name_of(wishes)
        if wishes.detector not in detectors():
            raise Refused(
                422, f"detector: {wishes.detector!r} is not offered here; choose from {', '.join(detectors())}"
            )

    def make(self, wishes: Wishes) -> Analyzer:
        """Return an analyzer.

        Raises:
            Refused: weights that are not offered.
        """
        return Analyzer(
            self.loaded[self.name_of(wishes)],
            settings=AnalyzerSettings(
                detector=wishes.detector,
                window=wishes.window,
                smoothing=wishes.smoothing,
                min_confidence=wishes.min_confidence,
                test_time_augmentation=1 if wishes.test_time_augmentation == "1" else 6,
            ),
        )

    def live(self) -> Analyzer:
        """Return the analyzer of cameras."""
        return Analyzer(self.loaded[self.weights[0]], live=True, window=0.8, smoothing=0.4)


@cache
def detectors() -> tuple[str, ...]:
    """Return the detectors that work on this machine without further files."""
    there = []
    for name in DETECTORS:
        try:
            make_detector(name)
        except InputError:
            continue
        there.append(name)
    return tuple(there)
