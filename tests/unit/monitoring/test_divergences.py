"""PSI and Jensen-Shannon against independent formulas, and what has to hold for any counts."""

from __future__ import annotations

from itertools import pairwise
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from churnlib.monitoring.divergences import (
    DIVERGENCES,
    Counts,
    Divergence,
    js,
    js_threshold,
    merge_sparse,
    psi,
    psi_noise,
)

every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES)


@st.composite
def two_samples(draw: st.DrawFn) -> tuple[Counts, Counts]:
    bins = draw(st.integers(2, 12))
    counts = st.lists(st.integers(0, 5000), min_size=bins, max_size=bins).filter(lambda one: sum(one) > 0)
    return np.array(draw(counts), dtype=np.int64), np.array(draw(counts), dtype=np.int64)


def counts(*numbers: int) -> Counts:
    return np.array(numbers, dtype=np.int64)


def test_psi_of_two_bins_is_the_sum_by_hand() -> None:
    # 10 imagined rows, spread as the mean of both: 55 % and 45 %
    p, q = (500 + 5.5) / 1010, (600 + 5.5) / 1010
    by_hand = (p - q) * log(p / q) + (q - p) * log((1 - p) / (1 - q))
    assert psi(counts(500, 500), counts(600, 400)) == pytest.approx(by_hand, rel=1e-12)


def test_psi_of_many_rows_is_the_textbook_value() -> None:
    textbook = (0.1 - 0.2) * log(0.1 / 0.2) + (0.4 - 0.3) * log(0.4 / 0.3)
    measured = psi(counts(100_000, 400_000, 500_000), counts(200_000, 300_000, 500_000))
    assert measured == pytest.approx(textbook, rel=1e-3)


def test_psi_of_samples_with_nothing_in_common_is_finite_and_large() -> None:
    assert 10 < psi(counts(5000, 0), counts(0, 5000)) < 20


@given(two_samples())
def test_js_is_scipys_distance(samples: tuple[Counts, Counts]) -> None:
    assert js(*samples) == pytest.approx(float(jensenshannon(*samples, base=2)), abs=1e-7)


def test_js_of_samples_with_nothing_in_common_is_one() -> None:
    assert js(counts(7, 0), counts(0, 9)) == pytest.approx(1)


@every_divergence
@given(samples=two_samples())
def test_no_divergence_is_negative_and_both_directions_agree(
    divergence: Divergence, samples: tuple[Counts, Counts]
) -> None:
    reference, current = samples
    assert divergence(reference, current) >= 0
    assert divergence(reference, current) == pytest.approx(divergence(current, reference), abs=1e-12)


@every_divergence
@given(samples=two_samples(), times=st.integers(1, 50))
def test_equal_shares_have_no_divergence_whatever_the_rows(
    divergence: Divergence, samples: tuple[Counts, Counts], times: int
) -> None:
    assert divergence(samples[0], samples[0] * times) == pytest.approx(0, abs=1e-7)


@every_divergence
@given(samples=two_samples(), borders=st.sets(st.integers(1, 11)))
def test_merging_bins_never_raises_a_divergence(
    divergence: Divergence, samples: tuple[Counts, Counts], borders: set[int]
) -> None:
    edges = sorted({0, samples[0].size, *(one for one in borders if one < samples[0].size)})
    merged = [np.array([part[a:b].sum() for a, b in pairwise(edges)]) for part in samples]
    assert divergence(*merged) <= divergence(*samples) + 1e-9


@every_divergence
def test_bins_empty_in_both_samples_change_nothing(divergence: Divergence) -> None:
    with_empty = divergence(counts(30, 0, 70), counts(50, 0, 50))
    assert with_empty == pytest.approx(divergence(counts(30, 70), counts(50, 50)), rel=1e-12)


@every_divergence
def test_a_sample_without_rows_is_an_error(divergence: Divergence) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        divergence(counts(1, 2), counts(0, 0))


@every_divergence
def test_other_bins_are_an_error(divergence: Divergence) -> None:
    with pytest.raises(ValueError, match="2 and of 3 bins"):
        divergence(counts(1, 2), counts(1, 2, 3))


@pytest.mark.parametrize(("n", "m"), [(2000, 500), (20_000, 5000)])
def test_the_noise_is_what_samples_of_one_distribution_show_on_average(n: int, m: int) -> None:
    generator = np.random.default_rng(7)
    shares = np.full(20, 0.05)
    pairs = [(generator.multinomial(n, shares), generator.multinomial(m, shares)) for _ in range(400)]
    measured = np.mean([psi(*pair) for pair in pairs])
    assert measured == pytest.approx(psi_noise(*pairs[0]), rel=0.1)
    squared = np.mean([js(*pair) ** 2 for pair in pairs])
    assert squared == pytest.approx(js_threshold(0, psi_noise(*pairs[0])) ** 2, rel=0.1)


def test_sparse_bins_are_put_together_and_no_row_is_lost() -> None:
    before, now = merge_sparse(counts(500, 3, 490, 7), counts(50, 2, 47, 1))
    assert (before.tolist(), now.tolist()) == ([500, 490, 10], [50, 47, 3])


def test_a_bin_that_fills_up_keeps_its_own() -> None:
    before, now = merge_sparse(counts(1000, 0), counts(80, 20))
    assert (before.tolist(), now.tolist()) == ([1000, 0, 0], [80, 20, 0])


def test_only_bins_in_use_make_noise() -> None:
    assert psi_noise(counts(50, 50, 0), counts(10, 90, 0)) == pytest.approx(1 / 100 + 1 / 100)
