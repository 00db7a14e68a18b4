"""Register a model that someone else trained: checked, with a spec, a probe, a drift reference and its lineage."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from churnlib.errors import ChurnError
from churnlib.modelling.foreign import Trees
from churnlib.modelling.release import write_release
from churnlib.ports import ModelVersion
from churnlib.spec import Spec, load_spec
from churnlib.usecases.log_model_examining import Examined, examine
from churnlib.usecases.log_model_files import Delivered, Fetch, bring
from churnlib.usecases.log_model_placing import Placed, place
from churnlib.usecases.log_model_registration import content_of, lineage_of, parts_of, registration_of
from churnlib.usecases.log_model_slices import dimensions_of, unread_folder
from churnlib.usecases.services import Run, Services, dispatch
from churnlib.usecases.situation import GATE_TAG
from churnlib.variants import safe_name

LEASE_SECONDS = 1800.0


@dataclass(frozen=True)
class Delivery:
    """What somebody hands over.

    Attributes:
        name: of the spec.
        model: path or `s3://` address of the model file, and so are the other files.
        scores: published scores of the sample's rows, which the model has to reproduce.
        id_column: the customer's id; None finds it in the sample.
        label: column of the labels; None finds it in the file of labels.
        trees: which score; None takes all, or those that reproduce the published scores.
        dimensions: of the variant, value by dimension (`geography`, `company`); empty for the one whose folder an
            `s3://` address leads through, and for the base variant where it leads through none.
    """

    name: str
    model: str
    sample: str
    features: str | None = None
    labels: str | None = None
    scores: str | None = None
    id_column: str | None = None
    label: str | None = None
    trees: Trees | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Logged:
    """What came of it.

    Attributes:
        seen: everything that was found out about the delivery.
        is_new: False where the same delivery was registered before.
        spec_file: the spec that feeds the model.
        remarks: what a person should know besides what was found in the files.
    """

    version: ModelVersion
    seen: Examined
    placed: Placed
    is_new: bool
    spec_file: Path
    remarks: tuple[str, ...] = ()


def log_model(services: Services, run: Run, delivery: Delivery, *, fetch: Fetch | None = None) -> Logged:
    """Check a delivered model and register it; the same delivery makes one version, however often it comes.

    Nothing is written before everything fits together. Then come the spec (unless there is one that fits), the
    version, and its alias: killed anywhere, the same call goes on.

    Args:
        services: the ports.
        run: its `who` stands in the lineage.
        delivery: the files and what was said about them.
        fetch: for `s3://` addresses.

    Raises:
        FileRefused: a file is not what it should be, or does not belong to the others.
        SpecError: the spec that is there feeds another model.
        ChurnError: another run registers or trains this model, or a file cannot be fetched.
    """
    name = safe_name(delivery.name, what="model")
    spec_file = services.specs / f"{name}.toml"
    spec = load_spec(spec_file) if spec_file.exists() else None
    dimensions = delivery.dimensions or _dimensions(services, delivery, spec)
    with tempfile.TemporaryDirectory(prefix="churn-delivery-") as folder:
        run.progress.step("reading what was delivered")
        files = bring(_addresses(delivery), Path(folder), fetch)
        seen = examine(
            name,
            files,
            spec,
            dimensions=dimensions,
            id_column=delivery.id_column,
            label=delivery.label,
            trees=delivery.trees,
            today=services.clock().date(),
        )
        if seen.spec_text is not None:
            _write(spec_file, seen.spec_text)
        with _alone(services, run, seen.spec.name):
            logged = _register(services, run, seen, files, spec_file)
    remark = unread_folder(delivery.model, seen.spec.variant)
    return logged if remark is None else replace(logged, remarks=(remark,))


def _dimensions(services: Services, delivery: Delivery, spec: Spec | None) -> Mapping[str, str]:
    with services.ledger.begin() as tx:
        known = tx.variants(delivery.name)
    return dimensions_of(delivery.model, delivery.name, known, spec.variants.dimensions if spec else ())


def _addresses(delivery: Delivery) -> dict[str, str | None]:
    return {what: getattr(delivery, what) for what in ("model", "sample", "features", "labels", "scores")}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".toml.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


@contextmanager
def _alone(services: Services, run: Run, model: str) -> Iterator[None]:
    """Keep trainings and other registrations of the model out."""
    work = f"training:{model}"
    with services.ledger.begin() as tx:
        claim = tx.claim(work, owner=run.run_id, now=services.clock(), lease_seconds=LEASE_SECONDS)
    if claim.state != "mine":
        raise ChurnError(
            f"{model} is being trained or registered already, by {claim.owner}.",
            hint="Wait for it to end; one that was killed frees its place after a while.",
        )
    try:
        yield
    finally:
        with services.ledger.begin() as tx:
            tx.release(work, owner=run.run_id)


def _register(
    services: Services,
    run: Run,
    seen: Examined,
    files: Mapping[str, Delivered],
    spec_file: Path,
) -> Logged:
    model = seen.spec.name
    key = _key(model, files, seen)
    known = next((each for each in services.registry.versions(model) if each.tags.get("churn.key") == key), None)
    if known is not None and (known.aliases or GATE_TAG in known.tags):
        return Logged(known, seen, Placed(next(iter(known.aliases), None)), is_new=False, spec_file=spec_file)
    lineage = lineage_of(seen, files, by=run.who, now=services.clock())
    run.progress.step("writing the release")
    with tempfile.TemporaryDirectory(prefix="churn-release-") as folder:
        release = write_release(Path(folder) / "release", content_of(seen), lineage=lineage, parts=parts_of(seen))
        run.progress.step("registering the release")
        version = services.registry.register(registration_of(seen, lineage, release, key))
    services.release(version.model, version.version)  # verified by its own probe before anyone relies on it
    placed = place(services, run, version, seen, key)
    dispatch(services)
    found = services.registry.version(version.model, version.version)
    return Logged(found or version, seen, placed, is_new=True, spec_file=spec_file)


def _key(model: str, files: Mapping[str, Delivered], seen: Examined) -> str:
    """The same for the same files, spec, label and choice of trees, whoever delivers them from wherever."""
    label = seen.answers.label.column if seen.answers else ""
    said = [*(f"{what}={each.digest}" for what, each in sorted(files.items())), label, seen.scored.trees]
    whole = hashlib.sha256("\n".join([*said, seen.spec.fingerprint()]).encode()).hexdigest()
    return f"log-model:{model}:{whole}"
