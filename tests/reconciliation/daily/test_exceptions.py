"""The life of an exception: what clears it, what its log tells, and that nobody writes the log."""

import psycopg
import pytest

from reconciliation.exceptions.work import ItemSeen, work
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


def test_an_exception_clears_by_itself_and_names_the_group_that_cleared_it(desk: Desk) -> None:
    desk.post("sale", MONDAY, 500, ref_end_to_end="INV-1")
    desk.statement(MONDAY)
    desk.run(MONDAY)
    (waiting,) = desk.exceptions()

    desk.statement(TUESDAY, movement("INV-1", 500))
    desk.run(TUESDAY)

    ((_, (group_id, _)),) = desk.live_groups().items()
    (row,) = desk.ask(
        """
        SELECT e.status, e.cleared_on, e.cleared_by_group, e.opened_on FROM recon.exception AS e
        WHERE e.exception_id = %s
        """,
        waiting["exception_id"],
    )
    assert row == ("cleared", TUESDAY, group_id, MONDAY)
    assert desk.events(waiting["exception_id"]) == ["opened", "cleared"]


def test_an_exception_cleared_by_a_corrected_version_of_its_line_names_the_group_too(desk: Desk) -> None:
    desk.statement(MONDAY, movement("TYPO", 500, native_id="N1"))
    desk.run(MONDAY)
    (unknown,) = desk.exceptions()
    desk.post("sale", MONDAY, 500, ref_end_to_end="INV-1")

    desk.statement(MONDAY, movement("INV-1", 500, native_id="N1"), version="b")
    desk.run(MONDAY)

    ((_, (group_id, _)),) = desk.live_groups().items()
    named = "SELECT e.cleared_by_group FROM recon.exception AS e WHERE e.exception_id = %s"
    assert desk.ask(named, unknown["exception_id"]) == [group_id]


def test_a_timing_difference_becomes_genuine_on_the_day_after_it_was_due(desk: Desk) -> None:
    desk.post("payment", MONDAY, -500, ref_end_to_end="PAY-1")
    seen = []
    for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY):
        desk.statement(day)
        desk.run(day)
        (row,) = desk.exceptions()
        seen.append((row["class"], row["severity"] == "info", row["age_business_days"]))

    assert row["due_on"] == WEDNESDAY
    assert row["opened_on"] == MONDAY
    assert seen == [
        ("timing", True, 0),
        ("timing", True, 1),
        ("timing", True, 2),
        ("genuine", False, 3),
        ("genuine", False, 4),
    ]
    assert desk.events(row["exception_id"]) == ["opened", "changed"]


def test_an_exception_that_somebody_took_stays_theirs_while_days_pass(desk: Desk) -> None:
    desk.post("payment", MONDAY, -500, ref_end_to_end="PAY-1")
    desk.statement(MONDAY)
    desk.run(MONDAY)
    (row,) = desk.exceptions()
    desk.enrol("ana")
    with desk.acting("ana") as connection:
        work(connection, [ItemSeen(exception_id=row["exception_id"])], "take")

    desk.statement(TUESDAY)
    desk.run(TUESDAY)

    (row,) = desk.exceptions()
    assert (row["status"], row["assignee"], row["as_of"]) == ("taken", "ana", TUESDAY)


@pytest.mark.parametrize(
    "role", ["tieout_matcher", "tieout_analyst", "tieout_intake", "tieout_auditor", "tieout_poster"]
)
def test_nobody_writes_the_log_of_an_exception(desk: Desk, role: str) -> None:
    desk.post("payment", MONDAY, -500, ref_end_to_end="PAY-1")
    desk.statement(MONDAY)
    desk.run(MONDAY)
    (row,) = desk.exceptions()
    for deed in (
        "INSERT INTO recon.exception_event (exception_id, event, actor, as_of) VALUES (%s, 'taken', 'x', now())",
        "UPDATE recon.exception_event SET actor = 'x' WHERE exception_id = %s",
        "DELETE FROM recon.exception_event WHERE exception_id = %s",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), desk.session(role) as connection:
            connection.execute(deed, (row["exception_id"],))


