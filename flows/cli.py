"""`churn`: every command teaches by example in its `--help`; heavy parts are imported where they are used."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import cli_customers, cli_lifecycle, cli_services, interrupts, log_model_command, setup_command
from flows.cli_examples import examples
from flows.refusals import INTERRUPTED, refuse

HELP = """
The closed loop around a churn model: score, watch, retrain, approve, promote.

Bring your own file, in three commands:

[cyan]  churn init telco.csv --id customerID --label Churn[/]
[cyan]  churn train telco --data telco.csv[/]
[cyan]  churn score telco this_week.csv[/]

Or watch a business change and its model follow: [cyan]churn demo[/].

Specs are in models/, all else in data/, both below CHURN_HOME.
"""

DATA, WATCH, DECIDE, RUN = "Your data", "Watch", "Decide", "Run the whole loop"

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Name = Annotated[str, typer.Argument(help="Name of the model: models/NAME.toml.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Even where nothing changed since the last training.")]
Variants = Annotated[bool, typer.Option("--variants", help="The models of all its slices too.")]
Who = Annotated[
    str | None,
    typer.Option("--as", help="Your name, for the record. Default: CHURN_USER.", show_default=False),
]


@app.command(rich_help_panel=DATA, epilog=examples("init"))
def init(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON, one row a customer.", show_default=False)],
    id_column: Annotated[str, typer.Option("--id", help="Column with the customer's id.", show_default=False)],
    label: Annotated[str, typer.Option(help="Column that says who churned.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Name of the model. Default: the file's name.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Column with the date of each row.")] = None,
    positive: Annotated[str | None, typer.Option(help="The label's value that means churned.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Also draw a page of pictures of the data.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a spec that is there already.")] = False,
    as_json: Json = False,
) -> None:
    """Look at a labelled file and write its spec.

    The spec is models/NAME.toml: types, categories, missing values; suspicious
    columns are named and left out. It is yours to edit, and a good start as it
    is. Next comes churn train.
    """
    from flows import commands

    commands.init(file, id_column, label, name, as_of, positive, report=report, force=force, as_json=as_json)


@app.command(rich_help_panel=DATA, epilog=examples("train"))
def train(
    name: Name,
    data: Annotated[Path, typer.Option("--data", help="Labelled file: CSV, Parquet or JSON.", show_default=False)],
    variants: Variants = False,
    force: Force = False,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Train a version on a labelled file.

    The first version becomes champion. A later one is compared with the
    champion on rows that it did not learn from, and waits for churn approve if
    it is better by more than noise. With --variants every slice that has
    enough rows gets a model too, and churn approve answers for all at once.
    """
    from flows import commands, fleet_commands

    train_them = fleet_commands.train if variants else commands.train
    train_them(name, data, who, force=force, as_json=as_json)


app.command("log-model", rich_help_panel=DATA, epilog=examples("log-model"))(log_model_command.log_model)


@app.command(rich_help_panel=DATA, epilog=examples("score"))
def score(
    name: Name,
    file: Annotated[Path | None, typer.Argument(help="Default: every file that waits in the inbox.")] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="Date of the delivery, where the file has none. Default: today."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a file with the champion, exactly once.

    Shows who is at highest risk and why, and where the predictions of all
    customers are. The same content is never scored twice; bad rows go to
    data/quarantine/ with their reasons.
    """
    from flows import commands

    commands.score(name, file, as_of, as_json=as_json)


@app.command(rich_help_panel=DATA, epilog=examples("outcomes"))
def outcomes(
    name: Name,
    file: Annotated[Path, typer.Argument(help="File with id, date and churned or not.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Take in who churned, and measure past scores on it.

    The file has the customer's id and the label as in the spec, and as_of: the
    date of the score that they answer. A known_at column says when each was
    known; without it, once the horizon was over.
    """
    from flows import commands

    commands.outcomes(name, file, as_json=as_json)


app.command(rich_help_panel=DATA, epilog=examples("campaign"))(cli_customers.campaign)


@app.command(rich_help_panel=WATCH, epilog=examples("drift"))
def drift(
    name: Name,
    batch: Annotated[
        str | None, typer.Option(help="Id of the batch, or its beginning. Default: the newest.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say whether customers look unlike those the model knows.

    Compares a scored batch, column by column, with the rows that its version
    was tested on. PSI from 0.2 on is a column that moved; it is an alarm when
    it lasts (see drift in the spec).
    """
    from flows import commands

    commands.drift(name, batch, as_json=as_json)


app.command(rich_help_panel=WATCH, epilog=examples("explain"))(cli_customers.explain)


@app.command(rich_help_panel=DECIDE, epilog=examples("retrain"))
def retrain(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "by hand",
    variants: Variants = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Train a challenger on scored batches and their outcomes.

    Needs outcomes (churn outcomes) that are older than the horizon. The
    challenger is compared with the champion, and waits for churn approve if it
    is better by more than noise.
    """
    from flows import commands, fleet_commands

    retrain_them = fleet_commands.retrain if variants else commands.retrain
    retrain_them(name, reason, force=force, as_json=as_json)


for _watching in cli_lifecycle.WATCHING:
    app.command(rich_help_panel=WATCH, epilog=examples(_watching.__name__))(_watching)


@app.command(rich_help_panel=DECIDE, epilog=examples("approve"))
def approve(
    approval: Annotated[str | None, typer.Argument(help="Id of the request, or its beginning.")] = None,
    who: Who = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    as_json: Json = False,
) -> None:
    """Approve a challenger, or list what waits.

    The challenger becomes champion at once, unless the champion that it was
    compared with has changed.
    """
    from flows import commands

    commands.answer(approval, who, reason, approve=True, as_json=as_json)


@app.command(rich_help_panel=DECIDE, epilog=examples("reject"))
def reject(
    approval: Annotated[str, typer.Argument(help="Id of the request, or its beginning.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; it is kept with the challenger.", show_default=False)],
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Reject a challenger: the champion stays."""
    from flows import commands

    commands.answer(approval, who, reason, approve=False, as_json=as_json)


for _deciding in cli_lifecycle.DECIDING:
    app.command(rich_help_panel=DECIDE, epilog=examples(_deciding.__name__))(_deciding)

for _run in (
    cli_services.demo,
    cli_services.up,
    setup_command.setup,
    cli_services.deploy,
    cli_services.watch,
    cli_services.approvals,
):
    app.command(rich_help_panel=RUN, epilog=examples(_run.__name__))(_run)


def main() -> None:
    """Run a command; a refusal is one sentence, a hint and an exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter is no reason to fail
    try:
        code: Any = app(standalone_mode=False)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001  the last line of defence: a person gets a sentence
        if interrupts.is_stopping():  # it came out of a library's callback as another exception
            sys.exit(INTERRUPTED)
        names = [each.name or each.callback.__name__ for each in app.registered_commands if each.callback]
        sys.exit(refuse(error, sys.argv[1:], commands=names))
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
