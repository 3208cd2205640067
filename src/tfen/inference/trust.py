"""How far a result can be trusted: what cannot be judged, and how often the packaged weights were right on strangers."""

from dataclasses import dataclass

LEAST_SIZE = 40.0
"""Side of a face, pixels, below which little can be told."""
LEAST_SHARPNESS = 0.3
"""Sharpness below which a face is blurred."""
MOST_TURN = 30.0
"""Degrees to a side, up or down beyond which a face is unlike those of the training."""
ON_STRANGERS = (
    "These weights have learned from synthetic faces alone. On strangers' faces the figures can be wrong: of 68 people "
    "who were photographed calm and smiling, 94.1 % of the calm faces and 77.9 % of the smiles were told rightly; other "
    "expressions have not been measured on photographs of real people."
)
"""Measured rates of the packaged weights, as their model card tells them."""
NOT_MEASURED = "On strangers' faces the figures can be wrong; how often they are is not known to this program."


@dataclass(frozen=True)
class View:
    """How well a face was seen: `size` in pixels, `sharpness`, `yaw` and `pitch` in degrees; None where unknown."""

    size: float | None
    sharpness: float | None
    yaw: float | None
    pitch: float | None

    def doubts(self) -> list[str]:
        """Return why nothing can be told of the face: small, blurred, turned; empty where it was seen well."""
        return [
            word
            for word, doubtful in (
                ("small", self.size is not None and self.size < LEAST_SIZE),
                ("blurred", self.sharpness is not None and self.sharpness < LEAST_SHARPNESS),
                ("turned", any(angle is not None and abs(angle) > MOST_TURN for angle in (self.yaw, self.pitch))),
            )
            if doubtful
        ]


def percent(probability: float) -> str:
    """Return a probability as people read it; nothing is ever certain."""
    rounded = round(100 * probability)
    return "< 1 %" if rounded < 1 else "> 99 %" if rounded > 99 else f"{rounded} %"


def on_strangers(weights: str) -> str:
    """Return the sentence that belongs beside every figure of some weights."""
    return ON_STRANGERS if weights == "packaged" else NOT_MEASURED
