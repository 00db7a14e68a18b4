"""A scored batch as a page in the Prefect UI: who is at risk, why, what was refused, and where everything is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from churnlib.usecases.scoring import ScoreResult

_BAR = 30


def batch_page(result: ScoreResult, *, links: Mapping[str, str]) -> str:
    """Markdown about one batch.

    Args:
        result: of the run.
        links: address by what is found there.
    """
    return "\n".join(_lines(result, links))


def _lines(result: ScoreResult, links: Mapping[str, str]) -> Iterator[str]:
    batch, summary = result.batch, result.summary
    yield f"## {batch.model}, {batch.source}"
    yield f"{batch.accepted:,} of {batch.rows:,} customers as of {batch.as_of}, scored by version {batch.version}."
    if batch.accepted:
        share = summary.expected / batch.accepted
        yield f"About {summary.expected:,.0f} of them ({share:.1%}) can be expected to churn.\n"
    yield from _table("Customers by probability of churning", _histogram(result))
    yield from _table("Strongest reason in the riskiest tenth", _bars(dict(summary.reasons.most_common(10))))
    yield from _table("In quarantine", {reason: f"{rows:,} rows" for reason, rows in batch.quarantined_by.items()})
    yield from _table("Unknown to the model", {name: f"{rows:,} values" for name, rows in result.unseen.items()})
    yield from _table("Where", _places(result, links))


def _places(result: ScoreResult, links: Mapping[str, str]) -> dict[str, str]:
    batch = result.batch
    places = {
        "predictions": batch.output,
        "taken from": batch.origin,
        "batch": batch.batch_id,
        "run": batch.run_id,
        "trees by": result.engine,
        "challenger along": None if batch.challenger is None else f"version {batch.challenger}",
    }
    return {name: f"`{place}`" for name, place in places.items() if place} | {
        name: f"[{name}]({url})" for name, url in links.items()
    }


def _histogram(result: ScoreResult) -> dict[str, str]:
    counts = result.summary.histogram.tolist()
    width = 100 // len(counts)
    return _bars({f"{k * width} to {(k + 1) * width} %": count for k, count in enumerate(counts) if count})


def _bars(counts: Mapping[str, int]) -> dict[str, str]:
    most = max(counts.values(), default=1)
    return {name: f"`{'█' * max(round(count / most * _BAR), 1)}` {count:,}" for name, count in counts.items()}


def _table(title: str, rows: Mapping[str, str]) -> Iterator[str]:
    if not rows:
        return
    yield f"\n### {title}\n\n| | |\n|---|---|"
    yield from (f"| {_cell(name)} | {text} |" for name, text in rows.items())


def _cell(text: str) -> str:
    """A name from a file: what would end the cell or become a tag does not."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
