"""Settings by name: where they differ from the paper's values, which are the defaults, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfen.choices import Choices

Changes = Mapping[str, Mapping[str, Any]]
"""Part of the settings -> name -> value."""


@dataclass(frozen=True)
class Preset:
    """A line that says what it is for, and the settings that it changes."""

    text: str
    changes: Changes


_IMAGENET = {"expression_weights": "imagenet", "block": "timm"}
_LAST = {"select": "last"}
"""The last epoch is reported, since a choice among epochs on the test fold would be optimistic."""
_ANY_START = {"lr_at_random": "over-alpha"}
_DFEW: Changes = {
    "data": {"face_label": "sequence"},
    "model": _IMAGENET,
    "train": {"epochs": 200, "lr_gamma": 0.5, **_ANY_START},
}
_START: Changes = {
    "model": {"block": "timm"},
    "data": {"augment": "mild", "augment_ramp": 5},
    "face": {"epochs": 6, "lr": 0.003},
    "train": {
        "epochs": 30,
        "optimiser": "adamw",
        "lr": 0.001,
        "weight_decay": 0.05,
        "schedule": "cosine",
        "label_smoothing": 0.1,
    },
}
_SYNTH: Changes = {
    "model": {"width": 16, "image_size": 64, "frames": 5},
    "data": {"normalise": "clip"},
    "face": {"epochs": 6, "lr": 0.003},
    "train": {
        "epochs": 60,
        "batch_size": 16,
        "optimiser": "adamw",
        "lr": 0.003,
        "weight_decay": 0.05,
        "schedule": "cosine",
    },
    "folds": {"count": 5, "select": "last", "exclude": ("neutral",)},
}
_RELEASE: Changes = {
    "model": {"variant": "without-facial-decoupling", "width": 20, "image_size": 64, "frames": 5},
    "data": {"normalise": "local", "augment": "mild", "augment_ramp": 10, "grey": True},
    "face": {"epochs": 3, "lr": 0.003},
    "train": {
        "epochs": 44,
        "batch_size": 24,
        "optimiser": "adamw",
        "lr": 0.003,
        "weight_decay": 0.05,
        "schedule": "cosine",
        "label_smoothing": 0.1,
        "average": 3.0,
    },
}
PRESETS = Choices(
    "preset",
    {
        "paper-ckplus": Preset(
            "CK+ as in Section 4.3: grey, the last of 300 epochs",
            {"data": {"grey": True}, "model": _IMAGENET, "train": _ANY_START, "folds": _LAST},
        ),
        "paper-mmi": Preset("MMI as in Section 4.3", {"model": _IMAGENET, "train": _ANY_START, "folds": _LAST}),
        "paper-oulu": Preset("Oulu-CASIA as in Section 4.3", {"model": _IMAGENET, "train": _ANY_START, "folds": _LAST}),
        "paper-dfew": Preset(
            "DFEW as in Section 4.3: 200 epochs, twelve subsets of ten folds",
            {**_DFEW, "folds": {**_LAST, "protocol": "dfew-12x10"}},
        ),
        "dfew-official": Preset(
            "the same under the five folds that DFEW's publishers give and later papers use",
            {**_DFEW, "folds": {**_LAST, "protocol": "file"}},
        ),
        "paper-start": Preset(
            "a start for the paper-* presets from synthetic people, where ImageNet's and Kinetics' weights are not at hand",
            _START,
        ),
        "synth": Preset(
            "synthetic faces in minutes on two processor cores: a quarter of the width, 64 pixels, a short smooth schedule",
            _SYNTH,
        ),
        "release": Preset(
            "weights for faces of strangers: E and T alone, grey, mild augmentation",
            _RELEASE,
        ),
        "synth-twins": Preset(
            "as synth, for sets of `tfen synth --twins`: E, F, D and T without A, and twins look alike in TFE, which takes out "
            "most of the person (docs/evidence.md)",
            {
                **_SYNTH,
                "model": {**_SYNTH["model"], "variant": "without-adversarial"},
                "train": {**_SYNTH["train"], "epochs": 80, "twins": 8.0, "twins_ramp": 20.0},
            },
        ),
    },
)
