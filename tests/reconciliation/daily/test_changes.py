"""Late postings, late commits and corrected files: found by the next run, which touches what they touch and no more."""

import psycopg

from tests.reconciliation.daily.desk import (
    FRIDAY,
    MONDAY,
    NEXT_MONDAY,
    OPENING_MINOR,
    SATURDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Desk,
    movement,
)
from tests.reconciliation.daily.stored import assert_same, state


def said(desk: Desk) -> dict[str, list[str]]:
    with psycopg.connect(desk.url) as connection:
        return state(connection)


def unnamed(told: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without the keys of groups: those name the versions of the lines, which a correction moves on."""
    return {**told, "matches": sorted(row.partition(", ")[2] for row in told["matches"])}


def three_days(desk: Desk) -> None:
    for number, day in enumerate((MONDAY, TUESDAY, WEDNESDAY), start=1):
        desk.post(f"sale-{number}", day, 100 * number, ref_end_to_end=f"INV-{number}")
    desk.statement(MONDAY, movement("INV-1", 100))
    desk.statement(TUESDAY, movement("INV-2", 200), opening_minor=OPENING_MINOR + 100)
    desk.statement(WEDNESDAY, movement("INV-3", 300), opening_minor=OPENING_MINOR + 300)
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        desk.run(day)


def test_an_entry_posted_late_for_an_earlier_day_is_matched_on_that_day(desk: Desk) -> None:
    desk.statement(MONDAY, movement("INV-1", 500))
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.statement(WEDNESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(WEDNESDAY)
    assert desk.kinds() == ["genuine missing_in_ledger"]

    desk.post("late", MONDAY, 500, ref_end_to_end="INV-1")
    outcome = desk.run(WEDNESDAY)

    assert outcome.window is not None
    assert (outcome.window.first, outcome.groups_made) == (MONDAY, 1)
    assert desk.exceptions() == []
    assert desk.ask("SELECT g.as_of FROM recon.match_group AS g") == [MONDAY]
    assert desk.ask(
        "SELECT count(*) FROM recon.balance_proof_v1 AS p WHERE p.genuine_count + p.timing_count > 0"
    ) == [0]


def test_an_entry_that_commits_after_the_run_looked_is_found_by_the_next_run(desk: Desk) -> None:
    desk.statement(MONDAY, movement("INV-1", 500))
    with desk.session("tieout_poster") as slow:
        desk.post_on(slow, "slow", MONDAY, 500, ref_end_to_end="INV-1")
        desk.post("quick", MONDAY, 900, ref_end_to_end="INV-2")
        desk.run(MONDAY)
        assert desk.kinds() == ["timing missing_at_source", "timing missing_in_ledger"]
        assert desk.run(MONDAY).unchanged

    outcome = desk.run(MONDAY)

    assert outcome.groups_made == 1
    assert desk.kinds() == ["timing missing_at_source"]
    assert desk.run(MONDAY).unchanged


def test_a_corrected_file_changes_only_what_it_touches(desk: Desk) -> None:
    three_days(desk)
    before = desk.live_groups()

    corrected = desk.statement(
        TUESDAY, movement("INV-2", 210), opening_minor=OPENING_MINOR + 100, version="b"
    )
    outcome = desk.run(WEDNESDAY)

    after = desk.live_groups()
    assert corrected.outcome == "corrected"
    assert (outcome.groups_made, outcome.groups_revoked) == (0, 1)
    kept = {key: group for key, group in before.items() if "sale-2" not in group[1]}
    assert after == kept
    assert desk.kinds() == ["genuine balance_break", "genuine conflicting_version"]


def test_a_correction_taken_back_restores_what_was(desk: Desk) -> None:
    three_days(desk)
    before = said(desk)
    groups = desk.live_groups()

    desk.statement(TUESDAY, movement("INV-2", 210), opening_minor=OPENING_MINOR + 100, version="b")
    desk.run(WEDNESDAY)
    desk.statement(TUESDAY, movement("INV-2", 200), opening_minor=OPENING_MINOR + 100, version="c")
    outcome = desk.run(WEDNESDAY)

    assert outcome.groups_made == 1
    assert_same(unnamed(before), unnamed(said(desk)))
    untouched = [key for key, (_, members) in groups.items() if "sale-2" not in members]
    assert {key: desk.live_groups()[key] for key in untouched} == {key: groups[key] for key in untouched}


def test_a_line_that_a_corrected_file_drops_is_shown_as_withdrawn_and_comes_back_matched(desk: Desk) -> None:
    three_days(desk)
    before = said(desk)

    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 100, version="b")
    desk.run(WEDNESDAY)
    assert [row["kind"] for row in desk.exceptions()] == ["withdrawn", "balance_break"]

    desk.statement(TUESDAY, movement("INV-2", 200), opening_minor=OPENING_MINOR + 100, version="c")
    desk.run(WEDNESDAY)
    assert_same(unnamed(before), unnamed(said(desk)))


def test_a_line_dated_on_a_weekend_belongs_to_the_monday_however_one_runs(desk: Desk, twin: Desk) -> None:
    for one in (desk, twin):
        one.post("sale", NEXT_MONDAY, 500, ref_end_to_end="INV-1")
        one.statement(FRIDAY)
        one.statement(SATURDAY, movement("INV-1", 500), movement("INV-7", 30))
        one.statement(NEXT_MONDAY, movement("INV-2", 40), opening_minor=OPENING_MINOR + 530)
    for day in (FRIDAY, SATURDAY, NEXT_MONDAY):
        desk.run(day)
    desk.post("more", NEXT_MONDAY, 40, ref_end_to_end="INV-2")
    twin.post("more", NEXT_MONDAY, 40, ref_end_to_end="INV-2")
    desk.run(NEXT_MONDAY)
    twin.run(NEXT_MONDAY)

    assert_same(said(twin), said(desk))


def test_a_match_that_became_certain_later_does_not_outlive_its_reason(desk: Desk, twin: Desk) -> None:
    """Two customers' invoices fit one line, until a second line takes one of them; then that line is withdrawn."""
    for one in (desk, twin):
        one.post("first", MONDAY, 500, ref_end_to_end="INV-77", counterparty="A")
        one.post("second", MONDAY, 500, ref_end_to_end="INV77", counterparty="B")
        one.statement(MONDAY, movement("INV 77", 500))
        one.statement(TUESDAY, movement("INV77", 500), opening_minor=OPENING_MINOR + 500)
        one.statement(WEDNESDAY, opening_minor=OPENING_MINOR + 1_000)
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        desk.run(day)
    for one in (desk, twin):
        one.statement(TUESDAY, opening_minor=OPENING_MINOR + 500, version="b")
        one.run(WEDNESDAY)

    assert_same(said(twin), said(desk))


def test_a_break_that_went_away_and_came_back_is_dated_by_the_data_alone(desk: Desk, twin: Desk) -> None:
    for one in (desk, twin):
        one.statement(MONDAY)
        one.statement(TUESDAY, opening_minor=OPENING_MINOR + 70)
        one.statement(WEDNESDAY, opening_minor=OPENING_MINOR + 70)
    desk.run(TUESDAY)
    desk.statement(TUESDAY, version="b")
    desk.run(TUESDAY)
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 70, version="c")
    desk.run(WEDNESDAY)
    twin.statement(TUESDAY, version="b")
    twin.statement(TUESDAY, opening_minor=OPENING_MINOR + 70, version="c")
    twin.run(WEDNESDAY)

    assert_same(said(twin), said(desk))
    assert [(row["kind"], row["item_date"]) for row in desk.exceptions()] == [("balance_break", TUESDAY)]


