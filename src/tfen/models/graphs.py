"""Networks that another engine runs: two graphs, one for a single frame (F, E, D) and one for a window (T)."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from tfen.errors import InputError, TfenError, needs_extra

Runtime = Literal["onnxruntime", "openvino"]
PARTS = ("frame", "window")


class GraphNetwork(nn.Module):
    """A network whose two parts are graphs that an engine runs; for use, not for training.

    Args:
        folder: with frame.onnx and window.onnx, or frame.xml and window.xml (OpenVINO).
        runtime: which engine runs them.
    """

    adversary = None

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        super().__init__()
        self._frame, self._window = (_session(folder, part, runtime) for part in PARTS)

    def features(self, frames_BCHW: Tensor) -> Tensor:
        """Return what T takes of single frames."""
        return self._frame(frames_BCHW)

    def temporal(self, windows_BSCHW: Tensor) -> Tensor:
        """Return scores before the softmax, (B, K)."""
        return self._window(windows_BSCHW)

    def forward(self, clip_BSCHW: Tensor) -> Tensor:
        return self.temporal(self.features(clip_BSCHW.flatten(0, 1)).unflatten(0, clip_BSCHW.shape[:2]))

    def channels_last(self) -> "GraphNetwork":
        return self


def _session(folder: Path, part: str, runtime: Runtime) -> Callable[[Tensor], Tensor]:
    """Return a function that runs one graph."""
    onnx, xml = folder / f"{part}.onnx", folder / f"{part}.xml"
    try:
        if runtime == "onnxruntime":
            import onnxruntime

            if not onnx.is_file():
                raise InputError(f"{folder} holds no {onnx.name}; export with --to onnx, or use --engine openvino")
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])
            name = session.get_inputs()[0].name
            return lambda x: torch.from_numpy(session.run(None, {name: x.contiguous().numpy()})[0])
        import openvino

        exact = {"INFERENCE_PRECISION_HINT": "f32"}  # else half precision where the processor has it
        model = openvino.Core().compile_model(str(xml if xml.is_file() else onnx), "CPU", exact)
        return lambda x: torch.from_numpy(np.array(model(x.contiguous().numpy())[0]))
    except ImportError:
        raise needs_extra(f"the engine {runtime}", "export") from None
    except (InputError, TfenError):
        raise
    except Exception as error:
        raise InputError(f"{folder} holds a graph that {runtime} cannot read: {str(error).splitlines()[0]}") from None
