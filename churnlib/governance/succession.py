"""Who was champion when, and to whom a rollback returns: read from the promotion ledger alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from churnlib.records import CHAMPION_KINDS, Transition

_BACK = frozenset({"rollback", "reversal"})


@dataclass(frozen=True)
class Reign:
    """A version's time as champion.

    Attributes:
        until: None for the present champion.
        by: the transition that began it.
    """

    version: int
    until: datetime | None
    by: Transition

    @property
    def since(self) -> datetime:
        """UTC."""
        return self.by.at


def reigns(entries: Sequence[Transition]) -> tuple[Reign, ...]:
    """One reign after the other, the present one last.

    A move to the version that is champion already, such as the reversal of a move by hand, begins none.

    Args:
        entries: of one model, by `seq`; those that are not about the champion are passed over.
    """
    begun = list(_begun(entries))
    ends = [later.at for _, later in pairwise(begun)]
    return tuple(
        Reign(move.to_version, until, move) for move, until in zip(begun, [*ends, None][: len(begun)], strict=True)
    )


def reign_at(entries: Sequence[Transition], at: datetime) -> Reign | None:
    """The reign at that moment; one that began at it counts. None before the first."""
    begun = [reign for reign in reigns(entries) if reign.since <= at]
    return begun[-1] if begun else None


def recorded_champion(entries: Sequence[Transition]) -> int | None:
    """The version that the record says is champion."""
    moves = [entry for entry in entries if entry.kind in CHAMPION_KINDS]
    return moves[-1].to_version if moves else None


def recorded_challenger(entries: Sequence[Transition]) -> int | None:
    """The version that the record says is challenger; a version that became champion is it no more."""
    challenger = None
    for entry in entries:
        if entry.kind == "challenger":
            challenger = entry.to_version
        elif entry.to_version == challenger and (entry.kind == "withdrawal" or entry.kind in CHAMPION_KINDS):
            challenger = None
    return challenger


def is_archived(entries: Sequence[Transition], version: int) -> bool:
    """Whether the version was put into the archive, and not taken out since."""
    moves = [entry.kind for entry in entries if entry.to_version == version]
    about = [kind for kind in moves if kind in {"archive", "restoration"}]
    return about[-1:] == ["archive"]


def succession(entries: Sequence[Transition]) -> tuple[int, ...]:
    """The present champion, last, and before it those that one rollback after the other returns to.

    A promotion puts a version on top. A rollback takes off what stands above the version that it returns to,
    so that the next one goes further back: after 1, 3, 5 and a rollback to 3 the predecessor is 1, and after
    a promotion to 7 it is 3 again. A champion that no entry made, but an entry replaced, has its place too.
    """
    line: list[int] = []
    for entry in entries:
        if entry.kind not in CHAMPION_KINDS:
            continue
        if entry.kind in _BACK and entry.to_version in line:
            line = _up_to_last(line, entry.to_version)
            continue
        for version in (entry.from_version, entry.to_version):
            if version is not None and line[-1:] != [version]:
                line.append(version)
    return tuple(line)


def predecessors(entries: Sequence[Transition]) -> tuple[int, ...]:
    """The versions that a rollback can return to, the true predecessor last; never the present champion."""
    line = succession(entries)
    return tuple(version for version in line[:-1] if version != line[-1])


def _begun(entries: Sequence[Transition]) -> Iterator[Transition]:
    champion = None
    for entry in entries:
        if entry.kind in CHAMPION_KINDS and entry.to_version != champion:
            champion = entry.to_version
            yield entry


def _up_to_last(line: list[int], version: int) -> list[int]:
    """The line, cut off above the last place of the version."""
    return line[: len(line) - line[::-1].index(version)]
