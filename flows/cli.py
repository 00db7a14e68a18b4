"""`churn`: every command teaches by example in its `--help`; heavy parts are imported where they are used."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from churnlib.errors import ChurnError
from flows.output import complain

HELP = """
The closed loop around a churn model: score, watch, retrain, approve, promote.

Start with the demo (`churn demo`), or with your own file:

    churn init customers.csv --id customer_id --label churned

    churn train customers --data customers.csv

    churn score customers this_week.csv
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Name = Annotated[str, typer.Argument(help="Name of the model: models/NAME.toml.", show_default=False)]
Who = Annotated[
    str | None,
    typer.Option("--as", help="Your name, for the record. Default: CHURN_USER.", show_default=False),
]


def _epilog(*examples: str) -> str:
    return "[bold]Examples[/]\n\n" + "\n\n".join(f"  [cyan]{example}[/]" for example in examples)


@app.command(
    epilog=_epilog(
        "churn init telco.csv --id customerID --label Churn",
        "churn init weekly.parquet --id id --label left --as-of snapshot_date --report",
    )
)
def init(
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet file with one row per customer.", show_default=False)
    ],
    id_column: Annotated[str, typer.Option("--id", help="Column with the customer's id.", show_default=False)],
    label: Annotated[str, typer.Option(help="Column that says who churned.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Name of the model. Default: the file's name.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Column with the date of each row.")] = None,
    positive: Annotated[str | None, typer.Option(help="The label's value that means churned.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Also draw a page of pictures of the data.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a spec that is there already.")] = False,
    as_json: Json = False,
) -> None:
    """Look at a file and write models/NAME.toml: types, missing values, suspicious columns."""
    from flows import commands

    commands.init(file, id_column, label, name, as_of, positive, report=report, force=force, as_json=as_json)


@app.command(epilog=_epilog("churn train telco --data telco.csv", "churn train telco --json --data telco.csv"))
def train(
    name: Name,
    data: Annotated[
        Path, typer.Option("--data", help="Labelled file: CSV, Parquet or JSON lines.", show_default=False)
    ],
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Train on a labelled file. The first version becomes champion; later ones have to beat it and be approved."""
    from flows import commands

    commands.train(name, data, who, as_json=as_json)


@app.command(
    epilog=_epilog("churn score telco this_week.csv", "churn score telco   (everything in data/incoming/telco/)")
)
def score(
    name: Name,
    file: Annotated[Path | None, typer.Argument(help="Default: every file that waits in the inbox.")] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="Date of the delivery, where the file has none. Default: today."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a file with the champion, exactly once, with reasons for the customers at highest risk."""
    from flows import commands

    commands.score(name, file, as_of, as_json=as_json)


@app.command(epilog=_epilog("churn outcomes subscription what_became_of_them.csv"))
def outcomes(
    name: Name,
    file: Annotated[Path, typer.Argument(help="File with id, date and churned or not.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Take in outcomes, and measure the scores that were given then."""
    from flows import commands

    commands.outcomes(name, file, as_json=as_json)


@app.command(epilog=_epilog("churn drift telco", "churn drift telco --batch 3f2a"))
def drift(
    name: Name,
    batch: Annotated[
        str | None, typer.Option(help="Id of the batch, or its beginning. Default: the newest.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare a scored batch with the rows its model was trained on."""
    from flows import commands

    commands.drift(name, batch, as_json=as_json)


@app.command(epilog=_epilog("churn retrain subscription --reason 'new price list'"))
def retrain(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "by hand",
    as_json: Json = False,
) -> None:
    """Train a challenger on the history of scored batches and their outcomes, and compare it."""
    from flows import commands

    commands.retrain(name, reason, as_json=as_json)


@app.command(epilog=_epilog("churn models", "churn models --json"))
def models(as_json: Json = False) -> None:
    """Show every model: champion, its age, the last batch, AUC, drift, what waits for approval."""
    from flows import overview

    overview.models(as_json=as_json)


@app.command(epilog=_epilog("churn history subscription"))
def history(name: Name, as_json: Json = False) -> None:
    """Show who was champion since when, who decided it and why."""
    from flows import overview

    overview.history(name, as_json=as_json)


@app.command(
    epilog=_epilog("churn approve   (lists what waits)", "churn approve 8f3c --as 'Ada L.' --reason 'clear win'")
)
def approve(
    approval: Annotated[str | None, typer.Argument(help="Id of the request, or its beginning.")] = None,
    who: Who = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    as_json: Json = False,
) -> None:
    """Approve a challenger: the champion alias moves. Without an id: list what waits."""
    from flows import commands

    commands.answer(approval, who, reason, approve=True, as_json=as_json)


@app.command(epilog=_epilog("churn reject 8f3c --as 'Ada L.' --reason 'loses in the north'"))
def reject(
    approval: Annotated[str, typer.Argument(help="Id of the request, or its beginning.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; it is kept with the challenger.", show_default=False)],
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Reject a challenger: the champion stays."""
    from flows import commands

    commands.answer(approval, who, reason, approve=False, as_json=as_json)


@app.command(epilog=_epilog("churn deploy", "CHURN_PREFECT_API_URL=http://127.0.0.1:4200/api churn deploy"))
def deploy(as_json: Json = False) -> None:
    """Check prefect.yaml and apply deployments and automations; can be repeated."""
    from flows import services_commands

    services_commands.deploy(as_json=as_json)


@app.command(epilog=_epilog("churn up"))
def up() -> None:
    """Run the local stack: Prefect server, worker, MLflow, approvals; Ctrl-C stops all of it."""
    from flows import services_commands

    services_commands.up()


@app.command(epilog=_epilog("churn approvals --port 8765"))
def approvals(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8765) -> None:
    """Run the approvals service: resumes runs whose answer is in, closes requests that expired."""
    from flows import services_commands

    services_commands.approvals(port)


@app.command(epilog=_epilog("churn demo", "churn demo --yes", "churn demo --keep"))
def demo(
    yes: Annotated[bool, typer.Option("--yes", help="Answer the approval as demo-approver.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up at the end until Ctrl-C.")] = False,
    customers: Annotated[int, typer.Option(help="Customers a week.", min=2000)] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulated business.")] = 7,
    as_json: Json = False,
) -> None:
    """Play a quarter of a subscription business: quiet weeks, a price rise, drift, retraining, approval."""
    from flows.demo import play

    play(yes=yes, keep=keep, customers=customers, seed=seed, as_json=as_json)


def main() -> None:
    """Run a command; a refusal is one sentence, a hint and an exit code, never a traceback."""
    as_json = "--json" in sys.argv
    try:
        code: Any = app(standalone_mode=False)
    except ChurnError as error:
        complain(error.message, error.hint, as_json=as_json)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except Exception as error:  # noqa: BLE001  the last line of defence: a person gets a sentence
        _exit_on(error, as_json=as_json)
    sys.exit(code if isinstance(code, int) else 0)


def _exit_on(error: Exception, *, as_json: bool) -> None:
    show = getattr(error, "format_message", None)  # wrong usage: an unknown option, a missing argument
    if show is not None:
        complain(show(), f"See `churn {' '.join(sys.argv[1:2])} --help`.", as_json=as_json)
        sys.exit(2)
    from churnlib.settings import Settings

    log = Settings().data / "logs" / "faults.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(f"churn {' '.join(sys.argv[1:])}\n{traceback.format_exc()}\n")
    said = f"{type(error).__name__}: {error}"
    complain(f"churn failed by a fault of its own ({said}).", f"The details are in {log}.", as_json=as_json)
    sys.exit(1)


if __name__ == "__main__":
    main()
