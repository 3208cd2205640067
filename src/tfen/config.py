"""All settings in one place: the paper's values are the defaults, presets say where they differ and why."""

import math
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tfen.choices import choices_in
from tfen.data.augmentations import AUGMENTATIONS
from tfen.data.normalisations import NORMALISATIONS
from tfen.data.protocols import PROTOCOLS, SELECTIONS
from tfen.errors import InputError
from tfen.models.blocks import BLOCKS
from tfen.models.variants import VARIANTS
from tfen.presets import PRESETS
from tfen.training.norms import NORMS
from tfen.training.optimisers import OPTIMISERS, SCHEDULES
from tfen.training.turns import TURNS
from tfen.training.twins import TWIN_PLACES

Shortcut = Literal["A", "B"]
Align = Literal["none", "eyes"]
TestTimeAugmentation = Literal[1, 6]
"""How often a clip is looked at, and the results averaged: as it is, or also nearer, farther and mirrored."""

CHECKPOINT_MINUTES = 5.0
"""Between checkpoints, if nothing else is said; no setting of a run, since it changes no result."""


@dataclass(kw_only=True)
class ModelSettings:
    """The network (Table 1)."""

    variant: Annotated[str, VARIANTS] = "tfen"
    """Network to train: TFEN, one of its ablations, or a baseline."""
    width: int = 64
    """Channels of the stem; 64 is the paper's, smaller is faster."""
    image_size: int = 224
    """Side of the images that the network sees, pixels."""
    frames: int = 7
    """Frames sampled from a sequence (S)."""
    block: Annotated[str, BLOCKS] = "original"
    """Form of the 2D blocks. original: Hu et al. timm: with a ReLU before the squeeze, which timm's ImageNet weights need."""
    shortcut: Shortcut = "A"
    """Shortcut of the 3D network: A (Hara) has no parameters, B (torchvision) a convolution."""
    dropout: float = 0.2
    """Dropout before the expression classifier."""
    adversary_dropout: float = 0.0
    """Dropout before the face classifier."""
    expression_weights: str | None = None
    """Weights E starts from: imagenet (fetched from the hub), a file of timm's legacy_seresnet18, or none for random."""
    temporal_weights: str | None = None
    """Weights T starts from: a file of Hara's 3D-ResNet-18 (shortcut A) or torchvision's r3d_18 (shortcut B),
    or none for random."""

    def __post_init__(self) -> None:
        _check_choices("model", self)
        self.expression_weights = None if self.expression_weights == "none" else self.expression_weights
        self.temporal_weights = None if self.temporal_weights == "none" else self.temporal_weights
        _at_least("model.width", self.width, 8)
        if self.width % 4:
            raise InputError(f"model.width is {self.width}, expected a multiple of 4")
        _at_least("model.image-size", self.image_size, 32)
        _at_least("model.frames", self.frames, 1)
        _share("model.dropout", self.dropout)
        _share("model.adversary-dropout", self.adversary_dropout)


@dataclass(kw_only=True)
class DataSettings:
    """How frames become the network's input (Section 4.2)."""

    grey: bool = False
    """Take all colour away (CK+ in the paper)."""
    align: Align = "none"
    """eyes: where a set knows its landmarks (synthetic sets do), each frame's face is cut out anew around them, as `tfen
    analyze` and `tfen prepare` cut faces out. none: frames are taken as they are."""
    augment: Annotated[str, AUGMENTATIONS] = "paper"
    """How training changes clips so that no two are alike."""
    augment_ramp: int = 0
    """Epochs over which mild or strong augmentation grows from nothing to its full strength."""
    bend: bool = True
    """Whether mild and strong augmentation also give the face other proportions and flatten its light."""
    normalise: Annotated[str, NORMALISATIONS] = "imagenet"
    """How pixels become the network's input. Streams need a normalisation that does not look at the whole clip."""
    backwards: float = 0.0
    """Share of training clips, stills and those with a reference apart, that are played backwards: an apex that goes back to neutral shows the
    expression, too."""
    stills: float = 0.0
    """Share of training clips that are a still: of the last frame, which shows the expression, or, one time in six, of
    the first, which counts as neutral. For sets that have neutral sequences, and where all others go from neutral to the
    apex."""
    reference: float = 0.0
    """Share of the other training clips that begin with a calm face of the person, from this sequence or from another one of
    the same person, and go on with what the person shows: mostly the later half, which shows the expression, or, one time in
    six, the first frame, which counts as neutral. For the same sets as stills."""
    sampling: Literal["natural", "balanced"] = "natural"
    """natural: every training sequence once an epoch. balanced: as many, drawn so that all expressions are as frequent."""
    face_label: Literal["subject", "sequence"] = "subject"
    """What counts as a face: the subject, or each sequence by itself where subjects are unknown (DFEW)."""
    cache_gb: float = 4.0
    """Memory for decoded frames; sets beyond it are decoded as they are needed."""

    def __post_init__(self) -> None:
        _check_choices("data", self)
        _at_least("data.augment-ramp", self.augment_ramp, 0)
        _share("data.backwards", self.backwards)
        _share("data.stills", self.stills)
        _share("data.reference", self.reference)


