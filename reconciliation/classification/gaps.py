"""What is wrong with the files themselves: not there, not proved, out of sequence; and a balance that does not tie.

Law: one cause is one exception. A file that was refused because its totals do not prove is a ``control_total`` and not
also a ``missing_file`` (the two share a key, so that one becomes the other); a sequence number that jumps over days
whose files are missing is explained by those files. An exception here goes away with the file that it asks for.
A file that is owed but not yet due is absent, and nothing is wrong: it is called missing from its deadline on.

Example: statements 41 on Monday and 43 on Wednesday, none on Tuesday: one ``missing_file`` for Tuesday. Statements 41
on Monday and 43 on Tuesday: no day is missing, so one ``sequence_gap`` on Tuesday.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from ledger_core.money import ISO_4217_EXPONENTS
from reconciliation.classification.calendars import BusinessCalendar
from reconciliation.classification.drafts import MEMBER_DRAFT_SCHEMA, Draft, draft_table
from reconciliation.classification.expected_files import FileCalendar
from reconciliation.classification.finishing import Scales, finished
from reconciliation.classification.shapes import (
    FAMILY_OF_KIND,
    AcceptedStatement,
    Classified,
    RefusedDelivery,
    UnexplainedRest,
    exception_key,
)
from reconciliation.sources import Source

UNPROVED_CODES: Final = frozenset(
    {"control_total", "balance"}
)  # of RefusedFile: it came, its totals do not prove
_WHOLE_SOURCE: Final = "*"
_ONE_DAY: Final = timedelta(days=1)


def missing_days(
    *, accepted: Sequence[AcceptedStatement], as_of: date, source: Source, calendar: BusinessCalendar
) -> dict[str, tuple[date, ...]]:
    """Ledger account to the dates from ``start_date`` to ``as_of`` whose owed file has not been accepted, due or not.

    What ``classify`` wants as ``waiting_for_file``. Accounts that miss nothing are left out.
    """
    files = FileCalendar(source=source, calendar=calendar)
    missing = {
        account: tuple(
            day
            for day in files.owed(account, source.start_date, as_of)
            if not _is_covered(day, _of_place(source, account, accepted))
        )
        for account in source.ledger_accounts
    }
    return {account: days for account, days in missing.items() if days}


def source_gaps(
    *,
    accepted: Sequence[AcceptedStatement],
    refused: Sequence[RefusedDelivery],
    as_of: date,
    source: Source,
    calendar: BusinessCalendar,
    now: datetime | None = None,
    exponents: Mapping[str, int] = ISO_4217_EXPONENTS,
) -> Classified:
    """Exceptions of class ``source_gap``: ``missing_file``, ``control_total``, ``sequence_gap``; without members.

    Per account or per source, as the file schedule says. ``now`` tells which deadlines have passed; without it every
    absent file is a missing one. A file that came and does not prove waits for no deadline. Sequence numbers are
    followed per account, from the first one known; a number below its predecessor begins again at 1, or in a new year.
    """
    missing = missing_days(accepted=accepted, as_of=as_of, source=source, calendar=calendar)
    files = FileCalendar(source=source, calendar=calendar)
    absent = [(account, day) for account in files.places for day in missing.get(account, ())]
    rows = [
        row
        for account, day in absent
        for row in (_file_row(source, account, day, refused),)
        if row["kind"] != "missing_file" or files.is_overdue(account, day, now)
    ]
    for account in source.ledger_accounts if source.files.per == "account" else (None,):
        known = [statement for statement in accepted if account is None or statement.account == account]
        known = [statement for statement in known if source.start_date <= statement.to_date <= as_of]
        rows += _sequence_rows(files, account, known)
    return _finished(rows, source=source, as_of=as_of, calendar=calendar, exponents=exponents)


def balance_breaks(
    *,
    rests: Sequence[UnexplainedRest],
    as_of: date,
    source: Source,
    calendar: BusinessCalendar,
    exponents: Mapping[str, int] = ISO_4217_EXPONENTS,
) -> Classified:
    """One ``balance_break`` per account and day whose bridge leaves a rest; without members."""
    rows = [
        _row(
            "balance_break",
            rest.account,
            rest.asset,
            rest.business_date,
            place=rest.business_date.isoformat(),
            why="the balances differ by more than the open items and explained differences account for",
        )
        | {
            "class": "genuine",
            "amount_minor": rest.unexplained_minor,
            "difference_minor": rest.unexplained_minor,
        }
        for rest in rests
    ]
    return _finished(rows, source=source, as_of=as_of, calendar=calendar, exponents=exponents)


def file_gap_key(source: Source, account: str, day: date) -> str:
    """The key that the exception about an account's absent file for a date has, once it is overdue."""
    place = account if source.files.per == "account" else None
    return exception_key(source.id, "external", _natural_key(place, day.isoformat()), FAMILY_OF_KIND["missing_file"])


