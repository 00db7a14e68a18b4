"""For which slice of the customers a delivered model is, where only its address says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from churnlib.errors import ChurnError
from churnlib.records import KnownVariant
from churnlib.usecases.log_model_files import S3
from churnlib.variants import Variant, slug

USUAL = ("geography", "company")
"""Dimensions that one can name by an option."""


def dimensions_of(
    address: str, name: str, known: Iterable[KnownVariant], dimensions: Iterable[str]
) -> Mapping[str, str]:
    """Value by dimension of the slice whose folder an `s3://` address leads through; empty where there is none.

    A folder such as `geography-us/` does not say how the value is written: US, us or Us. So it counts only as
    the folder of a slice that is known; where the family has such slices, another one is refused.

    Args:
        address: of the model file.
        name: of the spec.
        known: slices of its customers that were seen.
        dimensions: their names in the spec.

    Raises:
        ChurnError: it leads through the folder of a slice that nobody has seen, or of several.
    """
    slices = [each.dimensions for each in known]
    named = _named(address, {*dimensions, *(dimension for each in slices for dimension in each)})
    if not named:
        return {}
    wanted = "".join(f"{folder}/" for folder in named)
    found = [each for each in slices if Variant(dimensions=each).prefix() == wanted]
    if len(found) == 1:
        return found[0]
    is_known = "several slices whose folder that would be" if found else "no slice with that folder"
    way = f"Say whose model it is, as the data has it: {' '.join(map(_option, named))}"
    if any(folder.partition("-")[0] not in USUAL for folder in named):
        way = "Score a batch that has that slice first, so that it is known"
    raise ChurnError(
        f"{address} lies in {wanted}, and {name} knows {is_known}.",
        hint=f"{way}; a model for all customers has to lie outside such a folder.",
    )


def unread_folder(address: str, variant: Variant) -> str | None:
    """What a person should know of an address that seems to name a slice which the model is not for."""
    named = [] if variant.dimensions else _named(address, USUAL)
    if not named:
        return None
    options = " ".join(map(_option, named))
    return (
        f"its address leads through {'/'.join(named)}/, but no such slice is known: "
        f"it is for all customers; for the slice alone, add {options}"
    )


def _named(address: str, dimensions: Iterable[str]) -> list[str]:
    """Folders of an `s3://` address that begin like a dimension's."""
    if not address.startswith(S3):
        return []
    starts = tuple(f"{slug(dimension)}-" for dimension in dimensions)
    return [folder for folder in PurePosixPath(address.removeprefix(S3)).parts[1:-1] if folder.startswith(starts)]


def _option(folder: str) -> str:
    dimension, _, value = folder.partition("-")
    return f"--{dimension} {value.upper() if len(value) <= 3 else value.title()}"
