"""Which of AWS's errors pass, what people are told about the others, and that no secret is in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from churnlib.adapters.s3_bucket import Bucket
from churnlib.adapters.s3_client import aws_errors, check_aws
from churnlib.errors import ChurnError, ServiceUnavailable

pytestmark = pytest.mark.usefixtures("aws")


def answer(code: str, status: int, message: str = "said so") -> Exception:
    from botocore.exceptions import ClientError

    details: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(details, "PutObject")


def told(error: Exception) -> ChurnError:
    with pytest.raises(ChurnError) as raised, aws_errors("It cannot be read"):
        raise error
    return raised.value


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InternalError", 500),
        ("503", 503),
        ("SlowDown", 503),
        ("ServiceUnavailable", 503),
        ("TooManyRequestsException", 429),
        ("RequestTimeout", 400),
        ("ThrottlingException", 400),
        ("OperationAborted", 409),
    ],
)
def test_faults_and_throttling_pass(code: str, status: int) -> None:
    assert isinstance(told(answer(code, status)), ServiceUnavailable)


@pytest.mark.parametrize(
    ("code", "status", "hint"),
    [
        ("NoSuchBucket", 404, "CHURN_STORE_URL"),
        ("AccessDenied", 403, "right"),
        ("403", 403, "right"),
        ("InvalidAccessKeyId", 403, "credentials"),
        ("SignatureDoesNotMatch", 403, "credentials"),
        ("ExpiredToken", 400, "credentials"),
        ("UnrecognizedClientException", 400, "credentials"),
        ("RequestTimeTooSkewed", 403, "clock"),
        ("PermanentRedirect", 301, "AWS_REGION"),
        ("ResourceNotFoundException", 400, "CHURN_DATABASE_SECRET"),
        ("SomethingNew", 400, "Correct"),
    ],
)
def test_refusals_last_and_say_the_way_out(code: str, status: int, hint: str) -> None:
    error = told(answer(code, status))
    assert not isinstance(error, ServiceUnavailable)
    assert hint in error.hint
    assert "said so" in error.message


def test_botocores_own_errors_are_told_apart() -> None:
    from botocore import exceptions as botocore

    passing = [
        botocore.ConnectTimeoutError(endpoint_url="http://h/"),
        botocore.ReadTimeoutError(endpoint_url="http://h/"),
        botocore.ConnectionClosedError(endpoint_url="http://h/"),
        botocore.ProxyConnectionError(proxy_url="http://h/"),
        botocore.ResponseStreamingError(error="cut"),
        botocore.CredentialRetrievalError(provider="container-role", error_msg="timed out"),
        botocore.SSLError(endpoint_url="https://h/", error="EOF occurred in violation of protocol"),
    ]
    lasting = {
        botocore.NoCredentialsError(): "credentials",
        botocore.PartialCredentialsError(provider="env", cred_var="x"): "credentials",
        botocore.ProfileNotFound(profile="p"): "credentials",
        botocore.NoRegionError(): "AWS_REGION",
        botocore.SSLError(endpoint_url="https://h/", error="CERTIFICATE_VERIFY_FAILED"): "AWS_CA_BUNDLE",
        botocore.ParamValidationError(report="Invalid bucket name"): "CHURN_STORE_URL",
    }
    assert all(isinstance(told(error), ServiceUnavailable) for error in passing)
    for error, hint in lasting.items():
        assert not isinstance(told(error), ServiceUnavailable)
        assert hint in told(error).hint


def test_an_upload_is_told_by_what_it_failed_for() -> None:
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import ClientError

    def fail() -> None:
        try:
            raise answer("SlowDown", 503, "Please reduce your request rate.")
        except ClientError as error:
            raise S3UploadFailedError(f"Failed to upload x to y: {error}")  # noqa: B904  as boto3 does

    with (
        pytest.raises(ServiceUnavailable, match=r"read: Please reduce your request rate\. "),
        aws_errors("It cannot be read"),
    ):
        fail()


def test_an_address_in_a_message_has_neither_user_nor_parameters() -> None:
    from botocore.exceptions import EndpointConnectionError

    url = "https://me:sesame-7Hq@host:9000/bucket?X-Amz-Signature=sesame-7Hq"
    error = told(EndpointConnectionError(endpoint_url=url))
    assert "https://host:9000" in error.message
    assert "7Hq" not in str(error)


def test_wrong_credentials_do_not_pass_and_are_not_repeated(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.request

    url = aws.new_bucket()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame-7Hq")

    def check_from(requests: str) -> None:
        target = f"{aws.endpoint}/moto-api/reset-auth"
        asked = urllib.request.Request(target, requests.encode(), {"Content-Type": "text/plain"})
        urllib.request.urlopen(asked).close()

    check_from("0")  # moto looks at credentials from now on
    try:
        with pytest.raises(ChurnError) as refusal:
            Bucket(url, endpoint_url=aws.endpoint).objects("")
    finally:
        check_from("1000000000")
    assert not isinstance(refusal.value, ServiceUnavailable)
    assert "credentials" in refusal.value.hint
    assert "7Hq" not in str(refusal.value) + repr(refusal.value.__cause__)


def test_no_credentials_at_all_do_not_pass(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ChurnError, match="credentials") as refusal:
        Bucket("s3://churn", endpoint_url=aws.endpoint).objects("")
    assert not isinstance(refusal.value, ServiceUnavailable)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "churn",
        "s3://",
        "s3:///x",
        "https://churn.s3.amazonaws.com",
        "s3://UPPER",
        "s3://me:sesame@churn",
        "/data",
        "s3://churn/../x",
        "s3://churn//x",
        "s3://churn/x?y",
        "s3://churn/x ",
        "gs://churn",
    ],
)
def test_a_store_that_is_no_s3_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ChurnError, match="CHURN_STORE_URL") as refusal:
        Bucket(url)
    assert "sesame" not in str(refusal.value)
    assert "s3://bucket/prefix" in refusal.value.hint


@pytest.mark.parametrize("url", ["s3://churn", "s3://churn/", "s3://churn.data-1/a/b c", "s3://churn/a/"])
def test_a_store_may_be_a_bucket_or_a_prefix_in_one(url: str) -> None:
    assert Bucket(url).address("x") == f"{url.rstrip('/')}/x"


@pytest.mark.parametrize(
    "url", ["", "minio:9000", "http://", "ftp://h", "http://u:sesame@h", "http://h/x", "http://h:99999"]
)
def test_an_endpoint_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ChurnError, match="CHURN_S3_ENDPOINT_URL") as refusal:
        Bucket("s3://churn", endpoint_url=url)
    assert "sesame" not in str(refusal.value)


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ChurnError, match="CHURN_STORE_URL needs the Python package 'boto3'") as refusal:
        check_aws("CHURN_STORE_URL", None)
    assert "churnlib[aws]" in refusal.value.hint


def test_boto3_is_only_imported_where_it_is_used(tmp_path: Path) -> None:
    import subprocess

    code = "import sys, flows.wiring, churnlib.adapters.fallback_inbox; sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
