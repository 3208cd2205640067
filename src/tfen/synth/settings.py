"""What a synthetic set is made of: how wide people, poses, light and cameras vary, and how many of what.

Light to import: the command line shows these settings as flags.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tfen.choices import Choices
from tfen.device import DeviceName, check_device
from tfen.errors import InputError
from tfen.labels import EXPRESSIONS
from tfen.synth.dynamics import DYNAMICS
from tfen.synth.expressions import REPERTOIRES


@dataclass(frozen=True, kw_only=True)
class Variation:
    """The stated ranges within which sequences differ; angles in degrees, other units where they stand."""

    yaw: float = 8.0
    """Standard deviation of the head's turn to a side."""
    pitch: float = 5.0
    """Standard deviation of the nod."""
    roll: float = 3.5
    """Standard deviation of the tilt."""
    motion: float = 3.0
    """Standard deviation of the drift of each angle over a sequence."""
    distance: tuple[float, float] = (0.55, 1.6)
    """From the camera to the face, metres."""
    zoom: float = 0.05
    """Standard deviation of the box's scale around the stated box."""
    shift: float = 0.025
    """Standard deviation of the box's place, in sides of the box."""
    strength: tuple[float, float] = (0.6, 1.05)
    """Strength of the expression at its apex; 1 is the full prototype."""
    faint_smiles: bool = True
    """Whether happiness may be a smile for company, too, as faint as half of those in photographs."""
    repertoire: Annotated[str, REPERTOIRES] = "prototypes"
    """Where the apex of an expression comes from: a few prototypes, or the forms that were published (repertoire.py)."""
    rest: float = 0.12
    """Standard deviation of what a face shows at rest, in full actions."""
    lips: float = 0.0
    """How far lips go beyond those of Anny's people: factor on the ranges of fullness and of tone (people.py)."""
    shine: float = 0.0
    """How far skins and lips shine beyond the common gloss: factor on the ranges (people.py)."""
    looks: float = 0.0
    """How far corners of the mouth, lips, brows and lids lie apart at rest: factor on the ranges of looks.py. Above 0, people
    also wear make-up, beards of all kinds, fringes and sunglasses."""
    exposure: tuple[float, float] = (0.75, 1.35)
    """Factor on the light."""
    white_balance: float = 0.06
    """Standard deviation of the logarithm of the factors on red and blue."""
    key_angle: float = 65.0
    """How far to a side the key light may stand."""
    key_strength: tuple[float, float] = (0.55, 1.05)
    """Strength of the key light."""
    ambient: tuple[float, float] = (0.18, 0.6)
    """Strength of the light from everywhere; where it is strong, the face is flat."""
    shadow: tuple[float, float] = (0.2, 0.95)
    """How much of the key light a shadow takes away."""
    studio: float = 0.0
    """Share of sequences in soft light from both sides."""
    backlight: float = 0.0
    """Share of sequences with the strongest light behind the head."""
    flash: float = 0.0
    """Share of sequences with a flash beside the lens."""
    coloured: float = 0.0
    """Share of sequences in light of two colours."""
    noise: tuple[float, float] = (0.002, 0.016)
    """Standard deviation of the sensor's noise, in units of full scale."""
    blur: tuple[float, float] = (0.0, 0.9)
    """Standard deviation of the blur in pixels of a 112-pixel picture."""
    compression: tuple[int, int] = (45, 97)
    """JPEG quality of the camera, before the frame is stored."""
    phone: float = 0.0
    """Share of cameras that smooth and sharpen."""
    grain: float = 0.0
    """Share of cameras with coarse grain, as of film."""
    pixels: tuple[int, int] | None = None
    """Pixels along a side of the face, at most as many as the frame has; None: as many as the frame has."""
    framing: float = 1.0
    """Side of the picture in sides of the face's box; 1 shows the face alone."""
    turned: float = 0.0
    """Yaw that is added to every frame: 90 shows the face from the side."""

    def __post_init__(self) -> None:
        REPERTOIRES.check(self.repertoire, "repertoire")


