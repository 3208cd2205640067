"""How films are analyzed: the settings of `Analyzer` and of `tfen analyze`, and what can be chosen in them.

Nothing heavy is imported here: the command line shows these settings.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tfen.choices import Choices
from tfen.config import TestTimeAugmentation
from tfen.device import DeviceName, check_device
from tfen.errors import InputError
from tfen.faces.detectors import DEFAULT_DETECTOR, DETECTORS

ENGINES: Choices[str] = Choices(
    "engine", {"torch": "PyTorch", "onnxruntime": "ONNX Runtime (extra export)", "openvino": "OpenVINO (extra export)"}
)
"""What can run a network."""


@dataclass(frozen=True, kw_only=True)
class AnalyzerSettings:
    """How faces are found and their expressions are measured."""

    detector: Annotated[str, DETECTORS] = DEFAULT_DETECTOR
    "Finds the faces."
    detector_model: Path | None = None
    "Model file of the detector: needed for mediapipe; for yunet another one than the package has."
    window: float = 1.0
    "Seconds of film that a result rests on, 0.1 to 60."
    smoothing: float = 0.2
    "Seconds over which neighbouring results are averaged, with triangular weights, 0 to 10; 0 for none."
    reference: bool = True
    """In films, show the network the calmest frame of each face so far (neutral with a probability of at least 0.5) before what
    the face shows now, if the weights have learned it (--data.reference): resting faces differ."""
    min_confidence: float | None = None
    """Results whose confidence is below it get no label, 0 to 1. If it is not given, the weights say it: where they are mostly
    wrong."""
    min_confidence_hard: float = 0.5
    "The same for faces that are hard to judge: smaller than 32 pixels, or turned by more than 45 degrees, 0 to 1."
    engine: Annotated[str, ENGINES] = "torch"
    "Runs the network; onnxruntime and openvino need the extra `export`."
    device: DeviceName = "auto"
    """Where the network runs, with the engine torch: auto takes a GPU of NVIDIA if there is one. Faces are found on the
    processor either way."""
    test_time_augmentation: Annotated[TestTimeAugmentation, Parameter(alias="--looks")] = 6
    "Views of each face whose results are averaged: 6, as it is, a little nearer and farther, and all mirrored; or 1."

    def __post_init__(self) -> None:
        DETECTORS.check(self.detector)
        ENGINES.check(self.engine)
        for name, low, high, unit in (
            ("window", 0.1, 60, " seconds"), ("smoothing", 0, 10, " seconds"), ("min_confidence", 0, 1, ""),
            ("min_confidence_hard", 0, 1, ""),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"{name.replace('_', '-')} is {value}, expected {low} to {high}{unit}")
        check_device(self.device)
        if self.device == "cuda" and self.engine != "torch":
            raise InputError(
                f"the engine {self.engine} runs on the processor; leave out --device, or use --engine torch"
            )
        if self.test_time_augmentation not in (1, 6):
            raise InputError(f"test-time-augmentation is {self.test_time_augmentation}, expected 1 or 6")
