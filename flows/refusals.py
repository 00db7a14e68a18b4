"""From an exception to what a person reads and the exit code: one sentence and a hint, never a traceback."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Sequence
from pathlib import Path

from churnlib.errors import ChurnError, ServiceUnavailable
from flows.output import complain

OUR_FAULT, USER_MENDS, INTERRUPTED = 1, 2, 130

_STORAGE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EIO,
    errno.ENAMETOOLONG,
}


def refuse(error: Exception, arguments: Sequence[str], *, commands: Sequence[str]) -> int:
    """Say what went wrong; returns the exit code.

    Args:
        error: whatever a command raised.
        arguments: of the command line, without the program's name.
        commands: names of all commands.
    """
    as_json = "--json" in arguments
    known = error if isinstance(error, ChurnError) else _storage_fault(error)
    if known is not None:
        complain(known.message, known.hint, as_json=as_json)
        return known.exit_code
    show = getattr(error, "format_message", None)  # wrong usage: an unknown option, a missing argument
    if show is not None:
        _explain_usage(show().strip(), arguments, commands, as_json=as_json)
        return USER_MENDS
    if type(error).__name__ == "Abort":  # a question met the end of its input
        complain("There was no answer.", "Run it at a terminal.", as_json=as_json)
        return INTERRUPTED
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    complain(f"churn failed by a fault of its own ({said}).", _keep(error, arguments), as_json=as_json)
    return OUR_FAULT


def _explain_usage(said: str, arguments: Sequence[str], commands: Sequence[str], *, as_json: bool) -> None:
    if not said:  # `churn` alone: the help stands there already
        return
    about = next((f" {argument}" for argument in arguments if argument in commands), "")
    complain(said if said.endswith((".", "?")) else f"{said}.", f"See `churn{about} --help`.", as_json=as_json)


def _storage_fault(error: Exception) -> ChurnError | None:
    """A disk or a folder that does not let us: nothing that a traceback would explain."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    home = _home()
    is_home_gone = error.errno == errno.ENOENT and home.is_relative_to(str(error.filename))
    if error.errno not in _STORAGE and not is_home_gone:
        return None
    return ServiceUnavailable(
        f"{error.filename} cannot be used: {error.strerror}.",
        hint=f"Check the rights on it and the space left, or point CHURN_HOME (now {home}) at another folder.",
    )


def _keep(error: Exception, arguments: Sequence[str]) -> str:
    log = _home() / "data" / "logs" / "faults.log"
    story, frames = "".join(traceback.format_exception(error)), traceback.extract_tb(error.__traceback__)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"churn {' '.join(arguments)}\n{story}\n")
    except OSError:
        where = "".join(f", in {frame.name} of {frame.filename}" for frame in frames[-1:])
        return f"Please report it{where}; {log} cannot be written."
    return f"Please report it; the details are in {log}."


def _home() -> Path:
    from churnlib.settings import Settings

    return Settings().home.resolve()