def test_a_match_cannot_take_a_line_that_another_match_has(desk: Desk) -> None:
    desk.post("sale", MONDAY, 500, ref_end_to_end="INV-1")
    desk.post("other", MONDAY, 500, ref_end_to_end="INV-2")
    desk.statement(MONDAY, movement("INV-1", 500), movement("INV-2", 500))
    desk.run(MONDAY)
    assert len(desk.live_groups()) == 2

    with pytest.raises(psycopg.errors.UniqueViolation), desk.session("tieout_matcher") as connection:
        connection.execute("""
            WITH made AS (
                INSERT INTO recon.match_group (group_key, source_id, leg, match_pass, as_of, asset, external_minor,
                    ledger_minor, difference_minor, evidence, run_id)
                SELECT repeat('a', 64), 'bank', 'ledger', 'exact', g.as_of, g.asset, g.external_minor, g.ledger_minor,
                    g.difference_minor, g.evidence, g.run_id
                FROM recon.match_group AS g ORDER BY g.group_id LIMIT 1 RETURNING group_id
            )
            INSERT INTO recon.match_member (group_id, member_no, leg, side, line_id, entry_id, line_no, entry_key,
                business_date, account, asset, allocated_minor, role)
            SELECT made.group_id, m.member_no, m.leg, m.side, m.line_id, m.entry_id, m.line_no, m.entry_key,
                m.business_date, m.account, m.asset, m.allocated_minor, m.role
            FROM made, (SELECT o.* FROM recon.match_member AS o
                        WHERE o.group_id = (SELECT min(i.group_id) FROM recon.match_member AS i)) AS m
        """)


def test_a_missing_file_is_one_exception_and_all_clears_when_it_comes(desk: Desk) -> None:
    desk.post("sale", TUESDAY, 500, ref_end_to_end="INV-1")
    desk.statement(MONDAY)
    for day in (MONDAY, TUESDAY):
        desk.run(day)
    for day in (WEDNESDAY, THURSDAY, FRIDAY):
        desk.statement(day, opening_minor=OPENING_MINOR + 500)
        desk.run(day)
    # far past its due date, and still timing: the file that would hold it is what is missing
    assert desk.kinds() == ["source_gap missing_file", "timing missing_at_source"]

    desk.statement(TUESDAY, movement("INV-1", 500))
    desk.run(FRIDAY)

    assert desk.exceptions() == []
    assert desk.ask("SELECT sum(abs(p.unexplained_minor)) FROM recon.balance_proof_v1 AS p") == [0]


def test_a_balance_break_is_one_exception_for_as_long_as_it_is_the_same_and_clears_when_it_ties(
    desk: Desk,
) -> None:
    desk.statement(MONDAY)
    desk.run(MONDAY)
    numbers = []
    for day in (TUESDAY, WEDNESDAY, THURSDAY):
        desk.statement(day, opening_minor=OPENING_MINOR + 70)
        desk.run(day)
        (row,) = desk.exceptions()
        numbers.append(row["exception_id"])
        assert (row["kind"], row["severity"]) == ("balance_break", "critical")
        assert (row["amount_minor"], row["item_date"]) == (70, TUESDAY)
    assert len(set(numbers)) == 1

    desk.statement(FRIDAY)
    desk.run(FRIDAY)

    assert desk.exceptions() == []
    assert desk.events(numbers[0]) == ["opened", "cleared"]
    alerts = desk.ask("SELECT a.cause_key FROM recon.alert AS a WHERE a.cause_key LIKE '%%balance_break%%'")
    assert len(alerts) == 1


def test_a_rest_beside_a_missing_file_is_excused_only_by_what_the_file_must_have_held(desk: Desk) -> None:
    """Tuesday's file is missing and must have held 500; Wednesday's statement is off by 30 more in itself."""
    desk.statement(MONDAY)
    desk.statement(WEDNESDAY, opening_minor=OPENING_MINOR + 500)
    desk.statement(THURSDAY, opening_minor=OPENING_MINOR + 530)
    desk.run(THURSDAY)

    found = {row["kind"]: row["amount_minor"] for row in desk.exceptions()}
    assert found == {"missing_file": 0, "balance_break": 30}


def test_the_first_days_missing_file_excuses_what_it_must_have_held(desk: Desk) -> None:
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(TUESDAY)

    assert desk.kinds() == ["source_gap missing_file"]
