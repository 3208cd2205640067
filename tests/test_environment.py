"""What is installed runs on a bare machine: no compiled file asks for a library that a minimal system lacks."""

import re
import sys
import sysconfig
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
import yaml
from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

import tfen

ROOT = Path(__file__).parent.parent
C_LIBRARY = re.compile(r"(lib(c|m|mvec|stdc\+\+|gcc_s|z|pthread|dl|rt|util)\.so\.\d+|ld-linux[\w-]*\.so\.\d+)")
DRIVERS = {"libcuda.so.1", "libnvidia-ml.so.1", "libOpenCL.so.1", "libc10_cuda.so", "libtorch_cuda.so"}
"""Come with the driver of a graphics card, or with PyTorch's build for one, and are asked for by files that are loaded
where they are there."""


def libraries_needed(folder: Path) -> dict[str, Path]:
    """Return the libraries that the compiled files below a folder need and that do not lie there, each with one file."""
    there: set[str] = set()
    needed: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.so*")):
        if "nvidia" in path.relative_to(folder).parts:  # CUDA, which comes with PyTorch's build for graphics cards
            there.add(path.name)
            continue
        if path.is_symlink() or not path.is_file():
            there.add(path.name)
            continue
        there.add(path.name)
        try:
            with path.open("rb") as file:
                for section in ELFFile(file).iter_sections():
                    if isinstance(section, DynamicSection):
                        for tag in section.iter_tags("DT_NEEDED"):
                            needed.setdefault(tag.needed, path)
                        there.update(tag.soname for tag in section.iter_tags("DT_SONAME"))
        except ELFError:
            continue
    return {name: path for name, path in needed.items() if name not in there}


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's compiled files")
def test_no_compiled_file_needs_a_library_that_a_bare_machine_lacks() -> None:
    folder = Path(sysconfig.get_path("purelib"))
    needed = libraries_needed(folder)
    assert any(C_LIBRARY.fullmatch(name) for name in needed)  # files were read
    lacking = [
        f"{path.relative_to(folder)} needs {name}, which a minimal system does not have"
        for name, path in needed.items()
        if not C_LIBRARY.fullmatch(name) and name not in DRIVERS and not name.startswith("libpython")
    ]
    assert not lacking, lacking[0]


def test_there_is_one_opencv_and_it_is_the_one_without_windows() -> None:
    found = sorted(one.name.lower().replace("_", "-") for one in distributions() if "opencv" in one.name.lower())
    assert found == ["opencv-python-headless"]


def test_the_version_stands_in_one_place() -> None:
    assert version("tfen") == tfen.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == tfen.__version__
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
