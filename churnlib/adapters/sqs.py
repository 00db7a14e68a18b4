"""S3's notifications of new objects, from the SQS queue that the bucket sends them to."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

from churnlib.adapters.s3_client import aws_client, aws_errors, check_aws
from churnlib.ports.notices import Notice

WAIT_SECONDS: Final = 10
"""How long SQS waits for a message, at most 20; less than a client waits for an answer."""

HIDDEN_SECONDS: Final = 120
"""So long a message is not delivered again; announcing what it tells of takes less."""

_MOST: Final = 10
_REGION: Final = re.compile(r"(?:sqs|queue)\.([a-z0-9-]+)\.(?:amazonaws|api\.aws)")


class SqsQueue:
    """Fulfils `ports.NoticeQueue`: long polling, and the JSON of S3's event notifications."""

    def __init__(
        self,
        queue_url: str,
        store_url: str,
        *,
        endpoint_url: str | None = None,
        wait_seconds: int = WAIT_SECONDS,
        hidden_seconds: int = HIDDEN_SECONDS,
    ) -> None:
        """Name the queue; it is connected to when it is used.

        Args:
            queue_url: as SQS calls it.
            store_url: `s3://bucket/prefix`; messages about other buckets are strangers.
            endpoint_url: of an SQS that is not AWS's own.
            wait_seconds: how long `receive` waits for a message.
            hidden_seconds: for how long a message that was received is not delivered again.

        Raises:
            ChurnError: boto3 is not installed, or the endpoint is no URL.
        """
        check_aws("CHURN_QUEUE_URL", endpoint_url)
        store = urlsplit(store_url)
        self._bucket = store.netloc
        self._incoming = f"{store.path.strip('/')}/incoming/".removeprefix("/")
        self._url, self._endpoint = queue_url, endpoint_url
        self._wait, self._hidden = wait_seconds, hidden_seconds

    def receive(self) -> list[Notice]:
        """Wait for messages; at most ten come at once.

        Raises:
            ServiceUnavailable: the queue cannot be reached.
            ChurnError: it is not there, or refuses.
        """
        with aws_errors(f"The queue {self._url} cannot be read"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_MOST,
                WaitTimeSeconds=self._wait,
                VisibilityTimeout=self._hidden,
            )
        return [self._notice(message) for message in answer.get("Messages", ())]

    def delete(self, notices: Sequence[Notice]) -> None:
        """Take the messages out of the queue; one whose receipt ran out comes again, which does no harm.

        Raises:
            ServiceUnavailable: the queue cannot be reached.
            ChurnError: it is not there, or refuses.
        """
        for start in range(0, len(notices), _MOST):
            entries = [
                {"Id": str(number), "ReceiptHandle": notice.receipt}
                for number, notice in enumerate(notices[start : start + _MOST])
            ]
            with aws_errors(f"Messages cannot be deleted from the queue {self._url}"):
                self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401  boto3 makes its clients at run time
        return aws_client("sqs", self._endpoint, region=_region_of(self._url))

    def _notice(self, message: dict[str, str]) -> Notice:
        told = _told(message["Body"])
        notice_id, receipt = message["MessageId"], message["ReceiptHandle"]
        if told is None:
            return Notice(notice_id, receipt, stranger="is no S3 event notification")
        ours = [key for bucket, key in told if bucket == self._bucket]
        if not ours:
            buckets = ", ".join(sorted({bucket for bucket, _ in told}))
            return Notice(notice_id, receipt, stranger=f"is about the bucket {buckets}, not {self._bucket}")
        return Notice(notice_id, receipt, models=frozenset(filter(None, map(self._model_of, ours))))

    def _model_of(self, key: str) -> str | None:
        """The model in whose incoming/ the object lies; None for one that lies elsewhere, moved files say."""
        if not key.startswith(self._incoming):
            return None
        return key.removeprefix(self._incoming).partition("/")[0] or None


def _told(body: str) -> list[tuple[str, str]] | None:
    """Bucket and key of every object that the message tells of; None where it is no message of S3.

    The message by which S3 tries out a new notification tells of its bucket and the key "".
    """
    try:
        content = json.loads(body)
        if content.get("Event") == "s3:TestEvent":
            return [(str(content["Bucket"]), "")]
        records = [record["s3"] for record in content["Records"]]
        told = [(str(each["bucket"]["name"]), unquote_plus(each["object"]["key"])) for each in records]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return told or None


def _region_of(queue_url: str) -> str | None:
    found = _REGION.match(urlsplit(queue_url).hostname or "")
    return found[1] if found else None
