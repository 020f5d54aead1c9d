"""Many invented exceptions of two sources, with all that lists show and filter by, put straight into the table.

They explain no line: the list reads the table alone. Values repeat on purpose, so that the order needs the number.
"""

import random
from datetime import timedelta
from typing import Any

from reconciliation.review import words
from tests.reconciliation.daily.desk import MONDAY, Desk

PEOPLE = ("ada", "bob", None, None, None)
MARKUP = "<b onclick=x>&\"'</b>"
COLUMNS = (
    "exception_key", "source_id", "opened_on", "as_of", "class", "kind", "severity", "status", "side", "line_key",
    "amount_minor", "difference_minor", "asset", "item_date", "age_business_days", "assignee", "team", "cleared_on",
    "snoozed_until", "sla_due_on", "reference", "counterparty", "best_group", "best_millibits", "candidates", "factors",
)  # fmt: skip


def fill(desk: Desk, *, rows: int, seed: int = 6) -> None:
    """The table with so many rows; a quarter of them closed."""
    chance = random.Random(seed)
    with desk.session(None) as connection:
        copy = "COPY recon.exception ({}) FROM STDIN".format(", ".join(COLUMNS))
        with connection.cursor() as cursor, cursor.copy(copy) as into:
            for number in range(rows):
                row = _row(number, chance)
                into.write_row([row[column] for column in COLUMNS])
    with desk.session(None) as connection:
        connection.execute("ANALYZE recon.exception")


def _row(number: int, chance: random.Random) -> dict[str, Any]:
    opened_on = MONDAY - timedelta(days=chance.randrange(60))
    is_closed = chance.random() < 0.25
    class_ = chance.choice(("timing", "genuine", "genuine", "review"))
    severity = "info" if class_ == "timing" else chance.choice(words.SEVERITIES)
    amount_minor = chance.choice((-1, 1)) * chance.choice((0, 1000, 1000, chance.randrange(10**6), 10**12))
    has_best = chance.random() < 0.3
    counterparty = chance.choice(("ACME GmbH", "Brot & Söhne", MARKUP, "100% sure_thing", None))
    return {
        "exception_key": f"crowd {number}",
        "source_id": "bank" if chance.random() < 0.9 else "stripe",
        "opened_on": opened_on,
        "as_of": MONDAY,
        "class": class_,
        "kind": chance.choice(("missing_in_ledger", "missing_at_source", "amount_mismatch", "ambiguous")),
        "severity": severity,
        "status": chance.choice(("cleared", "resolved"))
        if is_closed
        else chance.choice(("open", "open", "open", "taken", "proposed", "approved", "carried")),
        "side": "external",
        "line_key": f"L-{number}",
        "amount_minor": amount_minor,
        "difference_minor": amount_minor or chance.randrange(5000),
        "asset": chance.choice(("EUR", "EUR", "JPY", "KWD", "POINTS", None)),
        "item_date": opened_on - timedelta(days=chance.randrange(3)),
        "age_business_days": (MONDAY - opened_on).days * 5 // 7,
        "assignee": chance.choice(PEOPLE),
        "team": chance.choice(("disputes", None, None)),
        "cleared_on": opened_on + timedelta(days=chance.randrange(9)) if is_closed else None,
        "snoozed_until": MONDAY + timedelta(days=chance.randrange(1, 30)) if chance.random() < 0.1 else None,
        "sla_due_on": opened_on + timedelta(days=chance.randrange(40)) if chance.random() < 0.8 else None,
        "reference": chance.choice((f"INV-{number % 700}", f"E2E_{number}", None)),
        "counterparty": counterparty,
        "best_group": number if has_best else None,
        "best_millibits": chance.randrange(20_000) if has_best else None,
        "candidates": chance.randrange(1, 9) if has_best else 0,
        "factors": '{"why": "invented"}',
    }
