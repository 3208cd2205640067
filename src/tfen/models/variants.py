"""The networks that can be trained, by name: TFEN, its ablations (Table 10) and the baselines (Table 8).

Nothing heavy is imported here: settings and help read the table, `tfen.models.tfen` builds what it says.
"""

from dataclasses import dataclass, replace

from tfen.choices import Choices
from tfen.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What a network is made of.

    Args:
        text: a line for the help.
        temporal: T, a name in `tfen.models.tfen.TEMPORAL_NETWORKS`.
        extracts: whether T sees what E makes of the frames (or what is decoupled from that), and not the frames.
        fusion: how E and F become one, a name in `tfen.models.decoupler.FUSIONS`; None: there is no F.
        adversary: whether A plays against the others.
        gathers: whether EC-STFL (Jiang et al. 2020) is added to the expression loss.

    Raises:
        InputError: parts that cannot be had together.
    """

    text: str
    temporal: str = "3d"
    extracts: bool = True
    fusion: str | None = "decoupler"
    adversary: bool = True
    gathers: bool = False

    def __post_init__(self) -> None:
        if self.fusion is not None and not self.extracts:
            raise InputError(f"{self.text} joins F to E but has no E; let it extract, or leave the fusion out")
        if self.adversary and self.fusion is None:
            raise InputError(f"{self.text} has an adversary but nothing is decoupled; give it a fusion")


def _baseline(text: str, temporal: str) -> Variant:
    return Variant(text=text, temporal=temporal, extracts=False, fusion=None, adversary=False)


_BASELINES = {
    "resnet18-lstm": _baseline("ResNet18+LSTM", "resnet18-lstm"),
    "3d-resnet18": _baseline("3D ResNet18 (Hara et al.)", "3d-resnet18"),
    "r3d18": _baseline("R3D18 (Tran et al.)", "r3d18"),
    "c3d": _baseline("C3D", "c3d"),
    "i3d": _baseline("I3D", "i3d"),
    "p3d": _baseline("P3D", "p3d"),
}
VARIANTS = Choices(
    "network",
    {
        "tfen": Variant(text="TFEN"),
        "without-decoupler": Variant(text="TFEN, E and F concatenated", fusion="concatenation"),
        "without-adversarial": Variant(text="TFEN without adversary", adversary=False),
        "without-facial-decoupling": Variant(text="E and T alone", fusion=None, adversary=False),
        "without-3d": Variant(text="TFEN, frames judged one by one", temporal="framewise"),
        **_BASELINES,
        **{
            f"{name}+ec-stfl": replace(one, text=f"{one.text}+EC-STFL", gathers=True)
            for name, one in _BASELINES.items()
        },
    },
)


def ablations() -> tuple[str, ...]:
    """Return the networks that are TFEN but for a part (Table 10), without TFEN itself."""
    return tuple(name for name, one in VARIANTS.items() if one.extracts and name != "tfen")


def baselines() -> tuple[str, ...]:
    """Return the networks that take the frames as they are (Table 8), trained on the expression loss alone."""
    return tuple(name for name, one in VARIANTS.items() if not one.extracts and not one.gathers)
