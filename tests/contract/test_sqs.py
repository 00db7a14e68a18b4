"""What S3 sends to its queue is understood, and nothing that another one sends does any harm."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from churnlib.adapters.sqs import SqsQueue
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.ports.notices import Notice, NoticeQueue
from churnlib.settings import Settings
from flows.wiring import arrivals_queue
from tests.contract.conftest import AwsServer

TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "RequestId": "1"}

POISON = [
    "no JSON",
    "[" * 100_000,
    "null",
    "7",
    '"text"',
    "[]",
    "{}",
    '{"Records": null}',
    '{"Records": []}',
    '{"Records": [7]}',
    '{"Records": [{"s3": {}}]}',
    '{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": 7}}}]}',
    '{"Event": "s3:TestEvent"}',
    '{"Type": "Notification", "Message": "hello"}',
]


@dataclass(frozen=True)
class Notified:
    """A bucket and a queue of its own; they are made once a test, boto3's clients once for all."""

    server: AwsServer
    s3: Any
    sqs: Any
    bucket: str
    queue_url: str

    @property
    def store_url(self) -> str:
        return f"s3://{self.bucket}/some/prefix"

    def connect(self) -> None:
        """Have the bucket tell the queue of every new object, which S3 tries out with a message."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["QueueArn"])
        told = {"QueueArn": found["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"QueueConfigurations": [told]}
        )

    def put(self, key: str, *, prefix: str = "some/prefix/") -> None:
        self.s3.put_object(Bucket=self.bucket, Key=prefix + key, Body=b"1")

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def queue(self, **options: Any) -> NoticeQueue:
        given = {"endpoint_url": self.server.endpoint, "wait_seconds": 0, **options}
        return SqsQueue(self.queue_url, self.store_url, **given)

    def left(self) -> int:
        """Messages in the queue, those included that are not delivered again yet."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)


@pytest.fixture(scope="module")
def clients() -> dict[str, Any]:
    return {}


@pytest.fixture
def notified(aws: AwsServer, clients: dict[str, Any]) -> Notified:
    for service in ("s3", "sqs"):
        clients.setdefault(service, aws.client(service))
    bucket = aws.new_bucket().split("/")[2]
    queue_url = clients["sqs"].create_queue(QueueName=f"arrivals-{bucket}")["QueueUrl"]
    return Notified(aws, clients["s3"], clients["sqs"], bucket, queue_url)


def received(queue: NoticeQueue, count: int) -> list[Notice]:
    """So many notices; ten come at once."""
    found: list[Notice] = []
    for _ in range(count):
        found += queue.receive()
        if len(found) >= count:
            break
    return found


def strangers(notices: Sequence[Notice]) -> list[str | None]:
    return [notice.stranger for notice in notices]


def test_what_s3_sends_names_the_model_and_the_message_by_which_it_tries_names_none(notified: Notified) -> None:
    notified.connect()
    queue = notified.queue()
    (tried,) = queue.receive()
    assert (tried.models, tried.stranger) == (frozenset(), None)
    notified.put("incoming/telco/März 1 + 2%.csv")
    notified.put("incoming/telco/week 1/part-0.parquet")
    notified.put("incoming/bank/outcomes/o.csv")
    told = received(queue, 3)
    assert sorted(tuple(notice.models) for notice in told) == [("bank",), ("telco",), ("telco",)]
    assert len({notice.notice_id for notice in told}) == 3
    queue.delete([tried, *told])
    assert notified.left() == 0


def test_an_object_of_the_bucket_that_is_no_arrival_is_of_no_model(notified: Notified) -> None:
    notified.connect()
    for key in ("processed/telco/a.csv", "incoming/", "incoming"):
        notified.put(key)
    notified.put("incoming/telco/a.csv", prefix="")
    notified.put("some/prefix/incoming/telco/a.csv", prefix="other/")
    told = received(notified.queue(), 6)
    assert [(notice.models, notice.stranger) for notice in told] == [(frozenset(), None)] * 6


