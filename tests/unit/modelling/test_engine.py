from __future__ import annotations

import numpy as np
import pytest

from churnlib.errors import ChurnError
from churnlib.features.matrix import Matrix, build_matrix
from churnlib.modelling.engine import contributions, margins
from tests.builders import accepted, trained


def matrix(rows: int = 40) -> Matrix:
    model = trained()
    return build_matrix(accepted(rows, seed=9), model.spec, model.state)


def test_contributions_and_base_add_up_to_the_margin() -> None:
    given = matrix()
    parts = contributions(trained().booster, given)
    assert parts.shape == (40, len(given.names) + 1)
    np.testing.assert_allclose(parts.sum(axis=1), margins(trained().booster, given), atol=1e-5)


def test_columns_in_another_order_are_refused() -> None:
    given = matrix()
    turned = Matrix(given.values[:, ::-1].copy(), given.names[::-1], {})
    with pytest.raises(ChurnError, match="they have another order"):
        margins(trained().booster, turned)


def test_a_feature_that_the_booster_does_not_know_is_named() -> None:
    given = matrix()
    renamed = Matrix(given.values, ("tenure_years", *given.names[1:]), {})
    with pytest.raises(ChurnError, match="differ at 'tenure_years'"):
        contributions(trained().booster, renamed)


def test_a_missing_feature_is_named() -> None:
    given = matrix()
    shorter = Matrix(given.values[:, :-1].copy(), given.names[:-1], {})
    with pytest.raises(ChurnError, match="has 5 features, the booster 6; they differ at 'charge_per_call'"):
        margins(trained().booster, shorter)


def test_no_rows_give_no_margins() -> None:
    given = matrix()
    empty = Matrix(given.values[:0], given.names, {})
    assert margins(trained().booster, empty).shape == (0,)
    assert contributions(trained().booster, empty).shape == (0, 7)