WILD = Variation()
"""Anybody's camera: poses, lights and qualities differ widely."""
LAB = Variation(
    yaw=4.0,
    pitch=3.0,
    roll=2.0,
    motion=1.5,
    distance=(0.9, 1.6),
    zoom=0.03,
    shift=0.015,
    strength=(0.75, 1.1),
    faint_smiles=False,
    rest=0.0,
    exposure=(0.9, 1.2),
    white_balance=0.02,
    key_angle=30.0,
    shadow=(0.1, 0.6),
    noise=(0.002, 0.008),
    blur=(0.0, 0.4),
    compression=(80, 97),
)
"""A laboratory: frontal faces, even light, one good camera."""
WIDER = Variation(rest=0.2, key_strength=(0.25, 1.05), ambient=(0.18, 1.0))
"""As wild, with flatter light, and people whose faces at rest are far from the prototype."""
WIDEST = replace(WIDER, lips=1.0)
"""As wider, with people whose lips are fuller, lighter or darker."""
SHINY = replace(WIDEST, shine=1.0)
"""As widest, with people whose skin or lips shine."""
STRANGERS = replace(
    SHINY,
    repertoire="published",
    looks=1.0,
    yaw=15.0,
    pitch=8.0,
    roll=9.0,
    motion=4.0,
    zoom=0.09,
    shift=0.04,
    strength=(0.7, 1.1),
    exposure=(0.65, 1.5),
    white_balance=0.1,
    studio=0.2,
    backlight=0.1,
    flash=0.1,
    coloured=0.08,
    noise=(0.001, 0.03),
    blur=(0.0, 1.3),
    phone=0.35,
    grain=0.12,
    pixels=(24, 300),
)
"""The widest of all: published forms of every expression, faces at rest, heads, lights and cameras as on the street."""
TURNED = replace(STRANGERS, yaw=30.0, pitch=12.0, roll=12.0)
"""As strangers, with heads turned as far as to the side: to learn landmarks from."""
SHIFT_PEOPLE = replace(WIDER, repertoire="published", looks=1.7, lips=1.7, rest=0.3, strength=(0.5, 0.7))
"""People farther apart, and fainter expressions, than any other variation has: to choose a network by, not to train it."""
SHIFT_CAMERA = replace(
    WIDER,
    repertoire="published",
    turned=22.0,
    motion=6.0,
    backlight=0.2,
    coloured=0.3,
    noise=(0.03, 0.04),
    blur=(1.3, 1.7),
    compression=(22, 35),
)
"""Cameras worse than any other variation has, beside the face: to choose a network by, not to train it."""
SHIFT_POSED = replace(LAB, repertoire="published", looks=1.5, lips=1.5, rest=0.28, strength=(1.0, 1.25), key_angle=75.0)
"""People farther apart, who exaggerate, before a laboratory's camera: to choose a network by, not to train it."""
VARIATIONS = Choices(
    "variation",
    {
        "lab": LAB,
        "wild": WILD,
        "wider": WIDER,
        "widest": WIDEST,
        "shiny": SHINY,
        "strangers": STRANGERS,
        "turned": TURNED,
        "shift-people": SHIFT_PEOPLE,
        "shift-camera": SHIFT_CAMERA,
        "shift-posed": SHIFT_POSED,
    },
)


