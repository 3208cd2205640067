"""The folder of a training: begun with its settings, gone on with only with the same."""

from pathlib import Path
from typing import Any

import yaml

from tfen import __version__
from tfen.config import Settings, plain, settings_in
from tfen.data.prepared import PreparedSet
from tfen.errors import InputError
from tfen.files import must_be_new, read_yaml, write_text


def claim(out: Path, dataset: PreparedSet, settings: Settings, init: str | None) -> None:
    """Write `config.yaml` of a training, or check that it is the one that is there.

    Args:
        init: weights that the training starts from.

    Raises:
        InputError: the folder holds something else.
    """
    path = out / "config.yaml"
    description = {
        "tfen": __version__,
        "set": dataset.name,
        "set_folder": str(dataset.folder.resolve()),
        "init": init,
        "settings": plain(settings),
    }
    if path.exists():
        _check_same(path, description)
        return
    must_be_new(out, "holds no run of `tfen crossval`")
    write_text(path, yaml.safe_dump(description, sort_keys=False, allow_unicode=True))


def _check_same(path: Path, description: dict[str, Any]) -> None:
    """Check that a training was begun with these settings; the folds that are asked for may differ."""
    out, before = path.parent, read_yaml(path, "a run's configuration")
    settings_in(before.get("settings"), path)
    for part, items in description["settings"].items():
        for name, value in items.items():
            there = before["settings"].get(part, {}).get(name)
            if there != value and (part, name) != ("folds", "only"):
                raise InputError(f"{out} holds a run with {part}.{name} = {there}, not {value}; choose another folder")
    if before.get("set_folder") != description["set_folder"] or before.get("init") != description["init"]:
        raise InputError(f"{out} holds a run on another set or from other weights; choose another folder")
