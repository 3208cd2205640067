"""Video-based facial expression recognition that separates a person's identity from the expression.

`tfen.Analyzer()("film.mp4")` yields what every face in a film shows over time; `tfen.load(...)` returns a trained
network with its settings and the order of its expressions.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Analyzer", "Result", "__version__", "load"]

if TYPE_CHECKING:
    from tfen.inference.analyzer import Analyzer, Result
    from tfen.models.weights import load

_HOMES = {
    "load": "tfen.models.weights",
    "Analyzer": "tfen.inference.analyzer",
    "Result": "tfen.inference.analyzer",
}


def __getattr__(name: str) -> Any:
    """Import what is heavy (torch) only when it is asked for."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tfen' has no attribute {name!r}")
