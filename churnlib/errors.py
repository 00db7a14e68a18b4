"""Errors that a user can act on: one sentence that says what is wrong, one that says the way out."""

from __future__ import annotations


class ChurnError(Exception):
    """Something the user can mend: a file, a column, a setting, a spec.

    Attributes:
        message: one sentence naming the file, column, row count or setting at fault.
        hint: one sentence saying what to do about it.
        exit_code: 2, what the user must mend.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"


class SpecError(ChurnError):
    """A spec file is missing, is not TOML, or says something that cannot hold."""


class FileRefused(ChurnError):
    """A file as a whole cannot be used; it stays where a person finds it."""


class NoChampion(ChurnError):
    """A model has no version with the alias `champion` yet."""


class ReleaseCorrupt(ChurnError):
    """A release's checksum differs, a part is missing, or its probe rows score differently."""


class DecisionRefused(ChurnError):
    """An approval cannot be given, was given already, or went stale."""


class ServiceUnavailable(ChurnError):
    """A service that is needed does not answer (exit code 3)."""

    exit_code = 3