def test_a_break_closed_late_by_an_entry_of_a_later_day_leaves_the_days_between_as_they_were(
    desk: Desk, twin: Desk
) -> None:
    """The rest of Tuesday goes on Thursday; then something of Wednesday changes and it is all folded from there."""
    for one in (desk, twin):
        one.statement(MONDAY)
        one.statement(TUESDAY, opening_minor=OPENING_MINOR + 70)
        one.statement(WEDNESDAY, opening_minor=OPENING_MINOR + 70)
        one.statement(THURSDAY, opening_minor=OPENING_MINOR)
    for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY):
        desk.run(day)
    assert desk.kinds() == []
    for one in (desk, twin):
        one.statement(THURSDAY, opening_minor=OPENING_MINOR + 70, version="b")
        one.post("late", WEDNESDAY, 5, ref_end_to_end="INV-1")
        one.run(THURSDAY)

    assert_same(said(twin), said(desk))


def test_two_bank_lines_for_one_payout_are_told_apart_by_the_data_and_not_by_who_came_first(
    desk: Desk, twin: Desk
) -> None:
    for one in (desk, twin):
        one.payout(MONDAY, "po_1", ("ch_1", 500))
        one.statement(TUESDAY, movement("po_1", 500, native_id="B"), opening_minor=OPENING_MINOR)
    desk.run(TUESDAY, "stripe")
    for one in (desk, twin):
        one.statement(MONDAY, movement("po_1", 500, native_id="A"))
        one.run(TUESDAY)
        one.run(TUESDAY, "stripe")

    assert desk.live_groups("payout").keys() == twin.live_groups("payout").keys()