def _of_place(source: Source, account: str, accepted: Sequence[AcceptedStatement]) -> list[AcceptedStatement]:
    """The statements that serve an account: its own and those for all; every one where one file serves the source."""
    if source.files.per == "source":
        return list(accepted)
    return [statement for statement in accepted if statement.account in (account, None)]


def _is_covered(day: date, statements: Sequence[AcceptedStatement]) -> bool:
    return any((item.from_date or item.to_date) <= day <= item.to_date for item in statements)


def _file_row(source: Source, account: str, day: date, refused: Sequence[RefusedDelivery]) -> dict[str, Any]:
    per_account = source.files.per == "account"
    codes = {
        delivery.code
        for delivery in refused
        if delivery.for_date == day and (not per_account or delivery.account in (account, None))
    }
    if codes & UNPROVED_CODES:
        kind, why = (
            "control_total",
            "the file came and was refused: its totals do not prove; ask for it again",
        )
    elif codes:
        kind, why = (
            "missing_file",
            f"the file came and was refused ({', '.join(sorted(codes))}); ask for it again",
        )
    else:
        kind, why = "missing_file", "the file expected for this day has not come"
    asset = next(mapping.asset for mapping in source.accounts if mapping.ledger == account)
    place = day.isoformat()
    return _row(
        kind, account if per_account else None, asset if per_account else None, day, place=place, why=why
    )


def _sequence_rows(
    files: FileCalendar, account: str | None, statements: Sequence[AcceptedStatement]
) -> list[dict[str, Any]]:
    numbered = {
        (statement.to_date, statement.sequence_no)
        for statement in statements
        if statement.sequence_no is not None
    }
    asset = next((mapping.asset for mapping in files.source.accounts if mapping.ledger == account), None)
    rows = []
    for (day, number), (next_day, next_number) in pairwise(sorted(numbered)):
        begins_again = next_number < number and (next_number == 1 or next_day.year > day.year)
        skipped = next_number - (0 if begins_again else number) - 1
        between = files.owed(account or files.places[0], day + _ONE_DAY, next_day - _ONE_DAY)
        absent = sum(not _is_covered(missed, statements) for missed in between)
        if skipped < 0 or skipped > absent:
            why = f"number {next_number} follows number {number}; no missing day explains it"
            place = f"{next_day.isoformat()}/{next_number}"
            rows.append(_row("sequence_gap", account, asset, next_day, place=place, why=why))
    return rows


def _row(
    kind: str, account: str | None, asset: str | None, day: date, *, place: str, why: str
) -> dict[str, Any]:
    return {
        "class": "source_gap",
        "kind": kind,
        "side": "external",
        "account": account,
        "asset": asset,
        "amount_minor": 0,
        "difference_minor": 0,
        "item_date": day,
        "due_on": day,
        "natural_key": _natural_key(account, place),
        "why": why,
    }


def _natural_key(account: str | None, place: str) -> str:
    return f"{account or _WHOLE_SOURCE}\x1f{place}"


def _finished(rows: Sequence[Mapping[str, Any]], **settings: Any) -> Classified:
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    members = MEMBER_DRAFT_SCHEMA.empty_table()
    return finished(Draft(exceptions=draft_table(columns, len(rows)), members=members), Scales(**settings))
