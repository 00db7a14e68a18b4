"""Names that users rely on, and names that never leave their folder."""

from __future__ import annotations

import pytest

from churnlib.errors import ChurnError
from churnlib.variants import BASE, Variant, safe_name, slug


def test_a_variant_is_named_the_same_everywhere() -> None:
    us = Variant(dimensions={"geography": "US"})
    both = Variant(dimensions={"geography": "EU", "company": "Client B"})
    assert us.registered_model("churn-prediction-model") == "churn-prediction-model-us"
    assert us.experiment("churn_prediction") == "churn_prediction-geography-us"
    assert us.prefix() == "geography-us/"
    assert both.registered_model("churn-prediction-model") == "churn-prediction-model-eu-client-b"
    assert both.prefix() == "geography-eu/company-client-b/"


def test_rows_of_a_variant_lie_below_its_familys_folder() -> None:
    both = Variant(dimensions={"geography": "EU", "company": "Client B"})
    assert both.folder("shop") == "shop/geography-eu/company-client-b"
    assert BASE.folder("shop") == "shop"


def test_the_base_variant_has_the_stems_own_name_and_no_prefix() -> None:
    assert BASE.registered_model("telco") == "telco"
    assert BASE.experiment("telco") == "telco"
    assert BASE.prefix() == ""


@pytest.mark.parametrize("name", ["", "..", "../up", "a/b", "a b", ".hidden", "-x", "x" * 81, "a\0", "ä"])
def test_a_name_that_could_leave_its_folder_or_break_an_address_is_refused(name: str) -> None:
    with pytest.raises(ChurnError, match="cannot be the name of a model"):
        safe_name(name, what="model")


def test_a_slug_has_only_letters_digits_and_single_hyphens() -> None:
    assert slug("  Client__B / Süd!") == "client-b-s-d"
