"""`churn demo`: a quarter of a subscription business, its last weeks live through Prefect."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from churnlib.errors import ServiceUnavailable
from churnlib.events import DRIFT_DETECTED, Event, event_key
from churnlib.records import Approval
from churnlib.settings import ROOT, Settings
from churnlib.simulation.changes import make_change
from churnlib.simulation.history import write_labelled
from churnlib.simulation.world import Week, World
from churnlib.usecases.drift import check_drift
from churnlib.usecases.outcomes import take_outcomes
from churnlib.usecases.promotion import settle
from churnlib.usecases.retraining import retrain, train_from_file
from churnlib.usecases.scoring import score_file
from churnlib.usecases.services import Run, Services
from flows import deployments, interrupts
from flows.asking import ask, is_terminal
from flows.output import ConsoleProgress, progress, say
from flows.services_commands import wait_for_end
from flows.stack import Stack, stop_leftovers
from flows.story import tell
from flows.watching import Watch, failed_run
from flows.wiring import services, utc_now

MODEL = "subscription"
HISTORY_WEEKS = 8
WEEKS = 13
LIVE_WEEKS = 3
PRICE_RISE_WEEK = 9
PATIENCE_SECONDS = 180.0
LOOKS_BETWEEN = 10

T = TypeVar("T")


class PlayedBus:
    """Events of the weeks that are played at speed: the player itself takes the next step."""

    def emit(self, event: Event) -> None:
        """Take the event as delivered."""


@dataclass(frozen=True)
class Demo:
    """One play of the demo.

    Attributes:
        world: the business; its week 0 is the first of the labelled history.
        run: for the record of what is played at speed.
        is_answered: answer the approval as demo-approver instead of asking.
    """

    settings: Settings
    stack: Stack
    world: World
    shown: ConsoleProgress
    run: Run
    is_answered: bool

    def week(self, number: int) -> Week:
        """Week 1 is the quarter's first; 0 and below are history."""
        return self.world.week(HISTORY_WEEKS - 1 + number)

    def train_first(self, played: Services) -> None:
        """Train the first champion on the labelled weeks before the quarter."""
        weeks = [self.week(number) for number in range(1 - HISTORY_WEEKS, 1)]
        path = write_labelled(weeks, self.settings.home / "history.parquet")
        result = train_from_file(played, self.run, model=MODEL, path=path)
        self.shown.say(
            f"First champion v{result.version.version}: {result.rows.frame.height:,} labelled rows, "
            f"AUC {result.metrics.auc:.3f} on the newest of them"
        )

    def play_week(self, played: Services, number: int) -> None:
        """One week at speed: outcomes of the week before, the batch, its drift, and what follows from it."""
        outcomes, batch = self.deliver(number)
        if outcomes is not None:
            take_outcomes(played, self.run, model=MODEL, path=outcomes)
        scored = score_file(played, self.run, model=MODEL, path=batch).batch
        verdict = check_drift(played, self.run, model=MODEL, batch_id=scored.batch_id).verdict
        if verdict.verdict == "drifted":
            key = event_key(DRIFT_DETECTED, model=MODEL, subject=scored.batch_id)
            retrain(played, self.run, model=MODEL, trigger="drift", reason=verdict.reason, key=key)

    def live_week(self, live: Services, number: int) -> None:
        """One week through Prefect: files are laid into the inbox; the watcher sees them, events do the rest."""
        watch = Watch(live, MODEL)
        outcomes, path = self.deliver(number)
        if outcomes is not None:
            self.until(lambda: watch.outcomes_taken(outcomes), f"the outcomes of week {number - 1}")
        as_of = self.week(number).as_of
        batch = self.until(lambda: watch.scored(as_of), f"the scores of week {number}")
        self.shown.say(f"Week {number}: {batch.accepted:,} customers of {path.name} scored by v{batch.version}")
        report = self.until(lambda: watch.checked(batch), f"the drift check of week {number}")
        self.shown.say(f"Week {number}: {report.verdict}: {report.reason}")
        if report.verdict == "drifted":
            key = event_key(DRIFT_DETECTED, model=MODEL, subject=batch.batch_id)
            self._follow(live, watch, number, key)

    def _follow(self, live: Services, watch: Watch, number: int, key: str) -> None:
        """After the event churn.drift.detected: the automation's retraining, and a person's answer."""
        self.shown.say(f"Week {number}: event {DRIFT_DETECTED.name}, and an automation starts the retraining flow")
        decision = self.until(lambda: watch.decided(key), "the retraining policy")
        self.shown.say(f"Week {number}: {decision.action}: {'; '.join(decision.reasons)}")
        if decision.action == "wait":
            return
        approval = self.until(watch.waits_for_person, "the challenger, its comparison and the run that asks")
        self._answer(live, approval)
        done = self.until(lambda: watch.concluded(approval), "the promotion")
        self.shown.say(f"Week {number}: {done.outcome} ({done.status.value} by {done.decided_by})")

    def _answer(self, live: Services, approval: Approval) -> None:
        if self.is_answered:
            settle(live, approval.approval_id, approve=True, who="demo-approver", source="demo", reason=None)
            return
        with self.shown.hidden():
            ask(live, approval, f"{self.stack.prefect_url}/runs/flow-run/{approval.flow_run_id}")

    def deliver(self, number: int) -> tuple[Path | None, Path]:
        """Lay the week's files into the inbox: outcomes of the week before, and today's customers."""
        inbox = self.settings.data / "incoming" / MODEL
        (inbox / "outcomes").mkdir(parents=True, exist_ok=True)
        outcomes = None
        if number > 1:
            before = self.week(number - 1)
            outcomes = inbox / "outcomes" / f"outcomes-{before.as_of}.parquet"
            before.truth.write_parquet(outcomes)
        week = self.week(number)
        batch = inbox / f"customers-{week.as_of}.parquet"
        week.batch.write_parquet(batch)
        return outcomes, batch

    def until(self, look: Callable[[], T | None], what: str) -> T:
        """Look until something is there.

        Raises:
            ServiceUnavailable: it did not come, or a process of the stack ended.
        """
        self.shown.step(f"waiting for {what}")
        deadline = time.monotonic() + PATIENCE_SECONDS
        why = f"nothing came within {PATIENCE_SECONDS:.0f} s"
        while time.monotonic() < deadline:
            interrupts.check()
            for _ in range(LOOKS_BETWEEN):
                if (found := look()) is not None:
                    return found
                time.sleep(0.2)
            if (ended := self.stack.ended()) is not None:
                why = f"{ended} ended"
                break
            if (failed := failed_run(self.stack.prefect_api_url)) is not None:
                why = f"a run failed: {failed}"
                break
        raise ServiceUnavailable(
            f"The demo waited for {what}, but {why}.",
            hint=f"The logs are in {self.settings.data / 'logs'}; the runs are at {self.stack.prefect_url}.",
        )


