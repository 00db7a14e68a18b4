"""What setting up an installation is made of: parts, each prepared by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Prepared:
    """A part that is ready.

    Attributes:
        is_new: False where it was there already.
        said: what there is, without a secret.
    """

    is_new: bool
    said: str


@dataclass(frozen=True)
class Preparation:
    """A part that is to be there.

    Attributes:
        part: what it is called.
        prepare: makes what is missing; safe to repeat. Raises ServiceUnavailable where a service does not
            answer, and ChurnError or OSError where somebody has to mend something.
    """

    part: str
    prepare: Callable[[], Prepared]
