"""What the engine learns, suggests and is told, in the books: kept by day, taking nothing, there after every rerun."""

from datetime import date

import psycopg
import pytest

from reconciliation.exceptions.proposals import Action
from tests.reconciliation.daily.desk import (
    FRIDAY,
    MONDAY,
    OPENING_MINOR,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Desk,
    movement,
)
from tests.reconciliation.daily.stored import every_row
from tests.reconciliation.exceptions.people import approved, proposed, staff


def lags(desk: Desk) -> list[tuple[date, int, int]]:
    return desk.ask(
        "SELECT o.as_of, o.lag_business_days, o.observations FROM recon.lag_observation AS o ORDER BY 1, 2"
    )


def suggestions(desk: Desk) -> list[tuple[str, int]]:
    """Suggested groups that are still made, with how many of their members are live."""
    return desk.ask("""
        SELECT g.match_pass, count(*) FILTER (WHERE m.live)
        FROM recon.match_group AS g JOIN recon.match_member AS m ON m.group_id = g.group_id
        WHERE g.state = 'suggested'
          AND NOT EXISTS (SELECT FROM recon.match_revocation AS r WHERE r.group_id = g.group_id)
        GROUP BY g.group_id, g.match_pass ORDER BY 1""")


def test_every_day_keeps_the_lags_its_references_confirmed(desk: Desk) -> None:
    desk.post("p1", MONDAY, 500, ref_end_to_end="INV-0001")
    desk.post("p2", MONDAY, 700, ref_end_to_end="INV-0002")
    desk.statement(MONDAY, movement("INV-0001", 500))
    desk.run(MONDAY)
    desk.statement(TUESDAY, movement("INV-0002", 700), opening_minor=OPENING_MINOR + 500)
    desk.run(TUESDAY)
    assert lags(desk) == [(MONDAY, 0, 1), (TUESDAY, 1, 1)]


def test_a_day_that_is_computed_again_teaches_what_it_now_holds(desk: Desk) -> None:
    desk.statement(MONDAY, movement("INV-0001", 500))
    desk.run(MONDAY)
    assert lags(desk) == []
    desk.post("p1", MONDAY, 500, ref_end_to_end="INV-0001")
    desk.run(MONDAY)
    assert lags(desk) == [(MONDAY, 0, 1)]


def weak_pair(desk: Desk) -> None:
    """One line without a reference and one entry of a common amount: likely, and not sure."""
    desk.post("p1", MONDAY, 500)
    desk.statement(MONDAY, movement("", 500, native_id="N1"))


def test_a_suggestion_is_kept_and_takes_nothing(desk: Desk) -> None:
    weak_pair(desk)
    desk.run(MONDAY)
    assert suggestions(desk) == [("amount_and_lag", 0)]
    assert desk.live_groups() == {}
    assert desk.kinds() == ["timing missing_at_source", "timing missing_in_ledger"]
    (evidence,) = desk.ask("SELECT g.evidence FROM recon.match_group AS g")
    assert evidence["why_not_automatic"]
    assert {"amount", "lag", "needed", "total"} <= set(evidence["bits"])


def test_a_suggestion_whose_lines_are_matched_is_no_longer_made(desk: Desk) -> None:
    weak_pair(desk)
    desk.run(MONDAY)
    desk.post("p0", MONDAY, -500)  # takes away what was suggested
    desk.statement(TUESDAY, movement("", -500, native_id="N2"), opening_minor=OPENING_MINOR + 500)
    decided(desk, "force_match", "N1", "p1")
    desk.run(TUESDAY)
    assert [match_pass for match_pass, _ in suggestions(desk)] == ["amount_and_lag"]  # the other pair
    assert [members for _, members in desk.live_groups().values()] == [("N1", "p1")]


def test_running_again_leaves_the_suggestions_as_they_are(desk: Desk) -> None:
    weak_pair(desk)
    desk.run(MONDAY)
    with psycopg.connect(desk.url) as connection:
        before = every_row(connection)
    assert desk.run(MONDAY).unchanged
    with psycopg.connect(desk.url) as connection:
        assert every_row(connection) == before


def decided(desk: Desk, action: Action, about: str, *more: str) -> None:
    """About the exception of a line or entry, one person proposes and another approves."""
    (number,) = [row["exception_id"] for row in desk.exceptions() if about in (row["line_key"], row["entry_key"])]
    if not desk.ask("SELECT p.login FROM recon.person AS p"):
        staff(desk)
    approved(desk, proposed(desk, number, action, *more))


