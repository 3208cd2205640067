"""The command that writes weights for other engines."""

from pathlib import Path
from typing import Annotated

from tfen.cli.options import Files
from tfen.errors import InputError
from tfen.models.formats import EXPORT_FORMATS


def calibrate(weights: str, sets: Annotated[list[Path], Files], /, *, out: Path, biases: bool = False) -> None:
    """Write weights whose confidence holds on people whom no training saw; no answer changes, but for --biases.

    Clips, their last and first frames as photographs, and the last frames after the first are looked at as `tfen analyze`
    looks at faces. Prints how many are right, and the expected calibration error, now and before.

    Args:
        weights: packaged (those in the package), a weights folder, a run (its first fold) or a hub id.
        sets: Prepared sets of other people, with sequences from calm to the apex: several, that differ from the training and
            from each other.
        out: Folder to write.
        biases: Also shift each expression's score, so that expressions which were common in the training are not said too
            often.
    """
    from tfen.data.prepared import open_set
    from tfen.evaluation import judging

    for line in judging.calibrate(weights, out, [open_set(folder) for folder in sets], biases):
        print(line)


def export(
    weights: str,
    out: Path,
    *,
    to: Annotated[str, EXPORT_FORMATS] = "onnx",
    half: bool = False,
    int8: Path | None = None,
) -> None:
    """Write weights in another form, checked against the original; for an engine as two graphs, of a frame and of a window.

    analyze, app and evaluate take what is written; train, average and calibrate need torch weights.

    Args:
        weights: packaged (those in the package), a weights folder, a run (its first fold) or a hub id.
        out: Folder to write.
        to: onnx (ONNX Runtime), openvino, or torch (safetensors).
        half: Store torch weights in half precision, at half the size.
        int8: A prepared set; half of it sets the ranges of eight-bit integers, the other half measures what they cost.
    """

    import tfen.inference.export

    if int8 is None:
        if half and to != "torch":
            raise InputError(f"--half stores torch weights, not {to}; give --to torch")
        difference = tfen.inference.export.export(weights, out, to, half)
        print(f"{out}: {to}; probabilities differ by {difference:.1e} at most")
        return
    if to != "onnx":
        raise InputError(f"--int8 writes onnx, not {to}; leave --to away")
    from tfen.data.prepared import open_set

    figures = tfen.inference.export.write_integers(weights, out, open_set(int8))
    print(
        f"{out}: onnx with eight-bit integers; on {figures['sequences']} sequences the same decision in "
        f"{100 * figures['agreement']:.1f} %, right {100 * figures['accuracy_int8']:.1f} % instead of "
        f"{100 * figures['accuracy']:.1f} %"
    )
