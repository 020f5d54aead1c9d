"""What people decided binds every later run."""

from reconciliation.exceptions.work import undo_match
from tests.reconciliation.daily.desk import (
    MONDAY,
    OPENING_MINOR,
    PROCESSOR_ACCOUNT,
    TUESDAY,
    WEDNESDAY,
    Desk,
    movement,
)


def reject(desk: Desk, group_id: int) -> None:
    desk.enrol("ana")
    with desk.acting("ana") as connection:
        undo_match(connection, group_id, reason="data_correction", note="not the same payment")


def test_a_rejected_match_opens_its_lines_again_and_is_never_made_again(desk: Desk) -> None:
    desk.post("sale", MONDAY, 500, ref_end_to_end="INV-1")
    desk.statement(MONDAY)
    desk.run(MONDAY)
    (waiting,) = desk.exceptions()
    desk.statement(TUESDAY, movement("INV-1", 500))
    desk.run(TUESDAY)
    assert desk.exceptions() == []
    ((key, (group_id, _)),) = desk.live_groups().items()

    reject(desk, group_id)
    desk.statement(WEDNESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(WEDNESDAY)

    assert key not in desk.live_groups()
    by_side = {row["side"]: row for row in desk.exceptions()}
    reopened = by_side["ledger"]
    assert reopened["exception_id"] == waiting["exception_id"]
    assert (reopened["opened_on"], reopened["item_date"]) == (MONDAY, MONDAY)
    assert reopened["age_business_days"] == 2
    assert reopened["cleared_by_group"] is None
    assert by_side["external"]["item_date"] == TUESDAY
    assert desk.events(waiting["exception_id"]) == ["opened", "cleared", "undone", "reopened"]

    desk.post("late", MONDAY, 7, ref_end_to_end="INV-9")
    desk.run(WEDNESDAY)
    assert desk.live_groups() == {}


def test_the_lines_of_a_rejected_match_may_find_another_partner(desk: Desk) -> None:
    desk.post("first", MONDAY, 500, ref_end_to_end="INV-1")
    desk.post("second", TUESDAY, 500, ref_end_to_end="INV-1")
    desk.statement(MONDAY, movement("INV-1", 500))
    desk.run(MONDAY)
    ((_, (group_id, members)),) = desk.live_groups().items()
    assert members == ("N-INV-1", "first")

    reject(desk, group_id)
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(TUESDAY)

    ((_, (_, members)),) = desk.live_groups().items()
    assert members == ("N-INV-1", "second")


def test_a_rejected_match_between_two_sources_is_never_made_again(desk: Desk) -> None:
    desk.post("charge", MONDAY, 500, account=PROCESSOR_ACCOUNT, ref_psp="ch_1")
    desk.payout(TUESDAY, "po_1", ("ch_1", 500))
    desk.statement(MONDAY)
    desk.statement(TUESDAY, movement("po_1", 500))
    desk.run(TUESDAY)
    desk.run(TUESDAY, "stripe")
    ((_, (group_id, members)),) = desk.live_groups("payout").items()
    assert members == ("N-po_1", "txn_po_1")

    reject(desk, group_id)
    outcome = desk.run(TUESDAY, "stripe")

    assert desk.live_groups("payout") == {}
    assert outcome.waiting_in_legs == 1
    assert desk.run(TUESDAY, "stripe").unchanged
