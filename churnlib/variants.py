"""One model per slice of customers: how a variant is named everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from churnlib.errors import ChurnError

_TAGS = {"company": "company_id"}
"""Dimensions whose tag has another name."""

_UNSAFE = re.compile(r"[^a-z0-9]+")


def slug(text: str) -> str:
    """Lower-case letters, digits and single hyphens: safe in names, folders, tags and URLs."""
    return _UNSAFE.sub("-", text.lower()).strip("-")


class Variant(BaseModel):
    """A slice such as geography US, or the base variant that has no dimension.

    Attributes:
        dimensions: value by dimension, in the spec's order; empty for the base variant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimensions: Mapping[str, str] = {}

    @property
    def suffix(self) -> str:
        """What the names of the slice's models have after the stem: a hyphen before every value."""
        return "".join(f"-{slug(value)}" for value in self.dimensions.values())

    @property
    def tags(self) -> dict[str, str]:
        """The slice as tags of a version: `geography`, `company_id` and so on."""
        return {_TAGS.get(name, name): value for name, value in self.dimensions.items()}

    def registered_model(self, stem: str) -> str:
        """Name in the model registry: the stem, then every value."""
        return stem + self.suffix

    def experiment(self, stem: str) -> str:
        """Name of the MLflow experiment: the stem, then every dimension with its value."""
        parts = (f"{slug(name)}-{slug(value)}" for name, value in self.dimensions.items())
        return "-".join([stem, *parts])

    def prefix(self) -> str:
        """Folder of the variant's files, with a trailing slash; empty for the base variant."""
        return "".join(f"{slug(name)}-{slug(value)}/" for name, value in self.dimensions.items())

    def folder(self, family: str) -> str:
        """Where the variant's rows lie below a table: the family's folder, then its prefix."""
        return f"{family}/{self.prefix()}".removesuffix("/")


BASE = Variant()


def safe_name(name: str, *, what: str) -> str:
    """Return the name, or refuse one that could leave its folder or break a URL.

    Raises:
        ChurnError: the name is empty, longer than 80 characters, or not letters, digits, `_` and `-`.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", name):
        return name
    raise ChurnError(
        f"{name!r} cannot be the name of a {what}.",
        hint="Use letters, digits, '_' and '-', starting with a letter or digit, at most 80 characters.",
    )
