"""The folder of a training: begun with its settings on a set, gone on with only with the same."""

from pathlib import Path

from tfen.config import Settings, TrainSettings, plain, settings_in
from tfen.data.prepared import PreparedSet
from tfen.errors import InputError
from tfen.files import read_yaml, write_yaml
from tfen.folders import Format, claim
from tfen.training.devices import precision_of

RUN = Format("a run", "config.yaml")
MAY_DIFFER = frozenset({"folds.only", "set", "set_folder", "set_content"})
"""What may differ: the folds that are asked for; the set is compared by its content, wherever it lies."""


def _same_precision(name: str, before: object, now: object) -> bool:
    """Whether a setting's two values mean the same here: a precision that is said, and `auto` on this machine."""
    if name != "train.precision":
        return False
    first, second = (precision_of(TrainSettings(precision=value)) for value in (before, now))  # type: ignore[arg-type]
    return first == second


def claim_run(out: Path, dataset: PreparedSet, settings: Settings, init: str | None) -> None:
    """Write `config.yaml` of a training, or check that it is the one that is there.

    A set that was moved, or that was given another name, is the same if it holds the same; its new place is kept.

    Args:
        init: weights that the training starts from.

    Raises:
        InputError: the folder holds something else.
    """
    path = out / RUN.marker
    place = str(dataset.folder.resolve())
    if path.exists():
        before = read_yaml(path, "a run's configuration")
        settings_in(before.get("settings"), path)
        content = before.get("set_content")
        if content != dataset.content if content is not None else before.get("set_folder") != place:
            raise InputError(f"{out} holds a run on another set; choose another folder")
    description = {
        "set": dataset.name,
        "set_folder": place,
        "set_content": dataset.content,
        "init": init,
        "settings": plain(settings),
    }
    there = claim(out, RUN, description, {"settings": plain(Settings())}, _same_precision, ignore=MAY_DIFFER)
    if there and before.get("set_folder") != place:
        write_yaml(path, {**before, "set_folder": place})