@dataclass(kw_only=True)
class FaceSettings:
    """Pretraining of F and A on face identity (Section 3.2; epochs and start are not in the paper)."""

    epochs: int = 30
    """Passes over the frames."""
    batch_size: int = 32
    """Frames per step."""
    lr: float = 0.01
    """Learning rate."""
    init: Literal["random", "imagenet"] = "random"
    """Where the face network starts from."""
    subjects: Literal["train", "all"] = "train"
    """train: the fold's training subjects. all: test subjects too, as the paper's words can be read."""

    def __post_init__(self) -> None:
        _check_choices("face", self)
        _at_least("face.epochs", self.epochs, 0)
        _at_least("face.batch-size", self.batch_size, 2)
        _positive("face.lr", self.lr)


@dataclass(kw_only=True)
class TrainSettings:
    """Adversarial training (Algorithm 1, Section 4.3)."""

    epochs: int = 300
    """Passes over the sequences."""
    batch_size: int = 32
    """Clips per step (M)."""
    optimiser: Annotated[str, OPTIMISERS] = "sgd"
    """Optimiser of all parts."""
    lr: float = 0.01
    """Learning rate; the paper prints 10e-3."""
    adversary_lr: float | None = None
    """Learning rate of A; nothing means the same."""
    lr_at_random: Literal["same", "over-alpha"] = "same"
    """over-alpha: where E or T start from random weights or from --init, and the expression loss is multiplied by alpha, the
    learning rate of E, D and T is divided by alpha. The paper's rate is too high for such a start (docs/method.md)."""
    lr_step: int = 100
    """Epochs between falls of the learning rate."""
    lr_gamma: float = 0.1
    """Factor of each fall."""
    schedule: Annotated[str, SCHEDULES] = "step"
    """How the learning rate falls."""
    warmup: float = 0.0
    """Epochs over which all learning rates rise from nothing to what the schedule says."""
    clip: float = 0.0
    """Largest norm of the gradients of E, D and T together, and of A's, in a step; larger ones are shortened. 0: any."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 0.008
    """Weight decay."""
    alpha: float = 5.0
    """Weight of the expression loss (Eq. 3)."""
    ec_stfl_weight: float = 10.0
    """Weight of the EC-STFL loss (Jiang et al. 2020) in the variants that have it."""
    matched: bool = False
    """Without an adversary: multiply the expression loss by alpha all the same, and pass over the iterations in which A
    would learn, so that E, D and T have the rate and the number of updates that they have beside one. A control for
    ablations, not the paper's."""
    twins: float = 0.0
    """Weight of the twins' loss, which is ours and not the paper's (docs/evidence.md): the same performance by different
    people of a set of `tfen synth --twins` is to look alike. Beside the expression loss as it is multiplied by alpha."""
    twins_at: Annotated[str, TWIN_PLACES] = "tfe"
    """Where twins are to look alike."""
    twins_ramp: float = 0.0
    """Epochs over which that weight grows from nothing."""
    twins_together: int = 2
    """So many twins of a take are in a batch together; batches are multiples of it."""
    adversary_interval: int = 3
    """A is updated in every n-th iteration ("number of training steps applied to A")."""
    adversary_statistics: Literal["running", "batch"] = "running"
    """What A's BatchNorm goes by while E, D and T learn: what it has seen while A learned, or the batch."""
    turns: Annotated[str, TURNS] = "iterations"
    """What the interval counts."""
    norm: Annotated[str, NORMS] = "squared"
    """The distance in Eqs. 5 and 6."""
    adversary_norm: Annotated[str, NORMS] | None = None
    """The distance in Eq. 5 alone, by which A learns; nothing means the same."""
    adversary_optimiser: Annotated[str, OPTIMISERS] | None = None
    """Optimiser of A; nothing means that of the others."""
    adversary_warmup: int = 0
    """First epochs in which A alone learns, so that it knows the faces before the game begins."""
    adversary_restart: int = 0
    """Epochs after which A starts anew from random weights, over and over; 0: never."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: in the expression loss each expression weighs the inverse of its share of the training sequences."""
    label_smoothing: float = 0.0
    """Smoothing of the expression labels."""
    average: float = 0.0
    """Epochs over which a running average of the weights goes, which is what is measured and kept (flatter minima carry
    over better to other cameras: Cha et al. 2021, "SWAD"); 0: the weights themselves."""
    seed: int = 0
    """Seed of everything random."""
    evaluate_every: int = 1
    """Epochs between measurements on the validation (or, flagged, the test) sequences."""
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Mixed precision. auto: bf16 on a GPU that computes in it, else none; the report says which it was."""
    device: Literal["auto", "cpu"] = "auto"
    """auto takes the accelerator that is there."""
    channels_last: Literal["auto", "yes", "no"] = "auto"
    """Order of weights and pictures in memory; auto: channels last on processors and GPUs of NVIDIA, where it is faster."""
    compile: bool = False
    """Compile the network with torch.compile first: minutes at the beginning, faster steps afterwards."""
    sync_batchnorm: bool = False
    """Several GPUs: BatchNorm over the whole batch instead of each GPU's part."""

    def __post_init__(self) -> None:
        _check_choices("train", self)
        _at_least("train.epochs", self.epochs, 1)
        _at_least("train.batch-size", self.batch_size, 2)
        _positive("train.lr", self.lr)
        _at_least("train.adversary-interval", self.adversary_interval, 1)
        _at_least("train.lr-step", self.lr_step, 1)
        _at_least("train.evaluate-every", self.evaluate_every, 1)
        _at_least("train.average", self.average, 0)
        _at_least("train.warmup", self.warmup, 0)
        _at_least("train.clip", self.clip, 0)
        _at_least("train.twins", self.twins, 0)
        _at_least("train.twins-ramp", self.twins_ramp, 0)
        _at_least("train.twins-together", self.twins_together, 2)
        _at_least("train.adversary-warmup", self.adversary_warmup, 0)
        _at_least("train.adversary-restart", self.adversary_restart, 0)
        if self.twins and self.batch_size % self.twins_together:
            raise InputError(
                f"train.batch-size is {self.batch_size}, expected a multiple of train.twins-together "
                f"({self.twins_together})"
            )
        if self.alpha < 0:
            raise InputError(f"train.alpha is {self.alpha}, expected at least 0")


