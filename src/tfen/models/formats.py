"""The forms in which weights are written and read. Nothing heavy is imported here: the command line shows the names."""

from dataclasses import dataclass

from tfen.choices import Choices


@dataclass(frozen=True)
class ExportFormat:
    """A form in which weights can be written: the engine that runs it, and the function that writes it.

    `write` is module:function; it is given the weights and the folder, and writes the graphs `frame` and `window`. The
    form "torch" has none: there the weights themselves are written.
    """

    engine: str
    write: str | None


EXPORT_FORMATS: Choices[ExportFormat] = Choices(
    "export format",
    {
        "torch": ExportFormat("torch", None),
        "onnx": ExportFormat("onnxruntime", "tfen.inference.export:write_onnx"),
        "openvino": ExportFormat("openvino", "tfen.inference.export:write_openvino"),
    },
)
