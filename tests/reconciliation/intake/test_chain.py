"""A delivery says whether its statements begin where those before them ended, and a late one closes the chain."""

from itertools import permutations

import pytest
from psycopg import Connection

from tests.reconciliation.intake.builder import Entry, bank_file, bank_statement, deliver

DAYS = ("2026-11-16", "2026-11-17", "2026-11-18")
OPENINGS = (10_000, 10_100, 10_200)
CONTINUED = "openings continue the statement before"


def statement(place: int, opening_minor: int | None = None) -> bytes:
    opening = OPENINGS[place] if opening_minor is None else opening_minor
    return bank_file(
        bank_statement(Entry(100, f"A{place}"), day=DAYS[place], opening_minor=opening),
        message_id=f"M{place}",
    )


def test_the_first_statement_of_an_account_has_nothing_to_continue(store: Connection) -> None:
    assert deliver(store, statement(0)).notes == (
        f"no balance before it to continue yet: assets:bank:main-eur {DAYS[0]}",
    )


def test_a_statement_that_continues_the_one_before_says_so(store: Connection) -> None:
    deliver(store, statement(0))
    assert deliver(store, statement(1)).notes == (f"1 {CONTINUED}",)


def test_a_statement_that_does_not_continue_is_taken_in_with_the_figures(store: Connection) -> None:
    deliver(store, statement(0))
    outcome = deliver(store, statement(1, opening_minor=10_150))
    assert outcome.outcome == "accepted"
    (note,) = outcome.notes
    assert note == (
        "assets:bank:main-eur: the statement of 2026-11-17 opens with 101.50 EUR, the one before it, of 2026-11-16, "
        "closes with 101.00"
    )


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_whatever_the_order_the_last_one_closes_the_chain(store: Connection, order: tuple[int, ...]) -> None:
    *_, last = (deliver(store, statement(place)).notes for place in order)
    neighbours = {0: 1, 1: 2, 2: 1}[order[-1]]
    assert f"{neighbours} {CONTINUED}" in last
    assert not any("opens with" in note for note in last)


def test_several_statements_of_one_file_continue_each_other(store: Connection) -> None:
    whole = bank_file(
        *(
            bank_statement(Entry(100, f"A{place}"), day=DAYS[place], opening_minor=OPENINGS[place])
            for place in range(3)
        )
    )
    assert f"2 {CONTINUED}" in deliver(store, whole).notes
