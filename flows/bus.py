"""Events to Prefect, confirmed: a call that can fail instead of a queue that forgets."""

from __future__ import annotations

from churnlib.errors import ServiceUnavailable
from churnlib.events import Event


class PrefectBus:
    """Posts each event to the server's API and waits for its answer.

    Prefect's own `emit_event` queues in process memory and returns although the server is down.
    The event's id comes from its key, so a second delivery does not trigger twice.
    """

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url

    def emit(self, event: Event) -> None:
        """Deliver one event.

        Raises:
            ServiceUnavailable: the server cannot be reached or did not take the event.
        """
        import httpx
        from prefect.client.orchestration import get_client
        from prefect.events.schemas.events import Event as PrefectEvent
        from prefect.events.schemas.events import Resource
        from prefect.settings import PREFECT_API_URL, temporary_settings

        resource = Resource({"prefect.resource.id": event.resource_id, "prefect.resource.name": event.model})
        sent = PrefectEvent(
            id=event.id,
            event=event.type.name,
            occurred=event.occurred_at,
            resource=resource,
            payload=dict(event.payload),
        )
        try:
            with temporary_settings({PREFECT_API_URL: self.api_url}), get_client(sync_client=True) as client:
                client.request("POST", "/events", json=[sent.model_dump(mode="json")])
        except (httpx.HTTPError, RuntimeError, OSError) as error:
            raise ServiceUnavailable(
                f"Prefect at {self.api_url} did not take the event {event.type.name}: {type(error).__name__}.",
                hint="The event is kept and sent when Prefect answers again. Start the stack with `churn up`.",
            ) from error