@dataclass(kw_only=True)
class FoldSettings:
    """Who is tested when (Section 4.1)."""

    protocol: Annotated[str, PROTOCOLS] = "subjects"
    """Who is tested when."""
    count: int = 10
    """Number of folds; of each subset for dfew-12x10. The other protocols know theirs."""
    file: str | None = None
    """CSV with the columns fold, sequence (or subject), part (train or test), for the protocol file; nothing means the
    set's own official folds."""
    only: tuple[int, ...] = ()
    """Numbers of the folds to run; nothing means all."""
    select: Annotated[str, SELECTIONS] = "validation"
    """Which epoch counts."""
    validation_share: float = 0.12
    """Share of the training subjects that the inner validation split takes."""
    exclude: tuple[str, ...] = ()
    """Expressions left out, such as neutral."""

    def __post_init__(self) -> None:
        _check_choices("folds", self)
        _at_least("folds.count", self.count, 2)
        if not 0 < self.validation_share < 0.9:
            raise InputError(f"folds.validation-share is {self.validation_share}, expected between 0 and 0.9")
        if self.file is not None and self.protocol != "file":
            raise InputError(f"folds.file is given but folds.protocol is {self.protocol}; add --folds.protocol file")


@dataclass(kw_only=True)
class Settings:
    """Everything that an experiment is made of."""

    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    face: FaceSettings = field(default_factory=FaceSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    folds: FoldSettings = field(default_factory=FoldSettings)

    @property
    def pretrains_faces(self) -> bool:
        """Whether F and A are pretrained on face identity: the network has an F, and there are epochs for it."""
        return VARIANTS[self.model.variant].fusion is not None and self.face.epochs > 0


def make_settings(preset: str | None = None, changes: dict[str, dict[str, Any]] | None = None) -> Settings:
    """Return the paper's settings, changed by a preset, then by `changes` ({"train": {"epochs": 5}}).

    Raises:
        InputError: an unknown preset, part or setting, or a value out of range.
    """
    values = asdict(Settings())
    for source in ({} if preset is None else PRESETS[preset].changes, changes or {}):
        for part, items in source.items():
            if part not in values:
                raise InputError(f"settings have no part {part!r}; there are {', '.join(values)}")
            for name, value in items.items():
                if name not in values[part]:
                    raise InputError(f"settings have no {part}.{name}; there are {', '.join(values[part])}")
                values[part][name] = value
    return settings_from(values)


def settings_in(values: Any, where: object) -> Settings:
    """Build settings from plain values that were read from `where`, which errors then name."""
    try:
        return settings_from(values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def settings_from(values: Any) -> Settings:
    """Build settings from plain values, as `plain` writes them.

    Raises:
        InputError: an unknown part or setting, or a value of the wrong kind or out of range.
    """
    if not isinstance(values, dict) or not all(isinstance(part, dict) for part in values.values()):
        raise InputError("settings are missing: expected the parts model, data, face, train, folds")
    parts: dict[str, Any] = {}
    for item in fields(Settings):
        kind = item.default_factory
        assert isinstance(kind, type)
        assert is_dataclass(kind)
        hints = _hints(kind)
        given = dict(values.get(item.name, {}))
        for name, value in given.items():
            if name not in hints:
                raise InputError(f"settings have no {item.name}.{name}; there are {', '.join(hints)}")
            given[name] = _as_kind(f"{item.name}.{name}", value, hints[name])
        parts[item.name] = kind(**given)
    return Settings(**parts)


def _as_kind(name: str, value: Any, kind: Any) -> Any:
    """Return a value if it is of a kind (a type, Literal, union or tuple), lists as tuples.

    Raises:
        InputError: it is not.
    """
    if get_origin(kind) is Union and NoneType in get_args(kind):  # a choice, or nothing
        return None if value is None else _as_kind(name, value, get_args(kind)[0])
    if get_origin(kind) is Literal or (get_origin(kind) is Annotated and choices_in(kind) is not None):
        _check_choice(name, value, kind)
        return value
    if get_origin(kind) is tuple and isinstance(value, (list, tuple)):
        return tuple(_as_kind(name, one, get_args(kind)[0]) for one in value)
    plain_kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    for one in plain_kinds:
        if one is NoneType and value is None:
            return value
        if one is float and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return value
        if one in (int, str, bool) and type(value) is one:
            return value
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", NoneType: "nothing"}
    raise InputError(f"{name} is {value!r}, expected {' or '.join(words.get(one, 'a list') for one in plain_kinds)}")


def plain(settings: Settings) -> dict[str, Any]:
    """Return settings as plain values for YAML and JSON."""
    out: dict[str, Any] = asdict(settings)
    for part in out.values():
        for name, value in part.items():
            if isinstance(value, tuple):
                part[name] = list(value)
    return out


def _check_choices(part: str, settings: Any) -> None:
    """Check those settings of a part that are choices.

    Raises:
        InputError: one is not among its names.
    """
    for name, kind in _hints(type(settings)).items():
        if get_origin(kind) is Literal or choices_in(kind) is not None:
            _as_kind(f"{part}.{name}", getattr(settings, name), kind)


def _check_choice(name: str, value: Any, kind: Any) -> None:
    table = choices_in(kind)
    if table is not None:
        table.check(value, name)
    elif value not in get_args(kind):
        raise InputError(f"{name} is {value!r}; choose from {', '.join(map(str, get_args(kind)))}")


def _hints(kind: type) -> dict[str, Any]:
    """Return the types of a part's settings, with the tables that they refer to."""
    return get_type_hints(kind, include_extras=True)


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise InputError(f"{name} is {value}, expected at least {least}")


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise InputError(f"{name} is {value}, expected above 0")


def _share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise InputError(f"{name} is {value}, expected 0 up to 1")
