"""Whether a challenger is good enough to ask a person about it."""

from __future__ import annotations

from collections.abc import Iterator

from churnlib.governance.evidence import Evidence
from churnlib.records import Record
from churnlib.spec import PromotionPolicy

MIN_ROWS, MIN_POSITIVES = 200, 30
"""Fewer judged rows, or churned among them, decide nothing."""

LEAK_AUC = 0.995
"""Nobody ranks churners this well; a column that knows the outcome does."""


class GateResult(Record):
    """The gates' answer.

    Attributes:
        reasons: where it passed, what speaks for it; otherwise everything that speaks against it.
    """

    passed: bool
    reasons: tuple[str, ...]


class _Finding(Record):
    holds: bool
    text: str


def judge(evidence: Evidence, policy: PromotionPolicy) -> GateResult:
    """Let the evidence pass every gate, or say at which it stops.

    A challenger has to rank better than the champion by more than noise (than chance, where there is
    no champion), be calibrated, lose no slice, be judged on enough rows, and not look like a leak.
    """
    findings = [finding for gate in GATES for finding in gate(evidence, policy)]
    against = tuple(finding.text for finding in findings if not finding.holds)
    return GateResult(passed=not against, reasons=against or tuple(finding.text for finding in findings))


def enough(evidence: Evidence, policy: PromotionPolicy) -> Iterator[_Finding]:
    """Enough rows, and enough churned among them."""
    del policy
    holds = evidence.rows >= MIN_ROWS and evidence.positives >= MIN_POSITIVES
    found = f"{evidence.rows:,} rows with {evidence.positives:,} churned"
    needed = f"judged on {found} only; {MIN_ROWS} with {MIN_POSITIVES} are needed"
    yield _Finding(holds=holds, text=f"judged on {found}" if holds else needed)


def no_leak(evidence: Evidence, policy: PromotionPolicy) -> Iterator[_Finding]:
    """No AUC that only a column which knows the outcome can reach."""
    del policy
    auc = evidence.challenger_metrics.auc
    if auc > LEAK_AUC:
        text = f"AUC {auc:.4f} is too good to be true (above {LEAK_AUC}): a feature probably knows the outcome"
        yield _Finding(holds=False, text=text)


def ranks_better(evidence: Evidence, policy: PromotionPolicy) -> Iterator[_Finding]:
    """Better than the champion, or than chance, by more than noise."""
    del policy
    found = evidence.difference
    if found is None:
        own = evidence.challenger_auc
        words = "ranks better than chance" if own.low > 0.5 else "does not rank better than chance beyond noise"
        span = f"AUC {own.low:.3f} to {own.high:.3f} at {evidence.confidence:.0%}"
        yield _Finding(holds=own.low > 0.5, text=f"{words}: {span}")
        return
    words = "ranks better than the champion" if found.low > 0 else "does not win by more than noise"
    if found.high < 0:
        words = "ranks worse than the champion"
    span = f"AUC {found.estimate:+.3f}, {found.low:+.3f} to {found.high:+.3f} at {evidence.confidence:.0%}"
    yield _Finding(holds=found.low > 0, text=f"{words}: {span}")


def calibrated(evidence: Evidence, policy: PromotionPolicy) -> Iterator[_Finding]:
    """Probabilities that mean what they say."""
    error, most = evidence.challenger_metrics.calibration_error, policy.max_calibration_error
    holds = error <= most
    text = f"calibration error {error:.3f} is {'within' if holds else 'above'} {most:g}"
    yield _Finding(holds=holds, text=text)


def loses_no_slice(evidence: Evidence, policy: PromotionPolicy) -> Iterator[_Finding]:
    """No slice that is worse by more than the tolerance, and by more than noise."""
    judged = [(part, part.difference) for part in evidence.slices if part.difference is not None]
    lost = [(part, gap) for part, gap in judged if -gap.estimate > policy.max_slice_loss and gap.high < 0]
    for part, gap in lost:
        change = f"AUC {part.auc_champion:.3f} -> {part.auc_challenger:.3f} on {part.rows:,} rows"
        limit = f"more than {policy.max_slice_loss:g} and than noise ({gap.low:+.3f} to {gap.high:+.3f})"
        yield _Finding(holds=False, text=f"loses {part.name}: {change}, {limit}")
    if judged and not lost:
        yield _Finding(holds=True, text=f"loses none of {len(judged)} slices")


GATES = (enough, no_leak, ranks_better, calibrated, loses_no_slice)
"""Every gate, in the order in which its reasons are given."""
