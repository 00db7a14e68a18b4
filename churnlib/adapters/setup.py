"""The services of an installation as parts to prepare: databases, MLflow, the bucket, the artifacts' place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from churnlib.adapters import ledger_setup, mlflow_setup, postgres_setup, s3_setup
from churnlib.adapters.s3_bucket import Bucket
from churnlib.ports.preparing import Preparation, Prepared

_STORE: Final = "CHURN_STORE_URL"
_ARTIFACTS: Final = "CHURN_ARTIFACT_ROOT"


@dataclass(frozen=True)
class Wanted:
    """What the settings say about services.

    Attributes:
        ledger: URL, and so are `predictions` (None for files) and `tracking`.
        artifacts: URI below which MLflow keeps its artifacts.
        artifact_endpoint: of the S3 that has those; `s3_endpoint` is the store's. None for AWS.
        secret: of Secrets Manager, for databases whose URL names no user.
        store: `s3://bucket/prefix`; None for local folders.
    """

    ledger: str = field(repr=False)
    predictions: str | None = field(repr=False)
    tracking: str = field(repr=False)
    artifacts: str
    artifact_endpoint: str | None
    secret: str | None
    store: str | None
    s3_endpoint: str | None


class Installing:
    """Makes the parts; nothing is opened before a part is prepared."""

    def __init__(self, wanted: Wanted, *, create_bucket: bool, named: Callable[[str], str]) -> None:
        """Remember what is wanted.

        Args:
            wanted: of the settings.
            create_bucket: make buckets that are missing.
            named: puts user and password of the database secret into a URL that names no user.
        """
        self._wanted, self._create_bucket, self._named = wanted, create_bucket, named
        self._secrets: set[str] = set()

    def url(self, given: str) -> str:
        """The URL with user and password; its password will be in no text."""
        self._secrets |= postgres_setup.passwords_in(given)
        named = self._named(given)
        self._secrets |= postgres_setup.passwords_in(named)
        return named

    def scrub(self, text: str) -> str:
        """The text without passwords."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def services(self, experiments: Callable[[], Sequence[str]]) -> Iterator[Preparation]:
        """Everything that answers over a wire, or would where the settings say so.

        Args:
            experiments: their names; asked for when they are made, because the ledger has to be there.
        """
        wanted = self._wanted
        yield Preparation("credentials", self._credentials)
        for setting, url in self._databases().items():
            yield Preparation("database", lambda url=url, to=setting: self._database(url, to))  # type: ignore[misc]
        yield Preparation("ledger", lambda: ledger_setup.prepare_ledger(self.url(wanted.ledger)))
        yield Preparation("MLflow", lambda: mlflow_setup.prepare_tracking(self.url(wanted.tracking)))
        if wanted.store is not None:
            yield Preparation("bucket", lambda: self._bucket(str(wanted.store), _STORE, wanted.s3_endpoint))
        yield Preparation("artifacts", self._artifacts)
        yield Preparation(
            "experiments",
            lambda: mlflow_setup.prepare_experiments(self.url(wanted.tracking), wanted.artifacts, experiments()),
        )

    def prefixes(self, models: Callable[[], Sequence[str]]) -> Iterator[Preparation]:
        """Where files are to be laid down in the bucket, if there is one."""
        store = self._wanted.store
        if store is None:
            return

        def prepare() -> Prepared:
            folders = [f"incoming/{model}/{below}" for model in models() for below in ("", "outcomes/")]
            return s3_setup.prepare_folders(Bucket(store, endpoint_url=self._wanted.s3_endpoint), folders)

        yield Preparation("inbox on S3", prepare)

    def _databases(self) -> dict[str, str]:
        """URL by the settings that name it; each PostgreSQL database once."""
        wanted = self._wanted
        given = {
            "CHURN_LEDGER_URL": wanted.ledger,
            "CHURN_PREDICTIONS_URL": wanted.predictions,
            "CHURN_MLFLOW_TRACKING_URI": wanted.tracking,
        }
        found: dict[str, tuple[list[str], str]] = {}
        for setting, url in given.items():
            if url is not None and postgres_setup.is_postgres(url):
                found.setdefault(postgres_setup.same_database(url), ([], url))[0].append(setting)
        return {", ".join(settings): url for settings, url in found.values()}

    def _database(self, url: str, setting: str) -> Prepared:
        return postgres_setup.prepare_database(self.url(url), setting)

    def _bucket(self, url: str, setting: str, endpoint_url: str | None) -> Prepared:
        create = self._create_bucket
        return s3_setup.prepare_bucket(url, setting=setting, endpoint_url=endpoint_url, create=create)

    def _credentials(self) -> Prepared:
        wanted, said = self._wanted, []
        if wanted.secret is not None:
            from churnlib.adapters.secrets import database_credentials

            database_credentials(wanted.secret, wanted.s3_endpoint)
            said.append(f"databases: the secret {wanted.secret!r} of Secrets Manager can be read")
        elif self._databases():
            said.append("databases: from their URLs")
        if wanted.store is not None:
            said.append(f"AWS: found by boto3 ({s3_setup.aws_credentials(_STORE)})")
        return Prepared(False, "; ".join(said) or "none needed: everything is in local folders")

    def _artifacts(self) -> Prepared:
        root = self._wanted.artifacts
        scheme = urlsplit(root).scheme
        if scheme == "s3":
            is_ours = root.startswith(f"{self._wanted.store}".rstrip("/"))
            return self._bucket(root, _STORE if is_ours else _ARTIFACTS, self._wanted.artifact_endpoint)
        if scheme != "file":
            return Prepared(False, f"{root}, which MLflow alone knows how to reach")
        folder = Path(url2pathname(urlsplit(root).path))
        is_new = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        return Prepared(is_new, str(folder))
