"""Video-based facial expression recognition that separates a person's identity from the expression.

`tfen.Analyzer()("film.mp4")` yields what every face in a film shows over time; `tfen.crossval` and `tfen.evaluate` train
and test networks; `tfen.load` returns a trained network with its settings and the order of its expressions. What is
listed in `__all__` is the public surface; docs/reference.md shows each in use. Progress is logged to the logger "tfen".
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Analyzer",
    "InputError",
    "Loaded",
    "PreparedSet",
    "Result",
    "Settings",
    "TfenError",
    "__version__",
    "crossval",
    "evaluate",
    "load",
    "make_settings",
    "open_set",
    "write_report",
]

if TYPE_CHECKING:
    from tfen.config import Settings, make_settings
    from tfen.data.prepared import PreparedSet, open_set
    from tfen.errors import InputError, TfenError
    from tfen.evaluation.evaluate import evaluate
    from tfen.evaluation.report import write_report
    from tfen.inference.analyzer import Analyzer, Result
    from tfen.models.weights import Loaded, load
    from tfen.training.crossval import crossval

_HOMES = {
    "Analyzer": "tfen.inference.analyzer",
    "InputError": "tfen.errors",
    "Loaded": "tfen.models.weights",
    "PreparedSet": "tfen.data.prepared",
    "Result": "tfen.inference.analyzer",
    "Settings": "tfen.config",
    "TfenError": "tfen.errors",
    "crossval": "tfen.training.crossval",
    "evaluate": "tfen.evaluation.evaluate",
    "load": "tfen.models.weights",
    "make_settings": "tfen.config",
    "open_set": "tfen.data.prepared",
    "write_report": "tfen.evaluation.report",
}


def __getattr__(name: str) -> Any:
    """Import what is heavy (torch) only when it is asked for."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tfen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
