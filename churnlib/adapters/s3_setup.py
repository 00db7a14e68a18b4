"""A bucket that does what is asked of it, and credentials for it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from churnlib.adapters.s3_bucket import Bucket
from churnlib.adapters.s3_client import aws_client, aws_errors, check_aws, code_of
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.ports.preparing import Prepared

T = TypeVar("T")

_STORE: Final = "CHURN_STORE_URL"
_MISSING: Final = frozenset({"NoSuchBucket", "404"})
_OURS_ALREADY: Final = "BucketAlreadyOwnedByYou"
_DEFAULT_REGION: Final = "us-east-1"


def prepare_bucket(url: str, *, setting: str, endpoint_url: str | None, create: bool) -> Prepared:
    """Try everything that we do there with an object of our own, which is gone afterwards.

    Args:
        url: `s3://bucket/prefix`.
        setting: that has the URL, for messages.
        endpoint_url: of an S3 that is not AWS's own.
        create: make the bucket where it is missing.

    Raises:
        ServiceUnavailable: S3 does not answer.
        ChurnError: no such bucket, or a right is missing: to list, put, get or delete.
    """
    return _naming(setting, lambda: _prepare_bucket(url, setting, endpoint_url, create))


def prepare_folders(bucket: Bucket, folders: Sequence[str]) -> Prepared:
    """Empty objects with a slash at their end, which a console shows as folders.

    Args:
        bucket: with its prefix.
        folders: keys with a slash at their end, all below the same first folder.
    """
    first = f"{folders[0].partition('/')[0]}/" if folders else ""
    there = {stored.key for stored in bucket.objects(first)} if folders else set()
    missing = [folder for folder in folders if folder not in there]
    for folder in missing:
        bucket.write(folder, b"")
    return Prepared(bool(missing), bucket.address(first))


def aws_credentials(setting: str) -> str:
    """How boto3 finds credentials, in its own word (`env`, `iam-role`, …); asks nobody but their source.

    Raises:
        ChurnError: boto3 is not installed, or finds none.
    """
    check_aws(setting, None)
    import boto3

    with aws_errors("AWS credentials cannot be had"):
        found = boto3.session.Session().get_credentials()
    if found is None:
        raise ChurnError(
            f"There are no AWS credentials, and {setting} needs some.",
            hint="Give the machine a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    return str(found.method)


def _prepare_bucket(url: str, setting: str, endpoint_url: str | None, create: bool) -> Prepared:
    bucket = Bucket(url, endpoint_url=endpoint_url)
    is_new = _ensure(bucket, setting, endpoint_url, create)
    _probe(bucket)
    where = bucket.address("")
    return Prepared(
        is_new, f"{where} {'made' if is_new else 'is there'}; listing, writing, reading, deleting work"
    )


def _ensure(bucket: Bucket, setting: str, endpoint_url: str | None, create: bool) -> bool:
    from botocore.exceptions import ClientError

    client = aws_client("s3", endpoint_url)
    prefix = bucket.address("").removeprefix(f"s3://{bucket.name}/")  # the right to list may end there
    with aws_errors(f"The bucket {bucket.name!r} cannot be used"):
        try:
            client.list_objects_v2(Bucket=bucket.name, MaxKeys=1, Prefix=prefix)
            return False
        except ClientError as error:
            if code_of(error) not in _MISSING:
                raise
    if not create:
        raise ChurnError(
            f"There is no bucket {bucket.name!r} ({setting}).",
            hint=f"Make it: churn setup --create-bucket; or correct {setting}.",
        )
    region = client.meta.region_name
    # AWS refuses its oldest region here by name
    place = {} if region == _DEFAULT_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    with aws_errors(f"The bucket {bucket.name!r} cannot be made"):
        try:
            client.create_bucket(Bucket=bucket.name, **place)
        except ClientError as error:
            if code_of(error) != _OURS_ALREADY:
                raise
            return False
    return True


def _probe(bucket: Bucket) -> None:
    key, content = f".churn-setup-{secrets.token_hex(8)}", b"written by churn setup, deleted by it"
    bucket.write(key, content)
    try:
        is_listed = [stored.key for stored in bucket.objects(key)] == [key]
        is_same = bucket.read(key) == content
    finally:
        bucket.delete(key)
    if not (is_listed and is_same):
        raise ChurnError(
            f"{bucket.address('')} does not give back what was just written there.",
            hint="Use a store that is consistent, as S3 is.",
        )


def _naming(setting: str, call: Callable[[], T]) -> T:
    """Whatever is wrong is wrong with that setting, not with the one that a bucket is usually named in."""
    try:
        return call()
    except ChurnError as error:
        kind = ServiceUnavailable if isinstance(error, ServiceUnavailable) else ChurnError
        raise kind(error.message.replace(_STORE, setting), hint=error.hint.replace(_STORE, setting)) from error