def test_a_match_that_two_people_made_is_made_by_the_next_run_and_clears_its_exceptions(desk: Desk) -> None:
    weak_pair(desk)
    desk.run(MONDAY)
    decided(desk, "force_match", "N1", "p1")
    desk.run(MONDAY)
    (group_id,) = [group for group, _ in desk.live_groups().values()]
    assert desk.ask("SELECT g.match_pass FROM recon.match_group AS g WHERE g.group_id = %s", group_id) == ["decision"]
    assert desk.exceptions() == []
    assert suggestions(desk) == []


def test_what_people_decided_binds_every_later_run_also_of_the_days_before(desk: Desk) -> None:
    weak_pair(desk)
    desk.run(MONDAY)
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(TUESDAY)
    decided(desk, "force_match", "N1", "p1")
    desk.run(TUESDAY)
    made = desk.live_groups()
    desk.post("late", MONDAY, 1, ref_end_to_end="INV-9999")  # Monday is computed again
    desk.run(WEDNESDAY)
    assert desk.live_groups() == made
    assert desk.ask("SELECT g.as_of FROM recon.match_group AS g WHERE g.match_pass = 'decision'") == [TUESDAY]


def proofs(desk: Desk) -> dict[date, tuple[int, int, int, int]]:
    rows = desk.ask("""
        SELECT p.business_date, p.excluded_external_minor, p.excluded_ledger_minor, p.excluded_count,
            p.unexplained_minor
        FROM recon.balance_proof_v1 AS p WHERE p.source = 'bank' ORDER BY 1""")
    return {row[0]: tuple(row[1:]) for row in rows}


def test_an_excluded_line_leaves_its_exception_and_stays_in_the_bridge(desk: Desk) -> None:
    desk.statement(MONDAY, movement("INV-0001", 500))
    desk.run(MONDAY)
    decided(desk, "exclude", "N-INV-0001")
    desk.run(MONDAY)
    assert desk.exceptions() == []
    assert proofs(desk) == {MONDAY: (500, 0, 1, 0)}
    assert desk.ask("SELECT l.status FROM recon.line_v1 AS l") == ["excluded"]
    for day in (TUESDAY, WEDNESDAY):
        desk.statement(day, opening_minor=OPENING_MINOR + 500)
        desk.run(day)
    assert proofs(desk)[WEDNESDAY] == (500, 0, 0, 0)
    assert desk.exceptions() == []


def test_a_line_excluded_later_stays_open_in_the_days_before(desk: Desk) -> None:
    desk.statement(MONDAY, movement("INV-0001", 500))
    desk.run(MONDAY)
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(TUESDAY)
    decided(desk, "exclude", "N-INV-0001")
    desk.run(TUESDAY)
    desk.post("late", MONDAY, 1, ref_end_to_end="INV-9999")  # both days are computed again
    desk.run(TUESDAY)
    assert {day: row[:3] for day, row in proofs(desk).items()} == {MONDAY: (0, 0, 0), TUESDAY: (500, 0, 1)}
    assert desk.kinds() == ["timing missing_at_source"]  # the late entry alone


def test_an_excluded_ledger_line_weighs_on_the_other_side_of_the_bridge(desk: Desk) -> None:
    desk.post("p1", MONDAY, 500)
    desk.statement(MONDAY)
    desk.run(MONDAY)
    decided(desk, "exclude", "p1")
    desk.run(MONDAY)
    assert proofs(desk) == {MONDAY: (0, 500, 1, 0)}
    assert desk.exceptions() == []


def test_a_corrected_line_is_another_line_and_not_excluded(desk: Desk) -> None:
    desk.statement(MONDAY, movement("INV-0001", 500))
    desk.run(MONDAY)
    decided(desk, "exclude", "N-INV-0001")
    desk.run(MONDAY)
    desk.statement(MONDAY, movement("INV-0001", 600), version="-2")
    desk.run(MONDAY)
    assert proofs(desk)[MONDAY] == (0, 0, 0, 0)
    assert [row["amount_minor"] for row in desk.exceptions()] == [600]


@pytest.mark.parametrize("days", [[MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY], [FRIDAY]])
def test_the_days_at_once_or_one_by_one_give_the_same_suggestions_and_lags(desk: Desk, days: list[date]) -> None:
    opening = OPENING_MINOR
    for number, day in enumerate([MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY]):
        desk.post(f"p{number}", day, 500 + number)
        desk.post(f"q{number}", day, 900, ref_end_to_end=f"INV-100{number}")
        desk.statement(
            day,
            movement("", 500 + number, native_id=f"N{number}"),
            movement(f"INV-100{number}", 900),
            opening_minor=opening,
        )
        opening += 1_400 + number
        if day in days[:-1]:
            desk.run(day)
    desk.run(FRIDAY)
    assert lags(desk) == [(day, 0, 1) for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)]
    assert len(suggestions(desk)) + len(desk.live_groups()) == 10
