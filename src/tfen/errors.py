"""The two kinds of trouble a person can meet, each told in one sentence."""


class TfenError(Exception):
    """A failure that is not the input's fault (a full disk, a missing network). Exit code 1."""

    exit_code = 1


class Cancelled(Exception):
    """Whoever asked for the work does not want it any more."""


class InputError(TfenError, ValueError):
    """Bad input: says what was found, where, what was expected and what to do. Exit code 2."""

    exit_code = 2