def play(*, yes: bool, keep: bool, customers: int, seed: int, as_json: bool) -> None:
    """Play the demo from nothing; whatever was started is stopped at the end, however it ends."""
    interrupts.install()
    settings = Settings(home=Settings().data / "demo", prefect_api_url=None)
    stop_leftovers(settings)
    shutil.rmtree(settings.home, ignore_errors=True)
    settings.specs.mkdir(parents=True)
    shutil.copy(ROOT / "models" / f"{MODEL}.toml", settings.specs)
    with Stack(settings) as stack:
        with progress() as shown:
            if not yes and not is_terminal():
                shown.say("There is no terminal to ask: the approval is answered as demo-approver, as --yes does.")
            run = Run(run_id="demo", who="demo", progress=shown)
            demo = Demo(settings, stack, _world(seed, customers), shown, run, yes or not is_terminal())
            _play(demo)
        tell(
            services(settings),
            MODEL,
            demo.week,
            stack.prefect_url,
            first_change=PRICE_RISE_WEEK,
            as_json=as_json,
        )
        if keep:
            wait_for_end(stack)
        elif not as_json:
            say("The stack is stopped now; `make demo ARGS=--keep` leaves it up, so that the addresses answer.")


def _play(demo: Demo) -> None:
    """The history at speed while the servers come up; then the live weeks."""
    settings, stack, shown = demo.settings, demo.stack, demo.shown
    first_live = WEEKS - LIVE_WEEKS + 1
    with ThreadPoolExecutor(1) as side:
        try:
            ready: Future[None] = side.submit(_bring_up, stack)
            played = services(settings, bus=PlayedBus())
            demo.train_first(played)
            for number in range(1, first_live):
                interrupts.check()
                shown.step(f"playing week {number} at speed")
                demo.play_week(played, number)
            shown.say(f"Weeks 1 to {first_live - 1} played at speed; prices rose in week {PRICE_RISE_WEEK}")
            shown.step("waiting for Prefect")
            ready.result()
            stack.start_watcher()  # not before: what is played at speed is for nobody else to take
            stack.start_mlflow()
        except BaseException:
            stack.stop()  # before the pool waits for its thread
            raise
    live = services(settings.model_copy(update={"prefect_api_url": stack.prefect_api_url}))
    shown.say(f"Prefect is up: {stack.prefect_url}")
    for number in range(first_live, WEEKS + 1):
        demo.live_week(live, number)


def _bring_up(stack: Stack) -> None:
    stack.start_prefect()
    deployments.apply(stack.prefect_api_url)
    stack.start_workers()


def _world(seed: int, customers: int) -> World:
    """A business whose newest Monday is the last one that has passed."""
    today = utc_now().date()
    last_monday = today - timedelta(days=today.weekday())
    first_monday = last_monday - timedelta(weeks=HISTORY_WEEKS + WEEKS - 1)
    change = make_change("price_rise", week=HISTORY_WEEKS - 1 + PRICE_RISE_WEEK)
    return World(seed, customers, first_monday=first_monday, change=change)
