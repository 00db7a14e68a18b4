"""Harrell's concordance index in O(n log n)."""

from __future__ import annotations

import numpy as np

from churnlib.errors import ChurnError


def c_index(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float:
    """Return the share of comparable pairs in which the riskier customer left earlier.

    A pair is comparable when the earlier of the two times is an event; at equal times, when exactly
    one of the two is an event (the censored one outlived it). Equal risks count one half (Harrell et
    al. 1996). For a binary outcome, where everybody who churned left at one time and everybody who
    stayed is censored later, this is the area under the ROC curve.

    Args:
        time: until the event or the end of observation, any unit.
        event: whether the customer left; False is censored.
        risk: higher means sooner.

    Raises:
        ChurnError: no pair is comparable.
    """
    time, event = np.asarray(time, dtype=np.float64), np.asarray(event, dtype=bool)
    ranks = np.unique(np.asarray(risk, dtype=np.float64), return_inverse=True)[1].astype(np.int64)
    # Latest first, at equal times the censored before the events; among equal events the riskiest
    # first, so that none of them counts another as less risky.
    order = np.lexsort((-ranks, event, -time))
    time, event, ranks = time[order], event[order], ranks[order]
    # How many rows outlived each row: those before the first row of the same time and kind.
    starts = np.concatenate([[True], (time[1:] != time[:-1]) | (event[1:] != event[:-1])])
    outlived_by = np.maximum.accumulate(np.where(starts, np.arange(len(time)), 0))
    pairs = int(outlived_by[event].sum())
    if pairs == 0:
        raise ChurnError(
            f"No pair among {len(time)} rows can be compared: there are {int(event.sum())} events.",
            hint="A concordance index needs a customer who left and one who stayed longer.",
        )
    lower = int(_lower_before(ranks)[event].sum())
    equal = int(_equal_before(ranks, outlived_by)[event].sum())
    return (lower + equal / 2) / pairs


def _lower_before(ranks: np.ndarray) -> np.ndarray:
    """Count, for each place, the lower ranks at earlier places: a radix partition, one bit a pass.

    Within a group of ranks that share their higher bits, kept in order of place, those with a 0 in
    the next bit are lower than those with a 1.
    """
    counts = np.zeros(len(ranks), dtype=np.int64)
    place = np.arange(len(ranks))
    for bit in range(int(ranks.max()).bit_length() - 1, -1, -1):
        values = ranks[place]
        is_zero = (values >> bit & 1) == 0
        zeros_before = np.cumsum(is_zero) - is_zero
        group = values >> (bit + 1)
        first = np.searchsorted(group, group, side="left")
        counts[place] += np.where(is_zero, 0, zeros_before - zeros_before[first])
        place = place[np.argsort(values >> bit, kind="stable")]
    return counts


def _equal_before(ranks: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Count, for each place, the equal ranks at places below its limit."""
    span = len(ranks) + 1
    keys = np.sort(ranks * span + np.arange(len(ranks)))
    below_limit = np.searchsorted(keys, ranks * span + limit, side="left")
    return np.asarray(below_limit - np.searchsorted(keys, ranks * span, side="left"))
