"""Past the door the keys refuse an illegal life, and at the door a malformed step is named at once."""

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.ledger_core.books import NOON, SALES, WALLET, fund
from tests.ledger_core.payments import begin, spend

EVENT = """
INSERT INTO ledger.transaction_event
  (transaction_id, event_no, previous_state, state, event_key, request_hash, authoriser, entry_id)
SELECT t.transaction_id, %(no)s, %(previous)s, %(state)s, 'raw' || %(place)s, decode(repeat('00', 32), 'hex'), 'Eve',
       CASE WHEN %(state)s <> 'initiated' THEN (
         SELECT e.entry_id FROM ledger.journal_entry AS e WHERE e.entry_key = 'e' || %(place)s) END
FROM ledger.business_transaction AS t WHERE t.transaction_key = 'raw'
"""
STEP = """
SELECT ledger.move_transaction(
  %(transaction_key)s, %(event_key)s, %(state)s, %(authoriser)s, %(effective_at)s::timestamptz, %(account)s::text[],
  %(amount)s::bigint[], %(asset)s::text[], NULL, %(reason)s,
  %(expires_at)s::timestamptz, NULL, %(kind)s, %(metadata)s::jsonb)
"""


@pytest.mark.parametrize(
    ("rows", "constraint"),
    [
        ([(1, "none", "held")], "transaction_event_move_fkey"),
        ([(1, "initiated", "held")], "transaction_event_first"),
        ([(2, "none", "initiated")], "transaction_event_first"),
        ([(1, "none", "initiated"), (2, "initiated", "reversed")], "transaction_event_move_fkey"),
        ([(1, "none", "initiated"), (2, "held", "settled")], "transaction_event_previous_fkey"),
        ([(1, "none", "initiated"), (3, "initiated", "settled")], "transaction_event_previous_fkey"),
        (
            [(1, "none", "initiated"), (2, "initiated", "settled"), (3, "settled", "settled")],
            "transaction_event_move_fkey",
        ),
        (
            [(1, "none", "initiated"), (2, "initiated", "settled"), (2, "initiated", "settled")],
            "transaction_event_pkey",
        ),
        (
            [
                (1, "none", "initiated"),
                (2, "initiated", "held"),
                (3, "held", "settled"),
                (4, "held", "settled"),
            ],
            "transaction_event_previous_fkey",
        ),
    ],
    ids=[
        "first event not initiated",
        "first event with a past",
        "initiated twice",
        "illegal jump",
        "false previous state",
        "skipped step",
        "second settlement",
        "second settlement at the same place",
        "second settlement from the hold",
    ],
)
def test_past_the_door_an_illegal_step_violates_a_key(
    book: psycopg.Connection[Any], rows: Sequence[tuple[int, str, str]], constraint: str
) -> None:
    fund(book, 1000)
    for place in range(len(rows)):
        spend(book, f"e{place}", 1)
    book.execute("SET LOCAL ROLE tieout_owner")
    book.execute("INSERT INTO ledger.business_transaction (transaction_key, kind) VALUES ('raw', 'payment')")
    steps = [
        {"no": event_no, "previous": previous, "state": state, "place": place}
        for place, (event_no, previous, state) in enumerate(rows)
    ]
    for step in steps[:-1]:
        book.execute(EVENT, step)
    with pytest.raises(psycopg.errors.IntegrityError) as refused:
        book.execute(EVENT, steps[-1])
    assert refused.value.diag.constraint_name == constraint


@pytest.mark.parametrize(
    "table", ["transaction_event", "business_transaction", "transaction_move", "fx_quote"]
)
def test_what_happened_is_never_changed(book: psycopg.Connection[Any], table: str) -> None:
    begin(book)
    book.execute("SET LOCAL ROLE tieout_owner")
    for statement in ("DELETE FROM ledger.{}", "TRUNCATE ledger.{} CASCADE"):
        with pytest.raises(psycopg.Error) as refused, book.transaction():
            book.execute(sql.SQL(statement).format(sql.Identifier(table)))
        assert refused.value.sqlstate == "TL005"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"transaction_key": None}, "its key"),
        ({"transaction_key": "x" * 201}, "its key"),
        ({"event_key": None}, "key of a step"),
        ({"event_key": ""}, "key of a step"),
        ({"event_key": "reversal:x"}, "key of a step"),
        ({"authoriser": None}, "authoriser"),
        ({"authoriser": " "}, "authoriser"),
        ({"reason": ""}, "reason"),
        ({"effective_at": None}, "effective_at"),
        ({"effective_at": "infinity"}, "effective_at"),
        ({"state": None}, "lines"),
        ({"state": "initiated"}, "lines"),
        ({"state": "released"}, "lines"),
        ({"account": None, "amount": None, "asset": None}, "lines"),
        ({"account": [], "amount": [], "asset": []}, "lines"),
        ({"amount": [5]}, "each line"),
        ({"asset": None}, "each line"),
        ({"amount": [5, None]}, "each line"),
        ({"asset": ["EUR", None]}, "each line"),
        ({"expires_at": NOON}, "after it began"),
        ({"kind": "x"}, "when it is initiated"),
        ({"metadata": "[]"}, "when it is initiated"),
    ],
)
def test_a_malformed_step_is_named_and_leaves_nothing(
    book: psycopg.Connection[Any], change: dict[str, Any], problem: str
) -> None:
    fund(book, 1000)
    begin(book)
    sent = {
        "transaction_key": "t",
        "event_key": "t:h",
        "state": "held",
        "authoriser": "Ada",
        "effective_at": NOON,
        "account": [WALLET, SALES],
        "amount": [5, -5],
        "asset": ["EUR", "EUR"],
        "reason": None,
        "expires_at": None,
        "kind": None,
        "metadata": None,
    } | change
    with pytest.raises(psycopg.Error, match=problem) as refused:
        book.execute(STEP, sent)
    assert refused.value.sqlstate == "TL007"
