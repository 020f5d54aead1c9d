"""One source's business day as the books stand: files, matches, exceptions and proofs. Reads only.

The command line, the Dagster page and the demo all tell a day from this one value, so that they cannot disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from ledger_core.sql import queries
from reconciliation.classification import BusinessCalendar, FileCalendar
from reconciliation.evidence.bridge import Proof
from reconciliation.sources import Source
from reconciliation.vocabulary import SEVERITIES

SQL: Final = queries(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenExceptions:
    """Open exceptions of one class, kind, severity and asset; ``amount_minor`` is the sum of absolute amounts."""

    exception_class: str
    kind: str
    severity: str
    asset: str | None
    item_count: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDay:
    """What is known of a source's business day. ``matched_by_pass`` counts the day's external lines; "open" for the
    rest.
    """

    source_id: str
    day: date
    files: tuple[Mapping[str, Any], ...]
    matched_by_pass: Mapping[str, int]
    exceptions: tuple[OpenExceptions, ...]
    proofs: tuple[Proof, ...]
    alert_count: int

    @property
    def line_count(self) -> int:
        """External lines of the day."""
        return sum(self.matched_by_pass.values())

    @property
    def matched_count(self) -> int:
        """External lines of the day that are explained by a match."""
        return self.line_count - self.matched_by_pass.get("open", 0)

    @property
    def tied_out(self) -> bool:
        """Whether every account's bridge leaves nothing unexplained; false where nothing was proved."""
        return bool(self.proofs) and all(proof.tied_out for proof in self.proofs)

    @property
    def unexplained_count(self) -> int:
        """Accounts whose bridge leaves a rest."""
        return sum(not proof.tied_out for proof in self.proofs)

    def count(
        self, *, exception_class: str | None = None, at_least: str = "info", kind: str | None = None
    ) -> int:
        """Open exceptions, by class, kind and least severity."""
        floor = SEVERITIES.index(at_least)
        return sum(
            group.item_count
            for group in self.exceptions
            if exception_class in (None, group.exception_class)
            and kind in (None, group.kind)
            and SEVERITIES.index(group.severity) >= floor
        )

    def value_open(self, *, exception_class: str | None = None) -> dict[str, int]:
        """Sum of absolute open amounts by asset, in minor units."""
        sums: dict[str, int] = {}
        for group in self.exceptions:
            if group.asset is not None and exception_class in (None, group.exception_class):
                sums[group.asset] = sums.get(group.asset, 0) + group.amount_minor
        return dict(sorted(sums.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsentFiles:
    """What has no file for a date: ledger accounts, or the source's id where one file serves all accounts."""

    missing: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()


def read_source_day(connection: psycopg.Connection[Any], source: Source, day: date) -> SourceDay:
    """The day as the books stand now; exceptions are those open now, proofs the latest of that day."""
    calendar = BusinessCalendar.of(source.calendars)
    wanted = {
        "source": source.id,
        "day": day,
        "after": _business_day_before(day, calendar),
        "start_date": source.start_date,
    }
    with connection.cursor(row_factory=dict_row) as cursor:

        def rows(name: str) -> Sequence[dict[str, Any]]:
            return cursor.execute(SQL[name], wanted).fetchall()

        return SourceDay(
            source_id=source.id,
            day=day,
            files=tuple(rows("files")),
            matched_by_pass={
                row["match_pass"] or "open": row["line_count"] for row in rows("matched_by_pass")
            },
            exceptions=tuple(
                OpenExceptions(
                    exception_class=row["class"],
                    kind=row["kind"],
                    severity=row["severity"],
                    asset=row["asset"],
                    item_count=row["item_count"],
                    amount_minor=row["amount_minor"],
                )
                for row in rows("open_exceptions")
            ),
            proofs=tuple(Proof(**row) for row in rows("proofs")),
            alert_count=rows("alerts")[0]["count"],
        )


def read_absent_files(
    connection: psycopg.Connection[Any], source: Source, day: date, *, now: datetime | None
) -> AbsentFiles:
    """What has no file for a date that owes one: at ``now``, what is overdue, and what is still to come."""
    files = FileCalendar(source=source, calendar=BusinessCalendar.of(source.calendars))
    per_account = source.files.per == "account"
    rows = connection.execute(SQL["accounts_covered"], {"source": source.id, "day": day}).fetchall()
    covered = {account for (account,) in rows}
    absent = [
        account
        for account in files.places
        if files.is_owed(account, day) and not (account in covered if per_account else covered)
    ]
    overdue = [account for account in absent if files.is_overdue(account, day, now)]

    def names(accounts: Sequence[str]) -> tuple[str, ...]:
        return tuple(accounts) if per_account else (source.id,) * len(accounts)

    return AbsentFiles(
        missing=names(overdue), awaited=names([account for account in absent if account not in overdue])
    )


def _business_day_before(day: date, calendar: BusinessCalendar) -> date:
    before = day - timedelta(days=1)
    while not calendar.is_business_day(before):
        before -= timedelta(days=1)
    return before
