"""What every flow shares: tasks that are tried again."""

from __future__ import annotations

from prefect.utilities.math import clamped_poisson_interval

from flows.running import retried


def test_runs_that_failed_together_do_not_come_back_together() -> None:
    task = retried(lambda: None)
    assert task.retries == 3
    assert isinstance(task.retry_delay_seconds, list)
    assert task.retry_jitter_factor
    for delay in task.retry_delay_seconds:
        waits = [clamped_poisson_interval(delay, task.retry_jitter_factor) for _ in range(50)]
        assert max(waits) - min(waits) > delay / 10
        assert max(waits) <= 2 * delay
