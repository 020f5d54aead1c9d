"""What the run does with the work of people: statuses, deadlines, teams, and what became of what they decided."""

from datetime import date, timedelta

from reconciliation.evidence.sign_off import prepare, review
from tests.reconciliation.daily.desk import (
    FRIDAY,
    MONDAY,
    OPENING_MINOR,
    SOURCES,
    THURSDAY,
    TUESDAY,
    Desk,
    movement,
)
from tests.reconciliation.exceptions.people import LINE, approved, proposed, staff, unrecognised


def statuses(desk: Desk) -> dict[str, str]:
    rows = desk.ask("SELECT coalesce(e.line_key, e.entry_key), e.status FROM recon.exception AS e")
    return dict(rows)


def test_what_opens_has_a_deadline_by_its_severity_a_reference_and_an_age_and_comes_back_as_a_new_cycle(
    desk: Desk,
) -> None:
    desk.statement(MONDAY, movement("PAID", 500))
    desk.run(MONDAY)
    (row,) = desk.exceptions()
    assert (row["class"], row["sla_due_on"], row["reference"], row["cycle"]) == ("timing", None, "PAID", 1)
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.statement(date(2026, 11, 11), opening_minor=OPENING_MINOR + 500)
    desk.run(date(2026, 11, 11))
    (row,) = desk.exceptions()
    assert (row["class"], row["severity"]) == ("genuine", "low")
    # Ten business days from the Wednesday on which it ceased to be timing.
    assert row["sla_due_on"] == date(2026, 11, 25)
    due = row["sla_due_on"]
    desk.post("late", MONDAY, 500, ref_end_to_end="PAID")
    desk.run(THURSDAY)
    assert statuses(desk)["N-PAID"] == "cleared"
    (group_id,) = [group for group, _ in desk.live_groups().values()]
    desk.enrol("ada", "analyst")
    with desk.acting("ada") as connection:
        connection.execute("SELECT recon.undo_match(%s, 'counterparty_error', 'other customer')", (group_id,))
    desk.run(THURSDAY)
    rows = {row["line_key"] or row["entry_key"]: row for row in desk.exceptions()}
    assert (rows["N-PAID"]["cycle"], rows["N-PAID"]["status"]) == (2, "open")
    assert rows["N-PAID"]["sla_due_on"] > due  # the clock starts again with the new cycle


def test_what_two_people_decided_is_resolved_and_what_came_to_nothing_is_its_owners_again(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    with desk.acting("ada") as connection:
        connection.execute("SELECT recon.work(ARRAY[%s::bigint], NULL, 'take', NULL)", (line,))
    approved(desk, proposed(desk, line, "exclude"))
    assert statuses(desk)[LINE] == "approved"
    # The bank corrects its statement before the run that would carry the decision out: the line is another one now.
    desk.statement(MONDAY, movement("PAID", 505), version="b")
    desk.run(MONDAY)
    assert statuses(desk)[LINE] == "taken"
    approved(desk, proposed(desk, line, "exclude"))
    desk.run(MONDAY)
    assert statuses(desk)[LINE] == "resolved"
    assert desk.events(line)[-1] == "resolved"


def test_what_is_carried_to_a_day_is_open_again_on_it(desk: Desk) -> None:
    line, entry = unrecognised(desk)
    with desk.acting("ada") as connection:
        connection.execute(
            "SELECT recon.work(ARRAY[%s::bigint], NULL, 'carry',"
            " jsonb_build_object('until', %s::date, 'reason', 'timing'))",
            (line, THURSDAY),
        )
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(TUESDAY)
    assert statuses(desk)[LINE] == "carried"
    desk.run(FRIDAY)
    assert statuses(desk)[LINE] == "open"
    assert entry


def test_a_line_remembers_which_exception_explained_it_from_which_day_on(desk: Desk) -> None:
    staff(desk)
    desk.statement(MONDAY, movement("PAID", 500))
    desk.run(MONDAY)
    desk.run(TUESDAY)
    rows = desk.ask(
        "SELECT x.as_of, e.line_key FROM recon.exception_line AS x JOIN recon.exception AS e USING (exception_id)"
    )
    assert rows == [(MONDAY, "N-PAID")]


def test_what_is_decided_after_a_signature_acts_from_the_next_day_and_before_one_stands_in_its_way(
    desk: Desk,
) -> None:
    line, entry = unrecognised(desk)
    desk.enrol("carol", "controller")
    with desk.acting("ada") as connection:
        number = prepare(connection, SOURCES["bank"], MONDAY).sign_off_id
    with desk.acting("carol") as connection:
        review(connection, SOURCES["bank"], number, "signed")
    late = approved(desk, proposed(desk, line, "exclude"))
    assert late.acts_from == TUESDAY  # Monday stays as it was signed
    desk.run(MONDAY)
    assert desk.ask("SELECT recon.changed_since_sign_off(%s)", number) == [[]]
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(TUESDAY)
    assert statuses(desk)[LINE] == "resolved"
    assert desk.ask("SELECT recon.changed_since_sign_off(%s)", number) == [[]]

    approved(desk, proposed(desk, entry, "exclude"))
    told = desk.ask("SELECT o.obstacle FROM recon.sign_off_obstacles('bank', %s) AS o", TUESDAY)
    assert told == ["not_carried_out"]
    desk.run(TUESDAY)
    assert desk.ask("SELECT o.obstacle FROM recon.sign_off_obstacles('bank', %s) AS o", TUESDAY) == []


def test_what_nobody_dealt_with_in_time_is_an_alert_once_on_the_day_after(desk: Desk) -> None:
    desk.statement(MONDAY, movement("BIG", 20_000_000))  # nobody booked it
    for day in (TUESDAY, date(2026, 11, 11), THURSDAY, FRIDAY):
        desk.statement(day, opening_minor=OPENING_MINOR + 20_000_000)
        desk.run(day)
    (row,) = [row for row in desk.exceptions() if row["line_key"]]
    assert row["sla_due_on"] < FRIDAY
    late = """
        SELECT a.business_date, a.severity, a.item_count, a.sums FROM recon.alert AS a WHERE a.cause_key LIKE 'late:%'
    """
    told = desk.ask(late)
    assert [one[1:] for one in told] == [(row["severity"], 1, {"EUR": 20_000_000})]
    assert told[0][0] == row["sla_due_on"] + timedelta(days=1)
    desk.run(FRIDAY)
    assert desk.ask(late) == told
