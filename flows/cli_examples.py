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
        ("churn train telco --data telco.csv --variants", "and a model for each region with enough rows"),
    ),
    "log-model": (
        ("churn log-model shop --model m.ubj --sample rows.csv", "the names are the model's own"),
        ("churn log-model shop --model m.bin --features f.json --sample s.json", "names from a list"),
        ("churn log-model shop --model m.ubj --sample s.csv --labels s.csv", "who churned stands there too"),
        ("churn log-model shop --model s3://b/m.ubj --sample s.csv --geography US", "the variant US, from S3"),
    ),
    "score": (
        ("churn score telco this_week.csv", "the file stays where it is"),
        ("churn score telco", "all that waits in data/incoming/telco/"),
        ("churn score telco late.csv --as-of 2026-11-16", "delivered last Monday"),
    ),
    "outcomes": (("churn outcomes telco became.csv", "columns: customerID, as_of, Churn"),),
    "campaign": (
        ("churn campaign telco", "as the spec says, from the newest batch"),
        ("churn campaign telco --size 200 --out calls.csv", "the best 200, into this file"),
        ("churn campaign telco --budget 1500", "as many as that pays for"),
    ),
    "drift": (
        ("churn drift telco", "the newest batch"),
        ("churn drift telco --batch 3f2a --json", "an earlier one, for machines"),
    ),
    "explain": (
        ("churn explain telco 7216-EWTRS", "one customer, over all batches"),
        ("churn explain telco 7216-EWTRS --json", "for machines"),
    ),
    "retrain": (
        ("churn retrain telco --reason 'new price list'", "asks the policy, which may say: wait"),
        ("churn retrain telco --variants", "asks about every slice, too"),
    ),
    "models": (
        ("churn models", "one line a model"),
        ("churn models --family telco", "with all its slices"),
        ("churn models --json", "for machines"),
    ),
    "history": (("churn history telco", "the present champion stands last"),),
    "champion": (
        ("churn champion telco", "who, since when, by whose word"),
        ("churn champion telco --at 2026-03-01", "who it was at the end of that day"),
    ),
    "search": (
        ("churn search telco", "all its versions"),
        ("churn search --where 'auc > 0.8 and geography = US'", "over all models"),
        ("churn search --where 'alias = champion and created < 2026-06-01'", "champions that have aged"),
    ),
    "compare": (
        ("churn compare telco 3 4", "on customers that neither learned from"),
        ("churn compare telco 3 4 --data telco.csv --html", "on a labelled file; a page for people"),
        ("churn compare telco 3 4 --html v4.html", "the page goes there"),
    ),
    "promote": (
        ("churn promote telco 4 --reason 'did well in the shadow'", "one switch"),
        ("churn promote telco 4 --reason 'by order' --yes", "although no gate let it pass"),
    ),
    "rollback": (
        ("churn rollback telco --reason 'complaints from the north'", "to the champion before"),
        ("churn rollback telco --to 1 --reason 'and further back'", "to an earlier one"),
    ),
    "alias": (
        ("churn alias telco", "what was moved by hand"),
        ("churn alias telco --adopt --reason 'night shift'", "keep it, on record"),
        ("churn alias telco --revert", "back to the record"),
    ),
    "archive": (("churn archive telco 2 --reason 'column was withdrawn'", "--undo takes it out again"),),
    "approve": (
        ("churn approve", "lists what waits, with ids"),
        ("churn approve 8f3c --as 'Ada L.' --reason 'clear win'", "the beginning of an id will do"),
    ),
    "reject": (("churn reject 8f3c --as 'Ada L.' --reason 'loses in the north'", "ids: churn approve"),),
    "deploy": (
        ("churn deploy", "onto the stack that churn up runs"),
        ("CHURN_PREFECT_API_URL=http://127.0.0.1:4200/api churn deploy", "onto a server of yours"),
    ),
    "setup": (
        ("churn setup", "whatever is missing; again, and it was there"),
        ("churn setup --create-bucket --json", "the bucket too; for machines"),
    ),
    "up": (("churn up", "prints the addresses; Ctrl-C stops all of it"),),
    "watch": (
        ("churn watch", "churn up runs it for you"),
        ("churn watch --every 60", "look less often where nothing tells"),
    ),
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
