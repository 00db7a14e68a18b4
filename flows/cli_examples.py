"""The examples at the end of every command's `--help`."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "init": (
        ("churn init telco.csv --id customerID --label Churn", "writes models/telco.toml"),
        (
            "churn init week.parquet --id id --label left --as-of day --report",
            "rows have a date; draw a page of pictures too",
        ),
    ),
    "train": (
        ("churn train telco --data telco.csv", "learn, and be judged on rows held out"),
        ("churn train telco --data telco_2.csv --as 'Ada L.'", "a second version has to beat the first"),
    ),
    "score": (
        ("churn score telco this_week.csv", "the file stays where it is"),
        ("churn score telco", "all that waits in data/incoming/telco/"),
        ("churn score telco late.csv --as-of 2026-11-16", "delivered last Monday"),
    ),
    "outcomes": (("churn outcomes telco became.csv", "columns: customerID, as_of, Churn"),),
    "drift": (
        ("churn drift telco", "the newest batch"),
        ("churn drift telco --batch 3f2a --json", "an earlier one, for machines"),
    ),
    "retrain": (("churn retrain telco --reason 'new price list'", "asks the policy, which may say: wait"),),
    "models": (
        ("churn models", "one line a model"),
        ("churn models --json", "for machines"),
    ),
    "history": (("churn history telco", "the present champion stands last"),),
    "approve": (
        ("churn approve", "lists what waits, with ids"),
        ("churn approve 8f3c --as 'Ada L.' --reason 'clear win'", "the beginning of an id will do"),
    ),
    "reject": (("churn reject 8f3c --as 'Ada L.' --reason 'loses in the north'", "ids: churn approve"),),
    "deploy": (
        ("churn deploy", "onto the stack that churn up runs"),
        ("CHURN_PREFECT_API_URL=http://127.0.0.1:4200/api churn deploy", "onto a server of yours"),
    ),
    "up": (("churn up", "prints the addresses; Ctrl-C stops all of it"),),
    "approvals": (("churn approvals --port 8765", "churn up runs it for you"),),
    "demo": (
        ("churn demo", "asks you to approve"),
        ("churn demo --yes", "answers by itself"),
        ("churn demo --keep", "leaves Prefect and MLflow up to look at"),
    ),
}
"""By command: what one would type, and what it is for."""


def examples(command: str) -> str:
    """The command's examples as Rich markup, which opens each line, so that its indentation stays."""
    lines = [f"[dim]  # {what}[/]\n[cyan]  {example}[/]" for example, what in EXAMPLES[command]]
    return "[bold]Examples[/]\n" + "\n".join(lines)
