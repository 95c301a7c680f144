"""Errors that a user can act on, each with the exit code that a command ends with.

The codes follow BSD's sysexits(3), so that schedulers and scripts can tell them apart.
"""


class PlumblineError(Exception):
    """Ends a command with one message and `exit_code`, without a traceback."""

    exit_code = 1


class ConfigError(PlumblineError):
    """The configuration breaks a rule; nothing was created. Exit code 2."""

    exit_code = 2


class UnavailableError(PlumblineError):
    """A service, a GPU or the data can't be had, or the data is not what it should be. Exit code 69."""

    exit_code = 69


class StorageError(PlumblineError):
    """Reading or writing a file or a database failed. Exit code 74."""

    exit_code = 74


class StoppedError(PlumblineError):
    """Work was stopped before its end; the same command resumes it. Exit code 75."""

    exit_code = 75


def exit_code(error: BaseException) -> int:
    """The exit code of a command that `error` ended: 74 for any OSError, 75 for Ctrl-C."""
    if isinstance(error, PlumblineError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return StoppedError.exit_code
    return StorageError.exit_code if isinstance(error, OSError) else 1
