"""Video-based facial expression recognition that separates a person's identity from the expression.

`tfen.load(...)` returns a trained network with its settings and the order of its expressions.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from tfen.models.weights import load


def __getattr__(name: str) -> Any:
    """Import what is heavy (torch) only when it is asked for."""
    if name == "load":
        from tfen.models.weights import load

        return load
    raise AttributeError(f"module 'tfen' has no attribute {name!r}")
