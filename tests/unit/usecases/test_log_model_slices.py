"""An address tells the slice only where a slice with that folder is known; guessing would rename a model."""

from __future__ import annotations

from datetime import date

import pytest

from churnlib.errors import ChurnError
from churnlib.records import KnownVariant
from churnlib.usecases.log_model_slices import dimensions_of, unread_folder
from churnlib.variants import BASE, Variant


def seen(**dimensions: str) -> KnownVariant:
    model = "-".join(["shop", *dimensions.values()]).lower()
    return KnownVariant(model=model, family="shop", dimensions=dimensions, first_as_of=date(2026, 1, 5))


KNOWN = [seen(geography="US"), seen(geography="US", company="Client A"), seen(geography="EU")]


@pytest.mark.parametrize(
    ("address", "dimensions"),
    [
        ("s3://bucket/geography-us/model.ubj", {"geography": "US"}),
        ("s3://bucket/models/geography-eu/2026/model.ubj", {"geography": "EU"}),
        ("s3://bucket/geography-us/company-client-a/m.ubj", {"geography": "US", "company": "Client A"}),
        ("s3://bucket/m.ubj", {}),
        ("s3://geography-us/m.ubj", {}),
        ("s3://bucket/geographies/m.ubj", {}),
        ("s3://bucket/geography-us.ubj", {}),
        ("/home/company-laptop/m.ubj", {}),
    ],
)
def test_the_value_is_written_as_it_was_seen(address: str, dimensions: dict[str, str]) -> None:
    assert dimensions_of(address, "shop", KNOWN, ()) == dimensions


@pytest.mark.parametrize("folder", ["geography-jp", "company-client-a", "company-client-a/geography-us"])
def test_an_unknown_slice_is_refused_with_the_way_out(folder: str) -> None:
    with pytest.raises(ChurnError, match=rf"lies in {folder}/, and shop knows no slice with that folder") as said:
        dimensions_of(f"s3://bucket/{folder}/m.ubj", "shop", KNOWN, ())
    assert f"--{folder.partition('-')[0]} " in said.value.hint


def test_two_slices_of_one_folder_are_not_guessed_between() -> None:
    with pytest.raises(ChurnError, match="several slices"):
        dimensions_of("s3://bucket/geography-us/m.ubj", "shop", [*KNOWN, seen(geography="us")], ())


def test_a_family_without_slices_takes_it_for_all_customers_and_says_so() -> None:
    address = "s3://bucket/geography-us/m.ubj"
    assert dimensions_of(address, "shop", [], ()) == {}
    said = unread_folder(address, BASE)
    assert said is not None
    assert "it is for all customers; for the slice alone, add --geography US" in said
    assert unread_folder(address, Variant(dimensions={"geography": "US"})) is None
    assert unread_folder("s3://bucket/models/m.ubj", BASE) is None
    assert unread_folder("/home/geography-us/m.ubj", BASE) is None


def test_dimensions_of_the_spec_count_too() -> None:
    with pytest.raises(ChurnError, match="knows no slice") as said:
        dimensions_of("s3://bucket/tariff-gold/m.ubj", "shop", [], ["tariff"])
    assert "--tariff" not in said.value.hint
    gold = seen(tariff="Gold")
    assert dimensions_of("s3://bucket/tariff-gold/m.ubj", "shop", [gold], ["tariff"]) == gold.dimensions
