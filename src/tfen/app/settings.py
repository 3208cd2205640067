"""Settings of the server: each is a flag of `tfen app`, and its text is the flag's help."""

from dataclasses import dataclass, fields
from pathlib import Path

from tfen.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a client may ask for."""

    megabytes: float = 200.0
    "Largest upload."
    seconds: float = 600.0
    "Longest film."
    megapixels: float = 16.0
    "Largest frame of a film; 4K has 8.8."
    megapixels_per_second: float = 600.0
    "Frame times rate of a film; 4K with 60 frames a second has 531."
    photograph_megapixels: float = 64.0
    "Largest photograph."
    upload_seconds: float = 120.0
    "Seconds that an upload may take."
    work_seconds: float = 900.0
    "Seconds that the analysis of a film may take; what was found until then is kept."
    waiting: int = 8
    "Films that are sent, wait or are worked on; one more is told to come back."
    kept: int = 24
    "Finished analyses that are kept."
    kept_seconds: float = 900.0
    "Seconds for which they are kept."
    live: int = 2
    "Cameras at a time."
    connections: int = 200
    "Connections at a time."
    header_seconds: float = 10.0
    "Seconds that a client may take to say what it wants."

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not value > 0:
                raise InputError(f"--{one.name.replace('_', '-')} is {value}, expected more than 0")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where the server listens, whom it answers, and what it works with."""

    host: str = "127.0.0.1"
    "Address to listen at. Others than 127.0.0.1 and ::1 open the page to the network: give --token, too."
    port: int = 8765
    "Port to listen at; 0 takes a free one."
    token: str | None = None
    "Word that the page asks for, and that programs send as `Authorization: Bearer WORD`; nobody gets in without it."
    allow_host: tuple[str, ...] = ()
    "Further names under which the server may be asked, such as that of a proxy. Addresses in numbers may, too, if --host is 0.0.0.0 or ::."
    weights: tuple[str, ...] = ("packaged",)
    "Weights to choose from, the first if nothing is chosen: packaged, a weights folder, a run (its first fold) or a hub id."
    runs: Path | None = None
    "Folder with finished runs to show; everything below it can be read in the browser."

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise InputError(f"--port is {self.port}, expected 0 to 65535")
        if self.runs is not None and not self.runs.is_dir():
            raise InputError(f"{self.runs} is no folder; --runs wants the folder in which your runs lie")
        if self.token is not None and not self.token.strip():
            raise InputError("--token is empty; give a word that others cannot guess, or leave --token out")
        if not self.weights:
            raise InputError("--weights is empty; give packaged or a folder of weights")
