"""Families of one side in the books: they take their lines, close their exceptions, and leave the bridge as it was."""

from datetime import UTC, date, datetime

import psycopg

from tests.reconciliation.daily.desk import (
    MONDAY,
    OPENING_MINOR,
    TUESDAY,
    WEDNESDAY,
    Desk,
    movement,
)
from tests.reconciliation.daily.stored import assert_same, state


def reverse(desk: Desk, entry_key: str, day: date) -> None:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    with desk.session("tieout_poster") as connection:
        connection.execute(
            "SELECT ledger.reverse_entry(%s, %s, %s, %s)", (entry_key, "booked twice", "ada", at)
        )


def three_days(desk: Desk) -> None:
    desk.post("sale", MONDAY, 500, ref_end_to_end="INV-1")
    desk.post("wrong", MONDAY, 700, ref_end_to_end="INV-2")
    reverse(desk, "wrong", WEDNESDAY)
    desk.statement(MONDAY, movement("INV-1", 500))
    for day in (TUESDAY, WEDNESDAY):
        desk.statement(day, opening_minor=OPENING_MINOR + 500)


def test_an_entry_and_its_reversal_leave_the_open_items_together(desk: Desk, twin: Desk) -> None:
    three_days(desk)
    desk.run(MONDAY)
    assert desk.kinds() == ["timing missing_at_source"]
    desk.run(TUESDAY)
    desk.run(WEDNESDAY)

    assert desk.exceptions() == []
    assert desk.ask(
        "SELECT g.match_pass, g.as_of, g.external_minor, g.ledger_minor, g.asset FROM recon.match_group AS g"
        " WHERE g.match_pass = 'reversal_family'"
    ) == [("reversal_family", WEDNESDAY, 0, 0, "EUR")]
    assert desk.ask(
        "SELECT m.member_no, m.side, m.entry_key, m.allocated_minor, m.live FROM recon.match_member AS m"
        " JOIN recon.match_group AS g ON g.group_id = m.group_id AND g.match_pass = 'reversal_family' ORDER BY 1"
    ) == [(1, "ledger", "wrong", 700, True), (2, "ledger", "reversal:wrong", -700, True)]
    assert desk.ask(
        "SELECT p.business_date, p.unexplained_minor, p.timing_ledger_minor FROM recon.balance_proof_v1 AS p"
        " WHERE p.source = 'bank' ORDER BY 1"
    ) == [(MONDAY, 0, 700), (TUESDAY, 0, 700), (WEDNESDAY, 0, 0)]
    assert desk.run(WEDNESDAY).unchanged

    three_days(twin)
    twin.run(WEDNESDAY)
    with psycopg.connect(desk.url) as one, psycopg.connect(twin.url) as other:
        told = {name: rows for name, rows in state(one).items() if name != "open"}
        assert_same(told, {name: rows for name, rows in state(other).items() if name != "open"})


def test_a_line_that_comes_late_takes_the_entry_out_of_its_family(desk: Desk) -> None:
    three_days(desk)
    desk.run(WEDNESDAY)
    assert desk.exceptions() == []

    desk.statement(TUESDAY, movement("INV-2", 700), opening_minor=OPENING_MINOR + 500, version="b")
    desk.statement(WEDNESDAY, opening_minor=OPENING_MINOR + 1_200, version="b")
    desk.run(WEDNESDAY)

    assert desk.kinds() == ["timing missing_at_source"]
    assert desk.ask(
        "SELECT r.reason IS NOT NULL FROM recon.match_group AS g"
        " LEFT JOIN recon.match_revocation AS r ON r.group_id = g.group_id WHERE g.match_pass = 'reversal_family'"
    ) == [True]
    assert desk.ask(
        "SELECT count(*) FROM recon.match_member AS m WHERE m.live AND m.entry_key = 'wrong'"
    ) == [1]
