"""From TOML to a spec, with errors that name the file, the key and the way out."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ValidationError

from churnlib.errors import SpecError
from churnlib.spec.model import Spec
from churnlib.spec.names import nearest
from churnlib.spec.sections import Feature


def load_spec(path: Path) -> Spec:
    """Read and check one spec.

    Raises:
        SpecError: no such file, not TOML, an unknown key (with the nearest valid name), or a value
            that cannot hold; the message names file and key.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        others = sorted(other.stem for other in path.parent.glob("*.toml"))
        known = f"There are: {', '.join(others)}." if others else "There is none yet."
        raise SpecError(
            f"No spec {path}.", hint=f"{known} `churn init FILE --id COLUMN --label COLUMN` writes one."
        ) from error
    except UnicodeDecodeError as error:
        said = f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}."
        raise SpecError(said, hint="Save it as UTF-8.") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path} is not TOML: {error}.", hint="Mend the line it names.") from error
    return parse_spec({"name": path.stem, **content}, source=str(path))


def parse_spec(content: object, *, source: str) -> Spec:
    """Check a spec that was read already; `source` stands in the error.

    Raises:
        SpecError: as `load_spec`.
    """
    try:
        return Spec.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the spec"
        if first["type"] == "extra_forbidden":
            hint = f"Remove or rename it{nearest(str(first['loc'][-1]), _keys_at(first['loc'][:-1]))}."
            raise SpecError(f"{source}: unknown key {where!r}.", hint=hint) from error
        said = first["msg"].removeprefix("Value error, ")
        raise SpecError(f"{source}: {where}: {said}.", hint="Correct it and try again.") from error


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Spec
    for part in location:
        if part == "features":
            section = Feature
        elif part in section.model_fields:
            annotation = section.model_fields[str(part)].annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                section = annotation
    return list(section.model_fields)
