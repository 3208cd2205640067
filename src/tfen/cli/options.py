"""Flags that several commands share, and where the settings of an experiment come from."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import yaml
from cyclopts import App, Parameter

from tfen.config import CHECKPOINT_MINUTES, Settings, make_settings, plain, settings_from, settings_in
from tfen.errors import InputError
from tfen.models.variants import VARIANTS
from tfen.presets import PRESETS

Flags = Parameter(name="*")
"""The fields of a dataclass are flags of their own."""
SettingsFlags = Annotated[Settings, Flags]
"""Every setting as a flag of its own: --model.width, --train.epochs ..."""
Files = Parameter(allow_leading_hyphen=False)


@dataclass
class Start:
    """Where settings come from before flags change them."""

    preset: Annotated[str, PRESETS] | None = None
    "Named settings to start from; flags change them one by one."
    settings: Path | None = None
    "A YAML file with settings (the parts model, data, face, train, folds), such as a run's config.yaml."
    print_settings: bool = False
    "Print the settings in force as YAML, which --settings reads, and end."
    seed: int | None = None
    "Short for --train.seed."


@dataclass
class Experiment(Start):
    """The same for one network."""

    variant: Annotated[str, VARIANTS] | None = None
    "Short for --model.variant."


@dataclass
class Checkpoints:
    """How a training is kept safe."""

    checkpoint_minutes: float = CHECKPOINT_MINUTES
    "Minutes between checkpoints, from which an interrupted training goes on; 0: after every step."

    def __post_init__(self) -> None:
        if self.checkpoint_minutes < 0:
            raise InputError(f"--checkpoint-minutes is {self.checkpoint_minutes}, expected at least 0")


def base_settings(values: dict[str, str]) -> Settings:
    """Return what an experiment's settings are before their own flags change them.

    Args:
        values: what --settings, --preset, --variant and --seed are, as far as they are given.

    Raises:
        InputError: one of them is none that there is.
    """
    if "preset" in values:
        PRESETS.check(values["preset"], "--preset")
    changes = _read_settings(Path(values["settings"])) if "settings" in values else {}
    if "variant" in values:
        changes.setdefault("model", {})["variant"] = values["variant"]
    if "seed" in values and values["seed"].isdigit():
        changes.setdefault("train", {})["seed"] = int(values["seed"])
    return make_settings(values.get("preset"), changes)


class FillSettings:
    """Fills in the settings that no flag gave: from --settings, then from --preset, then from the short forms."""

    def __call__(self, app: App, commands: Sequence[str], arguments: Any) -> None:
        given = {argument.name.lstrip("-"): argument for argument in arguments}
        own = [name for name in flag_names() if name in given]
        if not own:
            return
        short = {name: given[name].tokens[0].value for name in _SHORT if name in given and given[name].tokens}
        base = plain(base_settings(short))
        reference = plain(make_settings())
        for flag in own:
            part, name = flag_parts(flag)
            argument, value = given[flag], base[part][name]
            if not argument.tokens and value != reference[part][name]:
                for k, item in enumerate(value if isinstance(value, list) else [value]):
                    argument.append(cyclopts.Token(keyword=argument.name, value=str(item), source="preset", index=k))
        asked = given.get("print-settings")
        if asked is not None and asked.tokens and asked.convert():
            for flag in own:
                if given[flag].tokens:
                    part, name = flag_parts(flag)
                    base[part][name] = given[flag].convert()
            print(yaml.safe_dump(plain(settings_from(base)), sort_keys=False, allow_unicode=True), end="")
            sys.exit(0)


_SHORT = tuple(one.name for one in fields(Experiment) if one.name != "print_settings")


def flag_names() -> Iterator[str]:
    """Yield the settings as the command line writes them, without the hyphens: model.image-size."""
    for part, items in plain(make_settings()).items():
        for name in items:
            yield f"{part}.{name.replace('_', '-')}"


def flag_parts(flag: str) -> tuple[str, str]:
    """Return the part and the name of a setting that the command line writes so."""
    part, _, name = flag.partition(".")
    return part, name.replace("-", "_")


def _read_settings(path: Path) -> dict[str, dict[str, Any]]:
    from tfen.files import read_yaml

    if not path.exists():
        raise InputError(f"{path} does not exist; --settings wants a YAML file")
    values = read_yaml(path, "a file with settings")
    values = values.get("settings", values)
    if not isinstance(values, dict) or not all(isinstance(part, dict) for part in values.values()):
        raise InputError(f"{path} holds no settings: expected the parts model, data, face, train, folds")
    settings_in(values, path)
    return values