@dataclass(frozen=True, kw_only=True)
class SynthSettings:
    """What a synthetic set is made of; with the seed it determines every byte."""

    subjects: int = 60
    """Number of people."""
    frames: int = 12
    """Frames in each sequence."""
    size: int = 112
    """Side of the frames, pixels; with --layout the height of the pictures."""
    seed: int = 0
    """Other seeds, other people."""
    dynamics: tuple[Annotated[str, DYNAMICS], ...] = ("onset-apex",)
    """How the expression goes over time; several may be given."""
    expressions: tuple[str, ...] = EXPRESSIONS
    """Expressions to make."""
    twins: int = 1
    """Groups of so many people perform the same takes: the same actions over time, pose, light and camera. 1: nobody has
    a twin."""
    repeats: int = 1
    """Sequences of each expression and dynamics for every subject."""
    more: tuple[str, ...] = ()
    """Expressions of which there is one sequence more, for every time that they are named."""
    first_subject: int = 0
    """Number of the first person; with the same seed, other numbers are other people."""
    assets: Path | None = None
    """Folder of MakeHuman's assets, for photographic skin, hair, brows and teeth; without it the skin is painted."""
    variation: Annotated[str, VARIATIONS] = "lab"
    """lab: frontal faces and even light. wild: poses, lights and cameras differ widely. wider: flat light and odd faces
    at rest, too. widest: also fuller lips, lighter or darker than the face. shiny: also skin and lips that shine.
    strangers: also published forms of every expression, make-up, beards, turned heads, all kinds of light and cameras.
    turned: as strangers, with heads turned as far as to the side.
    shift-people, shift-camera, shift-posed: people, cameras, or exaggeration, that none of the others has; to choose a
    network by."""
    framing: float = 1.0
    """Side of the frames in sides of the face's box; 1 shows the face alone, 1.6 the whole head."""
    device: DeviceName = "cpu"
    """Where rays are cast; auto takes a GPU of NVIDIA if there is one, which several processes share. People and truth are
    the same; pixels may differ by rounding, so a set is the same byte by byte on processors alone."""

    def __post_init__(self) -> None:
        for name in ("subjects", "frames", "twins", "repeats"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected at least 1")
        if not 16 <= self.size <= 2048:
            raise InputError(f"size is {self.size}, expected 16 to 2048 pixels")
        if not 0.8 <= self.framing <= 3:
            raise InputError(f"framing is {self.framing}, expected 0.8 to 3")
        VARIATIONS.check(self.variation, "variation")
        check_device(self.device)
        for name in self.dynamics:
            DYNAMICS.check(name, "dynamics")
        for name in self.expressions:
            if name not in EXPRESSIONS:
                raise InputError(f"expression {name!r} is unknown; choose from {', '.join(EXPRESSIONS)}")
        for name in self.more:
            if name not in self.expressions:
                raise InputError(f"more of {name!r} cannot be made; choose from {', '.join(self.expressions)}")
        if self.assets is not None and not Path(self.assets).is_dir():
            raise InputError(f"{self.assets} does not exist; --assets wants the folder of MakeHuman's assets")
        object.__setattr__(self, "expressions", tuple(name for name in EXPRESSIONS if name in self.expressions))

    def ranges(self) -> Variation:
        """Return the ranges of the variation, with the framing."""
        return replace(VARIATIONS[self.variation], framing=self.framing)

    def record(self) -> dict[str, Any]:
        """Return the settings as they are written beside a set: the ranges instead of the variation's name."""
        out = asdict(self)
        del out["framing"], out["device"]
        return {
            **out,
            "assets": None if self.assets is None else Path(self.assets).name,
            "variation": asdict(self.ranges()),
        }


@dataclass(frozen=True)
class Layout:
    """Official folders of a data set: expressions, dynamics, shape of picture (width over height), and who writes them.

    Framing 1 shows the face alone. The last of CK+'s, MMI's and DFEW's expressions have no label of their own there:
    they stand in for what is unlabelled. `write` names the function that writes a subject, as module:function.
    """

    expressions: tuple[str, ...]
    dynamics: str
    aspect: float
    framing: float
    write: str


SIX = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
LAYOUTS = Choices(
    "layout",
    {
        "ckplus": Layout(
            ("anger", "contempt", *SIX[1:], "neutral"), "onset-apex", 640 / 490, 1.9, "tfen.synth.layouts:write_ckplus"
        ),
        "mmi": Layout((*SIX, "neutral"), "onset-apex-offset", 720 / 576, 1.9, "tfen.synth.layouts:write_mmi"),
        "oulu-casia": Layout(SIX, "onset-apex", 320 / 240, 1.9, "tfen.synth.layouts:write_oulu_casia"),
        "dfew": Layout(
            ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear", "contempt"),
            "onset-apex-offset",
            1.0,
            1.15,
            "tfen.synth.layouts:write_dfew",
        ),
    },
)
"""The official folders that `tfen synth --layout` can write."""
