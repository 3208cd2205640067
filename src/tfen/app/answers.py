"""What the server answers, as types: they describe the interface in `/api/openapi.json`."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from tfen.inference.rows import schema


class Failure(BaseModel):
    """Every answer that is no success."""

    error: str = Field(description="One sentence: what was wrong, and what to do.")


class Health(BaseModel):
    status: Literal["ok"]


class Expression(BaseModel):
    """How an expression is shown."""

    colour: str = Field(description="#rrggbb")
    ink: str = Field(description="Colour of words on it, #rrggbb.")
    letters: str = Field(description="Two letters that stand for it where there is no room for its name.")


class LimitsOf(BaseModel):
    """What is taken here."""

    megabytes: float
    seconds: float
    megapixels: float
    megapixels_per_second: float
    photograph_megapixels: float
    upload_seconds: float
    work_seconds: float
    waiting: int
    kept: int
    kept_seconds: float
    live: int


class Trust(BaseModel):
    """Beyond which view nothing can be told of a face, and how far the figures can be trusted."""

    least_size: float = Field(description="Pixels along the face's square.")
    least_sharpness: float
    most_turn: float = Field(description="Degrees to a side, up or down.")
    sentences: dict[str, str] = Field(description="Weights -> how often such figures are right on strangers.")


class Version(BaseModel):
    tfen: str
    weights: list[str] = Field(description="To choose from; the first is taken if nothing is chosen.")
    detectors: list[str] = Field(description="To choose from; the first is taken if nothing is chosen.")
    expressions: dict[str, Expression]
    step: float = Field(description="Seconds between two results of a face, if nothing else is chosen.")
    limits: LimitsOf
    trust: Trust
    columns: dict[str, str] = Field(description="What each column of the tables means.")


class Chosen(BaseModel):
    """The settings that an analysis has."""

    weights: str
    window: float
    smoothing: float
    min_confidence: float | None
    test_time_augmentation: str
    detector: str


class JobStatus(BaseModel):
    """How far an analysis is."""

    id: str
    name: str
    kind: Literal["film", "photograph"]
    state: Literal["waiting", "working", "done", "failed"]
    error: str = Field(description="Why it failed; else empty.")
    complete: bool | None = Field(description="Whether all of the film was read; null before the end.")
    reason: str = Field(description="Why it was not read to its end, and what of it is damaged; else empty.")
    reached: float = Field(description="Seconds of the film that have been read.")
    seconds: float = Field(description="Seconds that the film lasts, as its header says; 0 if it does not.")
    count: int = Field(description="Results so far.")
    share: float = Field(description="How much is done, 0 to 1.")
    place: int = Field(description="How many films come before it.")
    left: float | None = Field(description="Seconds until it is likely to be done.")
    annotated: bool = Field(description="Whether the film with boxes and labels is made.")
    settings: Chosen


class Episode(BaseModel):
    """An expression that a face showed from onset to offset, most at the apex; all in seconds."""

    model_config = ConfigDict(extra="allow")
    file: str
    face: int
    expression: str
    onset: float
    apex: float
    offset: float
    duration: float
    peak: float = Field(description="Its probability at the apex.")


class FaceSummary(BaseModel):
    """A face; `share_...`: share of its results with that label."""

    model_config = ConfigDict(extra="allow")
    file: str
    face: int
    first: float
    last: float
    results: int
    main: str = Field(description="The most frequent label; empty if it never got one.")
    confidence: float = Field(description="Mean.")
    episodes: int


class Run(BaseModel):
    """A finished cross-validation."""

    model_config = ConfigDict(extra="allow")
    run: str
    set: str
    variant: str
    accuracy: float
    uar: float
    std: float | None
    folds: int
    sequences: int
    subjects: int
    epoch_chosen_by: str
    report: str | None = Field(description="Where its report lies below /runs/.")


class Person(BaseModel):
    """What a user knows of a face."""

    model_config = ConfigDict(extra="forbid")
    face: int = Field(ge=0)
    name: str = Field(default="", max_length=60)
    same_as: int | None = Field(default=None, ge=0, description="Number of the face that is the same person.")


class People(BaseModel):
    model_config = ConfigDict(extra="forbid")
    people: list[Person] = Field(max_length=1000)


def results_of(expressions: Sequence[str]) -> type[BaseModel]:
    """Return the type of all results of an analysis by weights with these expressions."""
    kinds: dict[str, Any] = {"string": str, "number": float, "integer": int}
    columns: dict[str, Any] = {}
    for name, described in schema(expressions)["properties"].items():
        kind = described["type"]
        single = kinds[kind if isinstance(kind, str) else kind[0]]
        columns[name] = (
            single if isinstance(kind, str) else single | None,
            Field(description=described["description"]),
        )
    row = create_model("Result", __config__=ConfigDict(extra="allow"), __doc__="A face at a time.", **columns)
    return create_model(
        "Results",
        __base__=JobStatus,
        __doc__="Everything that a finished analysis found.",
        results=(list[row], ...),  # type: ignore[valid-type]
        episodes=(list[Episode], ...),
        summary=(list[FaceSummary], ...),
        people=(list[Person], Field(description="What was told of the people, see PUT.")),
    )