def test_a_store_without_a_prefix_has_its_inbox_at_the_top(notified: Notified) -> None:
    notified.connect()
    notified.put("incoming/telco/a.csv", prefix="")
    queue = SqsQueue(
        notified.queue_url, f"s3://{notified.bucket}", endpoint_url=notified.server.endpoint, wait_seconds=0
    )
    assert {model for notice in received(queue, 2) for model in notice.models} == {"telco"}


def test_a_message_that_is_not_of_s3_is_a_stranger(notified: Notified) -> None:
    for body in POISON:
        notified.send(body)
    told = received(notified.queue(), len(POISON))
    assert strangers(told) == ["is no S3 event notification"] * len(POISON)


def test_a_message_about_another_bucket_is_a_stranger(notified: Notified) -> None:
    record = {"s3": {"bucket": {"name": "theirs"}, "object": {"key": "some/prefix/incoming/telco/a.csv"}}}
    for body in ({**TEST_EVENT, "Bucket": "theirs"}, {"Records": [record]}):
        notified.send(json.dumps(body))
    assert strangers(received(notified.queue(), 2)) == [f"is about the bucket theirs, not {notified.bucket}"] * 2


def test_strangers_do_not_keep_the_others_from_coming(notified: Notified) -> None:
    for _ in range(15):
        notified.send("poison")
    notified.connect()
    notified.put("incoming/telco/a.csv")
    told = received(notified.queue(), 17)
    assert len(told) == 17
    assert [set(notice.models) for notice in told if notice.models] == [{"telco"}]


def test_what_is_not_deleted_comes_again_and_what_is_deleted_does_not(notified: Notified) -> None:
    notified.connect()
    for number in range(12):
        notified.put(f"incoming/telco/{number}.csv")
    queue = notified.queue()
    first = received(queue, 13)
    assert len(first) == 13
    assert queue.receive() == []
    queue.delete(first[2:])
    queue.delete([])
    for notice in first[:2]:  # as if their time were over
        notified.sqs.change_message_visibility(
            QueueUrl=notified.queue_url, ReceiptHandle=notice.receipt, VisibilityTimeout=0
        )
    again = queue.receive()
    assert {notice.notice_id for notice in again} == {notice.notice_id for notice in first[:2]}
    queue.delete(first[2:])  # gone already
    queue.delete(again)
    assert notified.left() == 0


def test_receiving_waits_for_a_message(notified: Notified) -> None:
    started = time.monotonic()
    assert notified.queue(wait_seconds=1).receive() == []
    assert time.monotonic() - started >= 0.9


def test_a_queue_that_is_not_there_is_said(notified: Notified) -> None:
    queue = SqsQueue(
        f"{notified.queue_url}-gone", notified.store_url, endpoint_url=notified.server.endpoint, wait_seconds=0
    )
    with pytest.raises(ChurnError, match="-gone cannot be read"):
        queue.receive()


def test_a_queue_that_cannot_be_reached_may_answer_later(notified: Notified) -> None:
    notified.connect()
    queue = notified.queue()
    (tried,) = queue.receive()
    notified.server.stop()
    with pytest.raises(ServiceUnavailable, match="cannot be read"):
        queue.receive()
    with pytest.raises(ServiceUnavailable, match="cannot be deleted"):
        queue.delete([tried])
    notified.server.start()
    queue.delete([tried])
    assert notified.left() == 0


def test_the_region_is_that_of_the_queues_url(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def client(service: str, endpoint_url: str | None, *, region: str | None = None) -> None:
        assert (service, endpoint_url) == ("sqs", None)
        asked.append(region)

    monkeypatch.setattr("churnlib.adapters.sqs.aws_client", client)
    for url in ("https://sqs.eu-central-1.amazonaws.com/1/q", "https://queue.local/1/q"):
        with pytest.raises(AttributeError):
            SqsQueue(url, "s3://b/p").receive()
    assert asked == ["eu-central-1", None]


def test_the_settings_say_whether_there_is_a_queue() -> None:
    assert arrivals_queue(Settings(queue_url=None)) is None
    url = "https://sqs.eu-central-1.amazonaws.com/1/q"
    assert arrivals_queue(Settings(queue_url=url, store_url="s3://bucket/prefix")) is not None
    with pytest.raises(ChurnError, match="CHURN_STORE_URL is not"):
        arrivals_queue(Settings(queue_url=url, store_url=None))
