"""What people make of suggestions is counted once and by its last word; rules are only ever proposed to change."""

from typing import Any

import pytest

from reconciliation.exceptions.feedback import SuggestionCount, proposed_changes, read_feedback
from reconciliation.exceptions.work import undo_match
from reconciliation.match_rules import MatchRules
from tests.reconciliation.daily.desk import MONDAY, SOURCES, Desk, movement
from tests.reconciliation.exceptions.people import approved, proposed, staff

RULES = SOURCES["bank"].match
EVIDENCE = """
{"bits": {"total": "8.100", "needed": "11.000"}, "references": [{"external": "ref_end_to_end", "ledger": "ref_payout"}]}
"""
# As a run leaves a suggestion: a line and an entry of the same number, nothing of it live.
SUGGESTED = """
WITH made AS (
    INSERT INTO recon.match_group (group_key, source_id, leg, match_pass, as_of, asset, external_minor, ledger_minor,
        difference_minor, evidence, run_id, state)
    SELECT recon.content_key('force_match',
            ARRAY[format('external:3:L-%%s:1', %(n)s), format('ledger:3:E-%%s:1', %(n)s)]),
        'bank', 'ledger', 'near_reference', %(day)s, 'EUR', 500, 500, 0, %(evidence)s, max(r.run_id), 'suggested'
    FROM recon.run AS r
    RETURNING group_id
)
INSERT INTO recon.match_member (group_id, member_no, leg, side, line_id, entry_id, line_no, entry_key, business_date,
    account, asset, allocated_minor, role, live)
SELECT made.group_id, 1, 'ledger', 'external', l.line_id, NULL::bigint, NULL::integer, NULL, l.booking_date,
    l.account, 'EUR', 500, 'principal', false
FROM made, recon.line AS l WHERE l.line_key = format('L-%%s', %(n)s)
UNION ALL
SELECT made.group_id, 2, 'ledger', 'ledger', NULL, j.entry_id, j.line_no, j.entry_key, %(day)s,
    j.account, 'EUR', 500, 'principal', false
FROM made, ledger.journal_line_v1 AS j WHERE j.entry_key = format('E-%%s', %(n)s) AND j.line_no = 1
RETURNING group_id
"""


def suggested(desk: Desk, number: int) -> int:
    """A suggestion that brings line and entry of a number together."""
    with desk.session(None) as connection:
        row = connection.execute(SUGGESTED, {"n": number, "day": MONDAY, "evidence": EVIDENCE}).fetchone()
    assert row is not None
    return int(row[0])


def test_a_suggestion_counts_once_by_the_last_word_of_people(desk: Desk) -> None:
    staff(desk)
    for number in range(1, 6):
        desk.post(f"E-{number}", MONDAY, 500, ref_end_to_end=f"OURS-{number}")
    desk.statement(MONDAY, *(movement(f"THEIRS-{n}", 500, native_id=f"L-{n}") for n in range(1, 6)))
    desk.run(MONDAY)
    case = {row["line_key"]: row["exception_id"] for row in desk.exceptions() if row["line_key"]}
    assert len(case) == 5
    groups = {number: suggested(desk, number) for number in range(1, 6)}
    suggested(desk, 1)  # it comes again, and is still one

    approved(desk, proposed(desk, case["L-1"], "force_match", suggestion=groups[1]))
    altered = proposed(desk, case["L-2"], "force_match", "fee=E-5", suggestion=groups[2])
    approved(desk, altered)
    with desk.acting("carl") as connection:
        undo_match(connection, groups[3], reason="other", note="another customer")

    with desk.session("tieout_auditor") as connection:
        (found,) = read_feedback(connection, "bank")
    assert found == SuggestionCount(
        match_pass="near_reference",
        rule="ref_end_to_end = ref_payout",
        held_by="confirm_bits",
        accepted=1,
        altered=1,
        turned_down=1,
        waiting=2,
        gone=0,
    )
    assert (found.verdicts, found.accepted_ppm) == (3, 333_333)


def counted(**words: Any) -> SuggestionCount:
    nothing: dict[str, Any] = {
        "match_pass": "near_reference",
        "rule": "r",
        "held_by": "confirm_bits",
        "accepted": 0,
        "altered": 0,
        "turned_down": 0,
        "waiting": 9,
        "gone": 9,
    }
    return SuggestionCount(**(nothing | words))


@pytest.mark.parametrize(
    ("counts", "changes"),
    [
        ([counted(accepted=19)], []),  # too few to say anything
        ([counted(accepted=20)], [("confirm_bits", 10, 9)]),
        ([counted(accepted=12), counted(accepted=8, match_pass="amount_and_lag")], [("confirm_bits", 10, 9)]),
        ([counted(accepted=49, altered=1)], []),  # 98 % and not more
        ([counted(accepted=99, turned_down=1)], [("confirm_bits", 10, 9)]),
        ([counted(accepted=18, turned_down=2)], []),  # 10 % and not more
        ([counted(accepted=17, turned_down=3)], [("confirm_bits", 10, 11)]),
        ([counted(turned_down=30, held_by="margin_bits")], [("margin_bits", 3, 4)]),
        ([counted(turned_down=30, held_by="other")], []),
        (
            [counted(accepted=30), counted(turned_down=30, held_by="margin_bits")],
            [("confirm_bits", 10, 9), ("margin_bits", 3, 4)],
        ),
    ],
)
def test_a_change_is_proposed_one_bit_at_a_time_from_twenty_verdicts_on(
    counts: list[SuggestionCount], changes: list[tuple[str, int, int]]
) -> None:
    found = proposed_changes(counts, RULES)
    assert [(one.setting, one.now, one.proposed) for one in found] == changes
    for one in found:
        tried = one.applied_to(SOURCES["bank"])
        assert getattr(tried.match, one.setting) == one.proposed
        assert SOURCES["bank"].match == RULES


def test_a_setting_stays_within_what_rules_may_say() -> None:
    bounds = MatchRules(references=RULES.references, confirm_bits=0, margin_bits=60)
    held = [counted(accepted=40), counted(turned_down=40, held_by="margin_bits")]
    assert proposed_changes(held, bounds) == ()
