"""Two versions beside each other on one page for people: words first, all inside it, readable on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from churnlib.governance import side_by_side_pictures as pictures
from churnlib.governance.evidence import Slice
from churnlib.governance.side_by_side import CallChange, Measure, Measured, Moves, Pair, SideBySide
from churnlib.governance.side_by_side_html import (
    CSS,
    folded,
    image,
    money,
    number,
    share,
    span,
    table,
)
from churnlib.governance.side_by_side_words import (
    NAMES,
    paragraphs,
    rows_text,
    setting_text,
    value_text,
    verdict,
)


def can_draw(*, must: bool) -> bool:
    """Whether the page can be made.

    Args:
        must: raise where it cannot.

    Raises:
        ChurnError: matplotlib is not installed, and it must.
    """
    if must:
        pictures.check_there()
    return pictures.is_there()


def write_page(found: SideBySide, destination: Path) -> Path:
    """Write the page; its pictures are inside it, it has no script, and texts from data are escaped.

    Raises:
        ChurnError: matplotlib is not installed.
    """
    title = escape(f"{found.model}: v{found.second} beside v{found.first}")
    body = "\n".join(section for section in _sections(found) if section)
    destination.write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{CSS}</style></head>\n<body><main>\n<h1>{title}</h1>\n{body}\n</main></body></html>\n",
        encoding="utf-8",
    )
    return destination


def _sections(found: SideBySide) -> Iterator[str]:
    yield f'<p class="small">{escape(_who_is_who(found))}</p><p class="verdict">{escape(verdict(found))}</p>'
    yield "".join(f"<p>{escape(text)}</p>" for text in paragraphs(found))
    if found.gaps:
        told = "".join(f"<p>{escape(gap.why)} {escape(gap.way_out)}</p>" for gap in found.gaps)
        yield f"<h2>What could not be compared</h2>{told}"
    if found.measured is not None:
        yield _metrics(found, found.measured)
        yield _calibration(found, found.measured)
        yield _slices(found, found.measured)
    if found.calls is not None:
        yield _calls(found, found.calls)
    yield _importance(found)
    yield _footprint(found)
    yield _own(found)
    yield _settings(found)
    yield _lineage(found)


def _who_is_who(found: SideBySide) -> str:
    named = [
        f"v{number}" + (f" ({', '.join(aliases)})" if aliases else "")
        for number, aliases in zip((found.first, found.second), found.aliases, strict=True)
    ]
    return f"{named[1]} compared with {named[0]}, {found.made_at:%Y-%m-%d %H:%M} UTC."


def _metrics(found: SideBySide, measured: Measured) -> str:
    rows = [_metric_row(each, measured) for each in measured.measures]
    said = f"Both on the same {rows_text(measured)}. In small type: {measured.evidence.confidence:.0%} intervals."
    notes = "".join(f'<p class="small">{escape(note)}</p>' for note in measured.notes)
    shown = table(["", *_versions(found), "difference"], rows)
    return f"<h2>How good they are</h2><p>{escape(said)}</p>{notes}{shown}"


def _metric_row(each: Measure, measured: Measured) -> list[str]:
    name, meaning = NAMES[each.key]
    chance = measured.evidence.positives / measured.evidence.rows
    gap = each.difference
    return [
        f"{escape(name)}<span>{escape(meaning.format(chance=chance))}</span>",
        number(each.first) + span(each.first_interval),
        number(each.second) + span(each.second_interval),
        "" if gap is None else f"{gap.estimate:+.3f}{span(gap, signed=True)}",
    ]


def _calibration(found: SideBySide, measured: Measured) -> str:
    first, second = _versions(found)
    picture = image(pictures.calibration_svg(measured, first, second), "calibration curves of both versions")
    said = "On the dotted line as many customers left as the probabilities promised; below it, fewer."
    return f"<h2>Whether probabilities can be taken at their word</h2><p>{said}</p>{picture}"


def _slices(found: SideBySide, measured: Measured) -> str:
    slices = sorted(measured.evidence.slices, key=_loss)
    rows = [[escape(each.name), f"{each.rows:,}", *_slice_cells(each)] for each in slices]
    head = ["AUC where", "customers", *_versions(found), "difference"]
    return f"<h2>For whom</h2>{folded(head, rows)}" if rows else ""


def _loss(part: Slice) -> float:
    """The greatest loss first; those that are too small to be judged last."""
    return 1.0 if part.difference is None else part.difference.estimate


def _slice_cells(part: Slice) -> list[str]:
    gap = part.difference
    change = "too few" if gap is None else f"{gap.estimate:+.3f}{span(gap, signed=True)}"
    return [number(part.auc_champion), number(part.auc_challenger), change]


def _calls(found: SideBySide, calls: CallChange) -> str:
    first, second = _versions(found)
    head = ["", "customers", f"called by {first}", f"called by {second}", "enter", "leave"]
    dates = f"{calls.first_as_of}" + (f" to {calls.last_as_of}" if calls.last_as_of != calls.first_as_of else "")
    said = f"The riskiest tenth of {calls.whole.customers:,} customers ({calls.source}, {dates})."
    changing = sorted(calls.segments, key=lambda each: -(each.entered + each.left))
    shown = folded(head, [_moves_row(each) for each in (calls.whole, *changing)])
    if calls.by_value:
        rows = [[*_moves_row(each), money(each.value_entered), money(each.value_left)] for each in calls.by_value]
        shown += f"<h2>The call list by value</h2>{table([*head, 'value that enters', 'value that leaves'], rows)}"
    return f"<h2>Who is called</h2><p>{escape(said)}</p>{shown}"


def _moves_row(each: Moves) -> list[str]:
    name = " ".join(f"{each.feature} = {each.value}".split()) if each.feature else each.value
    numbers = (each.customers, each.listed_first, each.listed_second, each.entered, each.left)
    return [escape(name if len(name) <= 60 else f"{name[:57]}..."), *(f"{number:,}" for number in numbers)]


def _importance(found: SideBySide) -> str:
    first, second = _versions(found)
    picture = image(
        pictures.importance_svg(found.importance, first, second), "feature importance of both versions"
    )
    rows = [[escape(each.label), share(each.first), share(each.second)] for each in found.importance]
    every = f"<details><summary>All {len(rows)} features</summary>{table(['', first, second], rows)}</details>"
    said = "Share of what the trees gain by each feature."
    return f"<h2>What they look at</h2><p>{said}</p>{picture}{every if rows else ''}"


def _footprint(found: SideBySide) -> str:
    pairs = [[escape(pair.name), value_text(pair.first), value_text(pair.second)] for pair in found.footprint]
    if found.speed is not None:
        one, two = found.speed.engines
        pairs.append(["customers a CPU-second", f"{found.speed.first:,.0f}", f"{found.speed.second:,.0f}"])
        if one != two:
            pairs.append(["trees evaluated by", escape(one), escape(two)])
    return f"<h2>Size and speed</h2>{_timed(found)}{table(['', *_versions(found)], pairs)}"


def _timed(found: SideBySide) -> str:
    if found.speed is None:
        return ""
    speed = found.speed
    said = f"Timed in turns, {speed.rounds} times {speed.rows:,} rows each ({speed.source}); the medians."
    return f'<p class="small">{escape(said)}</p>'


def _own(found: SideBySide) -> str:
    rows = [
        [
            escape(NAMES[pair.name][0]),
            *(value_text(each, unknown="not measured") for each in (pair.first, pair.second)),
        ]
        for pair in found.own
    ]
    said = "Each on test rows of its own, when it was made: not the same customers, so not to be compared closely."
    return f"<h2>How good they were when they were made</h2><p>{said}</p>{table(['', *_versions(found)], rows)}"


def _settings(found: SideBySide) -> str:
    if not found.settings:
        return "<h2>Parameters and spec</h2><p>They are the same.</p>"
    rows = [[escape(pair.name), *map(escape, setting_text(pair))] for pair in found.settings]
    return f"<h2>Parameters and spec: what differs</h2>{table(['', *_versions(found)], rows, is_text=True)}"


def _lineage(found: SideBySide) -> str:
    rows = [_pair_row(pair) for pair in found.lineage]
    dull = [not pair.differs for pair in found.lineage]
    return f"<h2>Where they come from</h2>{table(['', *_versions(found)], rows, is_text=True, dull=dull)}"


def _pair_row(pair: Pair) -> list[str]:
    return [escape(pair.name), escape(value_text(pair.first)), escape(value_text(pair.second))]


def _versions(found: SideBySide) -> tuple[str, str]:
    return f"v{found.first}", f"v{found.second}"
