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

BREAKS_TOLD_MAX: Final = 20

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
    notes = [f"{continued} openings continue the statement before"] if continued else []
    if unproved:
        notes.append(
            f"no balance before it to continue yet: {', '.join(unproved[:3])}"
            + (f" and {len(unproved) - 3} more" if len(unproved) > 3 else "")
        )
    return (*notes, *broken[:BREAKS_TOLD_MAX])
