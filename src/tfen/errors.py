"""The two kinds of trouble a person can meet, each told in one sentence."""


class TfenError(Exception):
    """A failure that is not the input's fault (a full disk, a missing network). Exit code 1."""

    exit_code = 1


class Cancelled(Exception):
    """Whoever asked for the work does not want it any more."""


class InputError(TfenError, ValueError):
    """Bad input: says what was found, where, what was expected and what to do. Exit code 2."""

    exit_code = 2


def needs_extra(what: str, extra: str) -> InputError:
    """Return the error of something whose packages are not installed.

    Args:
        what: needs them.
        extra: of the package, in pyproject.toml.
    """
    return InputError(
        f"{what} needs the packages of the extra {extra}, which are not installed: in the checkout, pip install "
        f"'.[{extra}]'; with a wheel, pip install 'WHEEL[{extra}]'"
    )
