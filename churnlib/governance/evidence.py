"""What a decision about a challenger rests on, as a value and in words for people."""

from __future__ import annotations

import hashlib
import json
from datetime import date

from churnlib.modelling.intervals import Interval
from churnlib.modelling.metrics import Metrics
from churnlib.records import Record

WORST_SLICES = 3
"""Judged slices in the table, from the greatest loss up."""

_MAX_NAME = 60


class Slice(Record):
    """Both versions on the rows with one value of one category.

    Attributes:
        value: the category; `(missing)` for rows without one.
        auc_champion: None where there is no champion.
        difference: AUC of the challenger less that of the champion, with its interval; None for a
            slice that is too small to be judged, or without a champion.
    """

    feature: str
    value: str
    rows: int
    positives: int
    auc_champion: float | None
    auc_challenger: float
    difference: Interval | None

    @property
    def name(self) -> str:
        """Feature and value on one line, at most 60 characters; the value is a customer's own text."""
        text = " ".join(f"{self.feature} = {self.value}".split())
        return text if len(text) <= _MAX_NAME else f"{text[: _MAX_NAME - 3]}..."


class CallList(Record):
    """How the riskiest tenth of each snapshot changes.

    Attributes:
        listed: customers on each of the two lists.
        entered: customers on the challenger's list only; as many leave the champion's.
        churned_champion: customers on the champion's list who then left; `churned_challenger` likewise.
        value_champion: yearly value of those who then left, in the spec's money; None without a value
            column. A customer whose value is missing counts as 0. `value_challenger` likewise.
    """

    listed: int
    entered: int
    churned_champion: int
    churned_challenger: int
    value_champion: float | None
    value_challenger: float | None


class Evidence(Record):
    """What a decision about a challenger rests on.

    Attributes:
        model: registered model name.
        champion: version that the challenger has to beat; None when there is none.
        rows: judged, the same for both; `positives` of them churned.
        first_as_of: of the rows; `last_as_of` likewise.
        cutoff: last `as_of` that the challenger was fitted on; None where the rows were held out by customer.
        challenger_auc: the challenger's own AUC with its interval.
        difference: AUC of the challenger less that of the champion; None without a champion.
        confidence: of every interval.
        call_list: None without a champion.
        rows_are: what the rows are, for people, where they are neither later nor held-out customers.
    """

    model: str
    champion: int | None
    challenger: int
    rows: int
    positives: int
    first_as_of: date
    last_as_of: date
    cutoff: date | None
    champion_metrics: Metrics | None
    challenger_metrics: Metrics
    challenger_auc: Interval
    difference: Interval | None
    confidence: float
    slices: tuple[Slice, ...]
    call_list: CallList | None
    rows_are: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256, hex, of the evidence's JSON with sorted keys: a decision names what it was taken on."""
        without = {"rows_are"} if self.rows_are is None else set()  # as evidence of before has it
        content = self.model_dump(mode="json", exclude=without)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def summary(evidence: Evidence) -> str:
    """Say in one sentence how the challenger does."""
    where = f"on {evidence.rows:,} {_rows_are(evidence)}"
    new, error = evidence.challenger_metrics, evidence.challenger_metrics.calibration_error
    calibration = f"calibration error {error:.3f}"
    old, difference = evidence.champion_metrics, evidence.difference
    if old is None or difference is None:
        low, high = evidence.challenger_auc.low, evidence.challenger_auc.high
        return f"has no champion to beat: AUC {new.auc:.3f} ({low:.3f} to {high:.3f}) {where}; {calibration}"
    word = "better" if difference.low > 0 else "worse" if difference.high < 0 else "about the same"
    span = f"{difference.low:+.3f} to {difference.high:+.3f}"
    return f"ranks {word}: AUC {old.auc:.3f} -> {new.auc:.3f}, {span} {where}; {calibration}"


def markdown(evidence: Evidence) -> str:
    """Lay the evidence out as a short Markdown table, for a form or a terminal."""
    blocks = [
        _metrics_table(evidence),
        _difference_line(evidence),
        _call_line(evidence),
        _slice_lines(evidence),
    ]
    dates = f"{evidence.first_as_of}"
    if evidence.last_as_of != evidence.first_as_of:
        dates += f" to {evidence.last_as_of}"
    judged = f"Fitted on rows up to {evidence.cutoff}, judged" if evidence.cutoff else "Judged"
    rows = f"{evidence.rows:,} {_rows_are(evidence)} of {dates}, {evidence.positives:,} of them churned"
    blocks.append(f"{judged} on {rows}. Evidence `{evidence.digest[:12]}`.")
    return "\n\n".join(block for block in blocks if block)


def _rows_are(evidence: Evidence) -> str:
    if evidence.rows_are is not None:
        return evidence.rows_are
    return "held-out customers" if evidence.cutoff is None else "later customers"


def _metrics_table(evidence: Evidence) -> str:
    old, new = evidence.champion_metrics, evidence.challenger_metrics
    champion = "no champion" if evidence.champion is None else f"champion v{evidence.champion}"
    names = {
        "auc": "AUC",
        "pr_auc": "PR-AUC",
        "log_loss": "log loss",
        "brier": "Brier score",
        "calibration_error": "calibration error",
        "lift_top_decile": "lift in the top decile",
        "recall_top_decile": "recall in the top decile",
    }
    lines = [f"| | {champion} | challenger v{evidence.challenger} |", "|---|---:|---:|"]
    for name, words in names.items():
        before = "" if old is None else f"{getattr(old, name):.3f}"
        lines.append(f"| {words} | {before} | {getattr(new, name):.3f} |")
    return "\n".join(lines)


def _difference_line(evidence: Evidence) -> str:
    share, found = evidence.confidence, evidence.difference
    if found is None:
        low, high = evidence.challenger_auc.low, evidence.challenger_auc.high
        return f"AUC {low:.3f} to {high:.3f} ({share:.0%} interval)."
    return f"AUC difference {found.estimate:+.3f}, {found.low:+.3f} to {found.high:+.3f} ({share:.0%} interval)."


def _call_line(evidence: Evidence) -> str:
    calls = evidence.call_list
    if calls is None:
        return ""
    moved = f"Call list (riskiest tenth): {calls.entered:,} of {calls.listed:,} customers change"
    caught = f"{calls.churned_champion:,} -> {calls.churned_challenger:,} of those listed then left"
    if calls.value_champion is None or calls.value_challenger is None:
        return f"{moved}; {caught}."
    return f"{moved}; {caught}, worth {calls.value_champion:,.0f} -> {calls.value_challenger:,.0f} a year."


def _slice_lines(evidence: Evidence) -> str:
    judged = [(part, part.difference) for part in evidence.slices if part.difference is not None]
    if not judged:
        return ""
    worst = sorted(judged, key=lambda pair: pair[1].estimate)[:WORST_SLICES]
    lines = [
        f"| weakest of {len(judged)} slices | rows | champion | challenger | difference |",
        "|---|---:|---:|---:|---:|",
    ]
    for part, gap in worst:
        # as code, so that nothing in it is taken for a table's edge, a link or a picture
        name = "`" + part.name.replace("`", "'").replace("|", "\\|") + "`"
        before = f"{part.auc_champion:.3f}" if part.auc_champion is not None else ""
        span = f"{gap.estimate:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
        lines.append(f"| {name} | {part.rows:,} | {before} | {part.auc_challenger:.3f} | {span} |")
    return "\n".join(lines)
