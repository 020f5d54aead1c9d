"""Other rules tried on past days: what they change is told by pass, and nothing is written."""

from datetime import date
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from reconciliation.daily.backtest import HISTORY_SCHEMA, PassTrial, Trial, backtest, compared
from reconciliation.errors import ReconciliationError
from reconciliation.sources import Source
from tests.reconciliation.daily.desk import MONDAY, OPENING_MINOR, SOURCES, TUESDAY, Desk, movement
from tests.reconciliation.daily.stored import every_row

Row = tuple[str, str, str, int | None, int | None, int | None]


def members(*rows: Row) -> pa.Table:
    named = [dict(zip(HISTORY_SCHEMA.names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(named, HISTORY_SCHEMA)


def pair(key: str, match_pass: str, line_id: int, entry_id: int) -> tuple[Row, Row]:
    return (
        (key, match_pass, "external", line_id, None, None),
        (key, match_pass, "ledger", None, entry_id, 1),
    )


def test_the_same_groups_are_the_same_whoever_makes_them() -> None:
    table = members(*pair("a", "exact", 1, 1))
    assert compared(table, table, frozenset()) == (PassTrial(match_pass="exact", history=1, trial=1, same=1),)


def test_a_group_of_lines_that_are_open_in_history_is_new() -> None:
    (found,) = compared(members(*pair("b", "normalised", 2, 2)), members(), frozenset())
    assert (found.new, found.contradicting) == (1, 0)


def test_a_group_that_history_alone_has_is_gone() -> None:
    (found,) = compared(members(), members(*pair("a", "exact", 1, 1)), frozenset())
    assert (found.history, found.gone) == (1, 1)


@pytest.mark.parametrize(("line_id", "entry_id"), [(1, 2), (2, 1)])
def test_a_line_given_to_another_contradicts_history(line_id: int, entry_id: int) -> None:
    found = compared(
        members(*pair("b", "exact", line_id, entry_id)), members(*pair("a", "exact", 1, 1)), frozenset()
    )
    assert (found[0].contradicting, found[0].against_people, found[0].new) == (1, 0, 0)


def test_a_line_that_people_gave_away_is_told_apart() -> None:
    found = compared(members(*pair("b", "exact", 1, 2)), members(*pair("a", "decision", 1, 1)), frozenset())
    (exact,) = (one for one in found if one.trial)
    assert (exact.contradicting, exact.against_people) == (1, 1)


def test_what_people_undid_is_told_when_the_rules_would_make_it_again() -> None:
    (found,) = compared(members(*pair("a", "exact", 1, 1)), members(), frozenset({"a"}))
    assert (found.remade, found.new) == (1, 0)


def with_rules(source: Source, **changes: Any) -> Source:
    return source.model_copy(update={"match": source.match.model_copy(update=changes)})


def tried(desk: Desk, source: Source, first: date, last: date) -> Trial:
    with desk.session("tieout_matcher") as connection, connection.transaction(force_rollback=True):
        return backtest(connection, source, SOURCES["bank"], first=first, last=last)


def worked(desk: Desk) -> Desk:
    """Two days: a pair that agrees as written, one that agrees when normalised."""
    desk.post("pay-1", MONDAY, 500, ref_end_to_end="INV-1")
    desk.post("pay-2", MONDAY, 700, ref_end_to_end="INV-0002")
    desk.statement(MONDAY, movement("INV-1", 500), movement("inv 0002", 700))
    desk.run(MONDAY)
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 1_200)
    desk.run(TUESDAY)
    return desk


def test_the_rules_of_the_books_change_nothing(desk: Desk) -> None:
    trial = tried(worked(desk), SOURCES["bank"], MONDAY, TUESDAY)
    assert trial.is_safe
    assert {one.match_pass: (one.history, one.same) for one in trial.passes} == {
        "exact": (1, 1),
        "normalised": (1, 1),
    }


def test_stricter_rules_say_what_they_would_lose(desk: Desk) -> None:
    trial = tried(worked(desk), with_rules(SOURCES["bank"], passes=("exact",)), MONDAY, TUESDAY)
    found = {one.match_pass: (one.same, one.gone) for one in trial.passes}
    assert found == {"exact": (1, 0), "normalised": (0, 1)}
    assert trial.rules_digest != trial.history_digest


def test_a_trial_writes_nothing(desk: Desk) -> None:
    worked(desk)
    with psycopg.connect(desk.url) as connection:
        before = every_row(connection)
        tried(desk, with_rules(SOURCES["bank"], passes=("exact",)), MONDAY, TUESDAY)
        assert every_row(connection) == before


def test_days_without_business_are_a_sentence(desk: Desk) -> None:
    with pytest.raises(ReconciliationError, match="expected business days"):
        tried(desk, SOURCES["bank"], date(2026, 11, 7), date(2026, 11, 8))


def test_rules_over_other_accounts_are_no_trial(desk: Desk) -> None:
    with pytest.raises(ReconciliationError, match="over the same lines"):
        tried(desk, SOURCES["stripe"], MONDAY, TUESDAY)

