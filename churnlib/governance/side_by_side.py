"""Two versions of a model beside each other, as a value: what both are, and what both do with the same rows."""

from __future__ import annotations

from datetime import date, datetime

from churnlib.governance.evidence import Evidence
from churnlib.governance.gates import GateResult
from churnlib.modelling.intervals import Interval
from churnlib.records import Record

Value = str | bool | int | float | None


class Pair(Record):
    """One fact of both versions.

    Attributes:
        first: of the first version; None where nobody knows, or nobody measured.
        second: likewise.
    """

    name: str
    first: Value
    second: Value

    @property
    def differs(self) -> bool:
        """Whether the versions have different values; True and 1 are different."""
        return (type(self.first), self.first) != (type(self.second), self.second)


class Measure(Record):
    """One metric of both versions on the same rows.

    Attributes:
        key: name of the field in `Metrics`.
        first: None where it cannot be measured on these rows; `second` likewise.
        first_interval: None for metrics that have none; `second_interval` likewise.
        difference: the second less the first, paired: both were right and wrong about the same customers.
    """

    key: str
    first: float | None
    second: float | None
    first_interval: Interval | None = None
    second_interval: Interval | None = None
    difference: Interval | None = None


class Curve(Record):
    """What was promised and what came, by tenths of the customers from low to high.

    Attributes:
        promised: mean probability of each tenth.
        came: share of it that churned.
        rows: in it; equal probabilities share a tenth, so that there may be fewer than ten.
    """

    promised: tuple[float, ...]
    came: tuple[float, ...]
    rows: tuple[int, ...]


class Measured(Record):
    """Both versions on rows whose outcomes are known.

    Attributes:
        evidence: as for a decision, with the first version in the champion's place.
        gates: whether the second could be proposed to follow the first.
        notes: what limits the measurement, in sentences.
    """

    evidence: Evidence
    gates: GateResult
    measures: tuple[Measure, ...]
    first_curve: Curve
    second_curve: Curve
    source: str
    notes: tuple[str, ...] = ()

    def measure(self, key: str) -> Measure:
        """The metric of that name."""
        return next(each for each in self.measures if each.key == key)


class Moves(Record):
    """How the call list changes among some customers.

    Attributes:
        feature: empty for all customers.
        listed_first: on the first version's list; `listed_second` likewise.
        entered: on the second's only; `left` on the first's only.
        value_entered: yearly value of those who enter, in the spec's money, a missing one as 0; None without a
            value column. `value_left` likewise.
    """

    feature: str
    value: str
    customers: int
    listed_first: int
    listed_second: int
    entered: int
    left: int
    value_entered: float | None = None
    value_left: float | None = None


class CallChange(Record):
    """The riskiest tenth of each snapshot, as each version has it; needs no outcomes.

    Attributes:
        whole: all customers.
        segments: by value of each category and boolean, in the spec's order.
        by_value: by quarters of the customers from the least valuable up; empty without a value column.
        source: of the rows, in words.
    """

    whole: Moves
    segments: tuple[Moves, ...]
    by_value: tuple[Moves, ...]
    first_as_of: date
    last_as_of: date
    source: str


class Importance(Record):
    """Share of the trees' total gain that a feature has; None where the version does not use it."""

    feature: str
    label: str
    first: float | None
    second: float | None


class Speed(Record):
    """Scoring speed, measured on the same rows in turns.

    Attributes:
        rows: scored each time, repeated customers where there were fewer.
        rounds: so many times by each; the median counts.
        first: rows per CPU-second, features included, reasons not; `second` likewise.
        engines: what evaluated the trees of each.
        source: of the rows, in words.
    """

    rows: int
    rounds: int
    first: float
    second: float
    engines: tuple[str, str]
    source: str

    @property
    def ratio(self) -> float:
        """How many times as fast the second is."""
        return self.second / self.first


class Gap(Record):
    """Something that could not be compared.

    Attributes:
        what: metrics, call list, speed.
        why: a sentence.
        way_out: a sentence.
    """

    what: str
    why: str
    way_out: str


class SideBySide(Record):
    """Two versions of a model.

    Attributes:
        first: number of the version that is compared with; `second` of the one that is looked at.
        aliases: of both.
        measured: None where `gaps` says why.
        own: what each was measured at on test rows of its own, which are not the same rows.
        importance: greatest share first.
        settings: what differs between the specs and the training parameters.
        lineage: every fact of where both came from, equal ones too.
        footprint: size on disk in bytes, trees.
    """

    model: str
    first: int
    second: int
    aliases: tuple[tuple[str, ...], tuple[str, ...]]
    made_at: datetime
    measured: Measured | None
    own: tuple[Pair, ...]
    calls: CallChange | None
    importance: tuple[Importance, ...]
    settings: tuple[Pair, ...]
    lineage: tuple[Pair, ...]
    footprint: tuple[Pair, ...]
    speed: Speed | None
    gaps: tuple[Gap, ...] = ()
