"""The forms of an SE-ResNet's block, by name. Nothing heavy is imported here: settings and help read the table."""

from dataclasses import dataclass

from tfen.choices import Choices


@dataclass(frozen=True)
class BlockForm:
    """What a block does besides the convolutions: a line for the help; whether a ReLU comes before the squeeze, too."""

    text: str
    relu_before_squeeze: bool


BLOCKS = Choices(
    "block",
    {
        "original": BlockForm("squeeze-and-excitation right after the second BatchNorm (Hu et al. 2018)", False),
        "timm": BlockForm("a ReLU between the two, as in timm's legacy_seresnet18 and its ImageNet weights", True),
    },
)
