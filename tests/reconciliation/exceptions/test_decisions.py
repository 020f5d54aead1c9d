"""What people decided is read by content and carried out by the next run, from its day on and never before."""

from datetime import date

from reconciliation.exceptions.decisions import Decisions, read_decisions
from reconciliation.matching.context import ForcedMember
from tests.reconciliation.daily.desk import (
    FRIDAY,
    MONDAY,
    OPENING_MINOR,
    TUESDAY,
    WEDNESDAY,
    Desk,
    movement,
)
from tests.reconciliation.exceptions.people import ENTRY, LINE, approved, proposed, undone, unrecognised


def read(desk: Desk, *, until: date = FRIDAY) -> Decisions:
    with desk.session("tieout_matcher") as connection:
        return read_decisions(connection, "bank", until=until)


def test_nothing_binds_before_two_people_agreed(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    proposed(desk, line, "force_match", f"fee={ENTRY}")
    assert read(desk) == Decisions()


def test_a_forced_match_is_read_with_its_people_from_its_day_on(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    approved(desk, proposed(desk, line, "force_match", f"fee={ENTRY}"), acts_from=TUESDAY)
    assert read(desk, until=MONDAY) == Decisions()
    (forced,) = read(desk, until=TUESDAY).forced
    assert forced.as_of == TUESDAY
    assert forced.group.decided_by == ("ada", "bob")
    assert forced.group.members == (
        ForcedMember(side="external", key=LINE, number=1),
        ForcedMember(side="ledger", key="sale", number=1, role="fee"),
    )


def test_a_forced_match_is_made_by_the_next_run_and_clears_its_exceptions(desk: Desk) -> None:
    line, entry = unrecognised(desk)
    approved(desk, proposed(desk, line, "force_match", f"fee={ENTRY}"))
    desk.run(MONDAY)
    assert desk.exceptions() == []
    assert [members for _, members in desk.live_groups().values()] == [(LINE, "sale")]
    assert desk.ask("SELECT DISTINCT m.match_pass FROM recon.match_v1 AS m") == ["decision"]
    assert (desk.events(line)[-1], desk.events(entry)[-1]) == ("resolved", "cleared")
    assert desk.run(MONDAY).unchanged


def test_of_what_people_say_about_the_same_lines_the_last_word_holds(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    for times in (1, 2):  # forced, undone, forced, undone
        approved(desk, proposed(desk, line, "force_match", f"fee={ENTRY}"))
        assert len(read(desk).forced) == 1
        desk.run(MONDAY)
        ((key, (group_id, _)),) = desk.live_groups().items()
        undone(desk, group_id)
        assert read(desk) == Decisions(rejected=frozenset({key}))
        desk.run(MONDAY)
        assert desk.live_groups() == {}
        assert len(desk.ask("SELECT x.decision_id FROM recon.decision AS x")) == 2 * times


def test_an_excluded_line_leaves_the_exceptions_and_stays_in_the_bridge(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    approved(desk, proposed(desk, line, "exclude"))
    (item,) = read(desk).excluded
    assert (item.as_of, item.side, item.key, item.number) == (MONDAY, "external", LINE, 1)
    desk.run(MONDAY)
    assert {row["side"] for row in desk.exceptions()} == {"ledger"}
    assert desk.ask("SELECT l.status FROM recon.line_v1 AS l") == ["excluded"]
    proofs = desk.ask(
        "SELECT p.excluded_external_minor, p.excluded_ledger_minor, p.unexplained_minor"
        " FROM recon.balance_proof_v1 AS p"
    )
    assert proofs == [(500, 0, 0)]


def test_what_was_said_of_a_line_is_not_said_of_its_correction(desk: Desk) -> None:
    line, entry = unrecognised(desk)
    approved(desk, proposed(desk, line, "not_duplicate"))
    approved(desk, proposed(desk, entry, "not_duplicate"))
    names = {item.name for item in read(desk).not_duplicate}
    assert ("external", LINE) in names
    assert len(names) == 2
    desk.statement(MONDAY, movement("PAID", 501), version="b")
    assert {item.name for item in read(desk).not_duplicate} == {name for name in names if name[0] == "ledger"}


def test_a_decision_of_today_leaves_the_days_before_as_they_were_told(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    for day in (TUESDAY, WEDNESDAY):
        desk.statement(day, opening_minor=OPENING_MINOR + 500)
        desk.run(day)
    approved(desk, proposed(desk, line, "exclude"))
    desk.run(WEDNESDAY)
    query = "SELECT p.business_date, p.excluded_external_minor FROM recon.balance_proof_v1 AS p ORDER BY 1"
    assert desk.ask(query) == [(MONDAY, 0), (TUESDAY, 0), (WEDNESDAY, 500)]
