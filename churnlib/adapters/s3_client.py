"""Clients of AWS's services that say within seconds that nobody answers, and their errors in words."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlsplit

from churnlib.errors import ChurnError, ServiceUnavailable

ATTEMPTS, CONNECT_SECONDS, READ_SECONDS = 3, 2, 15
"""botocore's own are up to 5 attempts of 60 seconds: a fallback would come after minutes."""

_REGION_WITHOUT_AWS: Final = "us-east-1"
_ENDPOINT: Final = "CHURN_S3_ENDPOINT_URL"

_PASSING_CODES: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "ConditionalRequestConflict",
        "EC2ThrottledException",
        "InternalServiceError",
        "LimitExceededException",
        "OperationAborted",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""How AWS says that the same may work later, with a status below 500."""

_PASSING_KINDS: Final = (
    "HTTPClientError",
    "ConnectionError",
    "IncompleteReadError",
    "ChecksumError",
    "MetadataRetrievalError",
    "CredentialRetrievalError",
)
"""botocore's own errors, and all that inherit from them, that say the same."""

_CREDENTIALS: Final = "Correct or renew the AWS credentials: the role, AWS_PROFILE or AWS_ACCESS_KEY_ID."
_REGION: Final = "Name the region in AWS_REGION."
_RIGHTS: Final = "Give this user or role the right that is missing there."
_NOT_THERE: Final = "Create the secret, or correct CHURN_DATABASE_SECRET."
_HINTS: Final = {
    "NoSuchBucket": "Create the bucket, or correct CHURN_STORE_URL.",
    "InvalidBucketName": "Correct CHURN_STORE_URL.",
    "ParamValidationError": "Correct CHURN_STORE_URL or CHURN_DATABASE_SECRET.",
    "ResourceNotFoundException": _NOT_THERE,
    "InvalidRequestException": _NOT_THERE,
    "AccessDenied": _RIGHTS,
    "AccessDeniedException": _RIGHTS,
    "AllAccessDisabled": _RIGHTS,
    "403": _RIGHTS,
    "301": _REGION,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "NoRegionError": _REGION,
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "SSLError": "Name the certificate's authority in AWS_CA_BUNDLE.",
    "EntityTooLarge": "Deliver it in parts.",
}
_CREDENTIAL_FAULTS: Final = re.compile(
    r"Credentials?|Token|AccessKey|Signature|Profile|UnrecognizedClient|InvalidClient|NotSignedUp"
)
_LASTING_HINT: Final = f"Correct what it names, or CHURN_STORE_URL or {_ENDPOINT}."
_PASSING_HINT: Final = f"Check the network and that the service answers, or correct {_ENDPOINT}; then repeat."
_URL: Final = re.compile(r"(?P<scheme>https?://)(?:[^/@\s\"']*@)?(?P<host>[^/\s\"']+)[^\s\"']*")


def check_aws(setting: str, endpoint_url: str | None) -> None:
    """Say before anything is asked that AWS cannot be asked.

    Args:
        setting: that needs it, as in "CHURN_STORE_URL".
        endpoint_url: of a service that is not AWS's own.

    Raises:
        ChurnError: boto3 is not installed, or the endpoint is no URL.
    """
    if find_spec("boto3") is None:
        raise ChurnError(
            f"{setting} needs the Python package 'boto3'.", hint="Install it: pip install 'churnlib[aws]'."
        )
    if endpoint_url is not None and not _is_endpoint(endpoint_url):
        raise ChurnError(
            f"{_ENDPOINT} is not the URL of a service.",
            hint="Write https://host or http://host:port, without a user, a path or parameters.",
        )


def aws_client(service: str, endpoint_url: str | None, *, region: str | None = None) -> Any:  # noqa: ANN401
    """A boto3 client (250 ms for the import); credentials and region are those that boto3 finds.

    Retries are botocore's standard ones: backoff with full jitter. A service that does not answer is given up
    after about eight seconds, one that refuses connections after two. Clients may be shared by threads.

    Args:
        service: as boto3 calls it: s3, sqs or secretsmanager.
        endpoint_url: of a service that is not AWS's own.
        region: None for boto3's.
    """
    import boto3
    from botocore.config import Config

    # below INFO it logs what it sends and gets, secrets and signatures included
    logger = logging.getLogger("botocore")
    logger.setLevel(max(logger.getEffectiveLevel(), logging.INFO))
    given: dict[str, Any] = {}
    if endpoint_url is not None:
        # what other makes of S3 may not know yet
        given = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=16,
        tcp_keepalive=True,
        **given,
    )
    session = boto3.session.Session()  # the module's own session is not safe for threads
    region = region or session.region_name or (_REGION_WITHOUT_AWS if endpoint_url else None)
    return session.client(service, endpoint_url=endpoint_url, region_name=region, config=config)


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Raise in words what AWS or the way to it says, after `what`: "… cannot be read: Access Denied".

    Raises:
        ServiceUnavailable: it may work later: no connection, a fault of the service, too many requests.
        ChurnError: it will not work later either: no such bucket, no right, wrong credentials.
    """
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except S3UploadFailedError as error:  # which repeats in its text what it was raised for
        raise in_words(error.__context__ or error, what) from error
    except (BotoCoreError, ClientError) as error:
        raise in_words(error, what) from error


def in_words(error: BaseException, what: str) -> ChurnError:
    """The error for people; see `aws_errors`."""
    code = code_of(error)
    if passes(error):
        return ServiceUnavailable(f"{what}: {_said(error)}.", hint=_PASSING_HINT)
    hint = _HINTS.get(code) or (_CREDENTIALS if _CREDENTIAL_FAULTS.search(code) else _LASTING_HINT)
    return ChurnError(f"{what}: {_said(error)}.", hint=hint)


def passes(error: BaseException) -> bool:
    """Whether the same may work later."""
    response = getattr(error, "response", None)
    if response is not None:
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or code_of(error) in _PASSING_CODES
    if code_of(error) == "SSLError" and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return False
    return any(kind.__name__ in _PASSING_KINDS for kind in type(error).__mro__)


def code_of(error: BaseException) -> str:
    """AWS's code for what went wrong (only "404" and the like to a HEAD), or the name of botocore's error."""
    response = getattr(error, "response", None)
    return type(error).__name__ if response is None else str(response.get("Error", {}).get("Code", ""))


def _said(error: BaseException) -> str:
    """One line without what a URL may carry: user, password, path and parameters."""
    response = getattr(error, "response", None)
    told = str(error) if response is None else str(response.get("Error", {}).get("Message") or code_of(error))
    lines = [line.strip() for line in told.splitlines() if line.strip()] or [type(error).__name__]
    line = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return _URL.sub(r"\g<scheme>\g<host>", line).rstrip(".")


def _is_endpoint(url: str) -> bool:
    try:
        parsed = urlsplit(url)
        is_plain = parsed.username is None and parsed.path in ("", "/") and not parsed.query
        return parsed.scheme in ("http", "https") and bool(parsed.hostname) and parsed.port != 0 and is_plain
    except ValueError:
        return False
