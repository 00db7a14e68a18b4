"""The data contract over a stream: a batch of any size is sorted chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from churnlib.intake.chunks import CHUNK_ROWS, open_chunks
from churnlib.intake.header_check import check_header
from churnlib.intake.key_set import KeySet, keys_of
from churnlib.intake.kinds import no_rows
from churnlib.intake.row_check import REASONS, row_check
from churnlib.intake.sorting import DUPLICATE, Sorted, Tally, sort_rows
from churnlib.intake.whole_file import check_dates, check_one_date, check_share
from churnlib.spec import Spec


@dataclass(frozen=True)
class Totals:
    """What a batch that passed as a whole adds up to.

    Attributes:
        rows: accepted and quarantined together.
        accepted: rows.
        quarantined: rows.
        quarantined_by: rows by reason, most frequent first; a row with two reasons counts in both.
        as_of: the date of every accepted row.
    """

    rows: int
    accepted: int
    quarantined: int
    quarantined_by: dict[str, int]
    as_of: date


class BatchStream:
    """`contract.check` of a batch without labels, with memory that does not grow with the file.

    The same rows are accepted and quarantined, for the same reasons, and the same files are refused with
    the same words. For finding repeated customers 12 to 16 bytes a row are kept.

    Attributes:
        extra_columns: delivered columns that the spec does not know.
        absent_columns: optional columns that were not delivered and are all null.
        accepted_schema: of the accepted rows of every part.
        quarantined_schema: of the quarantined rows of every part.
    """

    def __init__(
        self, path: Path, spec: Spec, *, source: str, delivered_on: date, today: date, rows: int = CHUNK_ROWS
    ) -> None:
        """Open the file and check its columns.

        Args:
            path: any file that `open_chunks` opens.
            spec: what it has to look like.
            source: its name, for messages.
            delivered_on: the `as_of` of every row where the spec names no column for it.
            today: no `as_of` may lie after it.
            rows: most rows of a part.

        Raises:
            FileRefused: as `files.read_raw`; or a needed column is missing or holds no single values.
        """
        self._delivery = open_chunks(path, spec.input, rows=rows)
        self._spec, self._source, self._delivered_on, self._today = spec, source, delivered_on, today
        schema = self._delivery.schema
        header = check_header(schema, spec, source=source, labelled=False)
        self.extra_columns, self.absent_columns = header.extra, header.absent
        self._check = row_check(schema, spec, delivered_on=delivered_on, labelled=False)
        self.accepted_schema = self._check.apply(pl.DataFrame(schema=schema))[0].schema
        self.quarantined_schema = pl.Schema({**schema, REASONS: pl.List(pl.String)})
        self._totals: Totals | None = None

    def parts(self) -> Iterator[Sorted]:
        """Read the file once from its start; a part may have no accepted rows.

        Raises:
            FileRefused: damage shows; at the end: no rows; more bad rows than `input.max_bad_share`; several
                `as_of`, or one that is older than `max_age_days` or in the future.
        """
        seen, tally = KeySet(), Tally()

        def part(chunk: pl.DataFrame) -> Sorted:
            rows = sort_rows(chunk, self._check, lambda good: pl.Series(seen.add(keys_of(good))))
            tally.add(rows)
            return rows

        # no loop: its variable would hold one part while the next is made
        yield from map(part, self._delivery.chunks())
        self._totals = self._judge(tally)

    @property
    def totals(self) -> Totals:
        """What the parts add up to, once they were read to their end."""
        assert self._totals is not None, "the parts have not been read to their end"
        return self._totals

    def _judge(self, tally: Tally) -> Totals:
        spec, source = self._spec, self._source
        if not tally.rows:
            raise no_rows(source)
        by_reason = tally.by_reason([*self._check.rules, DUPLICATE])
        check_share(tally.accepted, tally.quarantined, by_reason, spec, source)
        (*_, as_of) = check_dates(tally.dates, spec, source, self._today)
        check_one_date(tally.dates, spec, source, self._delivered_on)
        return Totals(tally.rows, tally.accepted, tally.quarantined, by_reason, as_of)
