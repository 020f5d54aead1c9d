"""Whether a statement begins where the one before it ended, told with the delivery.

Law: files may come in any order, so a chain that is open or broken refuses nothing; it is said, and said again by the
delivery that closes it. What a broken chain means for the books is for the day's bridge: money that no statement told
of stays unexplained there.
"""

from pathlib import Path
from typing import Any, Final

import psycopg

from ledger_core.money import exponent_of, format_minor
from ledger_core.sql import queries
from reconciliation.errors import RefusedFile
from reconciliation.intake.checks import place_of

BREAKS_TOLD_MAX: Final = 20
CONTINUED: Final = "openings continue the statement before"
"""How the note ends that says nothing is amiss."""

_SQL: Final = queries(Path(__file__).with_name("chain.sql"))


def chain_notes(connection: psycopg.Connection[Any], source_id: str) -> tuple[str, ...]:
    """Notes on the staged statements and their neighbours: how many openings continue, and each that does not."""
    continued, unproved, broken = 0, [], []
    for account, asset, to_date, opening_minor, date_before, closing_before in connection.execute(
        _SQL["find_chain"], {"source_id": source_id}
    ):
        if closing_before is None or opening_minor is None:
            unproved.append(f"{account} {to_date}")
        elif opening_minor == closing_before:
            continued += 1
        else:
            exponent = exponent_of(asset)
            broken.append(
                f"{account}: the statement of {to_date} opens with {format_minor(opening_minor, exponent)} {asset}, "
                f"the one before it, of {date_before}, closes with {format_minor(closing_before, exponent)}"
            )
    notes = [f"{continued} {CONTINUED}"] if continued else []
    if unproved:
        notes.append(
            f"no balance before it to continue yet: {', '.join(unproved[:3])}"
            + (f" and {len(unproved) - 3} more" if len(unproved) > 3 else "")
        )
    return (*notes, *broken[:BREAKS_TOLD_MAX])


def refuse_told_otherwise(connection: psycopg.Connection[Any], source_id: str, format_name: str) -> None:
    """Refuse a staged statement that was told already under another name: its money would count twice.

    Raises:
        RefusedFile: an account's statement of the same day came by another format, from the same balance to the same;
            or it came in pages and now whole, or whole and now in pages.
    """
    found = connection.execute(
        _SQL["find_told_otherwise"], {"source_id": source_id, "format_name": format_name}
    ).fetchone()
    if found is None:
        return
    statement_no, account, to_date, other_format, delivery_id, statement_ref = found
    what, remedy = f"the same balances, told by {other_format}", "Deliver each day in one format"
    if other_format == format_name:
        what, remedy = f"statement {statement_ref}", "Deliver the pages of a statement always joined, or always apart"
    raise RefusedFile(
        code="conflict",
        place=place_of(statement_no),
        expected=f"a statement of {account} for {to_date} that was not told yet",
        found=f"{what} in delivery {delivery_id}",
        remedy=f"{remedy}; reports that come besides the statement are named under intraday in sources.yaml.",
    )
