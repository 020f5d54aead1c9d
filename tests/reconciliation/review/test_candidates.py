"""Candidates: why each is one, why no pass took it, and that its reasons are its score."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.review.candidates import Candidate, Suggestion, candidates_of, millipoints
from reconciliation.review.side_by_side import BookLine, Sides

MONDAY = date(2026, 11, 9)


def line(side: str, key: str, amount_minor: int = 10_000, **more: object) -> BookLine:
    given: dict[str, object] = {
        "account": "assets:bank:eur",
        "asset": "EUR",
        "day": MONDAY,
        "number": 1,
        "references": (),
        **more,
    }
    return BookLine(side=side, key=key, amount_minor=amount_minor, **given)  # type: ignore[arg-type]


WEIGHED = {
    "bits": {"amount": "14.024", "counterparty": "0.000", "lag": "3.170", "reference": "12.204", "rivals": "8.400",
             "presence": "0.000", "total": "29.398", "needed": "21.877", "margin": "2.100"},
    "dates": {"external": "2026-11-11", "ledger": "2026-11-09", "lag_days": 2},
    "likeness": "one slip apart",
    "why_not_automatic": "another choice is 2.100 bits behind it, and 12 are needed",
    "alternatives": [{"bits": "27.298", "external": "N-1", "ledger": "E-2", "ledger_line_no": 1}],
}  # fmt: skip


def suggestion(group_id: int, *lines: BookLine, **evidence: object) -> Suggestion:
    return Suggestion(group_id=group_id, match_pass="near_reference", evidence=evidence, lines=lines)


def words(candidate: Candidate) -> list[str]:
    return [reason.words for reason in candidate.reasons]


def test_what_the_engine_weighed_is_told_feature_by_feature_and_adds_up_to_its_bits() -> None:
    theirs, ours = line("external", "N-1"), line("ledger", "E-1")
    (found,) = candidates_of(Sides.of([theirs]), [suggestion(12, theirs, ours, **WEIGHED)], [])
    assert (found.name, found.origin, found.is_weighed) == ("match-12", "suggested", True)
    assert words(found) == [
        "same amount",
        "references are one slip apart",
        "theirs is 2 days later, which is usual here",
    ]
    assert found.score == sum(reason.points for reason in found.reasons) == 29_398
    assert found.needed == 21_877
    assert found.why_not == "another choice is 2.100 bits behind it, and 12 are needed"
    assert found.alternatives[0].words == "their line N-1 with our entry E-2 / 1"
    assert found.alternatives[0].points == 27_298


def test_bits_that_the_evidence_does_not_name_are_named_as_the_rest() -> None:
    theirs, ours = line("external", "N-1"), line("ledger", "E-1")
    evidence = {"bits": {"amount": "10.000", "total": "12.500"}}
    (found,) = candidates_of(Sides.of([theirs]), [suggestion(1, theirs, ours, **evidence)], [])
    assert words(found) == ["same amount", "what the evidence does not name"]
    assert found.score == 12_500


def test_a_line_that_lies_near_is_a_candidate_with_what_speaks_against_it() -> None:
    theirs = line("external", "N-1", references=(("ref_end_to_end", "A-17"),))
    other = line("ledger", "E-1", references=(("ref_end_to_end", "B-99"),))
    (found,) = candidates_of(Sides.of([theirs]), [], [other])
    assert found.origin == "near"
    assert found.why_not == "the end to end references contradict each other: A-17 and B-99"
    assert found.score == 10_000 - 12_000 + 3_000


def test_lines_that_fit_equally_well_say_so() -> None:
    theirs = line("external", "N-1")
    found = candidates_of(Sides.of([theirs]), [], [line("ledger", "E-1"), line("ledger", "E-2")])
    assert [one.name for one in found] == ["line-ledger:E-1/1", "line-ledger:E-2/1"]
    assert all(one.why_not.startswith("2 open lines fit equally well") for one in found)


def test_the_lines_of_a_mismatch_are_a_candidate_themselves() -> None:
    own = Sides.of([line("external", "N-1", 9_963), line("ledger", "E-1", 10_000)])
    (found,) = candidates_of(own, [], [])
    assert found.name == "own"
    assert found.sides.difference_minor == -37
    assert found.why_not.startswith("the sides differ")


def test_what_the_engine_suggests_stands_before_what_lies_near_and_comes_once() -> None:
    theirs, ours, near = line("external", "N-1"), line("ledger", "E-1"), line("ledger", "E-0")
    found = candidates_of(Sides.of([theirs]), [suggestion(5, theirs, ours, **WEIGHED)], [near, ours])
    assert [one.name for one in found] == ["match-5", "line-ledger:E-0/1"]


def test_one_case_without_anything_near_has_no_candidate() -> None:
    assert candidates_of(Sides.of([line("external", "N-1")]), [], []) == ()


@pytest.mark.parametrize(
    ("text", "points"),
    [("14.024", 14_024), ("-10.000", -10_000), ("0", 0), ("NaN", None), (None, None), ("1.2345", None)],
)
def test_bits_are_read_exactly_or_not_at_all(text: str | None, points: int | None) -> None:
    assert millipoints(text) == points


BOOK_LINES = st.builds(
    line,
    st.sampled_from(["external", "ledger"]),
    st.sampled_from([f"K-{number}" for number in range(6)]),
    st.sampled_from([10_000, 9_963, -10_000, 5_000]),
    day=st.integers(0, 9).map(lambda days: MONDAY + timedelta(days=days)),
    counterparty=st.sampled_from([None, "J SMITH", "John Smith"]),
    references=st.sampled_from([(), (("ref_end_to_end", "A-17"),), (("ref_payout", "A-17-2026"),)]),
)


@settings(max_examples=60)
@given(
    own=st.lists(BOOK_LINES, min_size=1, max_size=3), near=st.lists(BOOK_LINES, max_size=6), seed=st.randoms()
)
def test_the_reasons_are_the_score_and_no_order_matters(
    own: Sequence[BookLine], near: list[BookLine], seed: object
) -> None:
    own, near = (list({one.place: one for one in lines}.values()) for lines in (own, near))
    found = candidates_of(Sides.of(own), [], near)
    seed.shuffle(near)  # type: ignore[attr-defined]
    assert candidates_of(Sides.of(reversed(own)), [], near) == found
    for candidate in found:
        assert candidate.score == sum(reason.points for reason in candidate.reasons)
        assert candidate.why_not


def test_a_pair_stands_side_by_side_and_what_differs_is_marked() -> None:
    theirs = line("external", "N-1", 9_963, day=MONDAY + timedelta(days=2), counterparty="J. Smith",
                  references=(("ref_end_to_end", "PO-7"),))  # fmt: skip
    ours = line("ledger", "E-1", 10_000, counterparty="J SMITH", references=(("ref_payout", "PO-7"),))
    sides = Sides.of([ours, theirs])
    told = {field.label: (field.state, field.note) for field in sides.fields}
    assert told["Amount"] == ("differs", "")
    assert next(field for field in sides.fields if field.label == "Amount").apart_minor == -37
    assert told["Date"] == ("differs", "2 days later than ours")
    assert told["End to end"] == ("same", "as our payout reference")
    assert told["Payout"] == ("same", "as their end to end reference")
    assert told["Counterparty"] == ("same", "written otherwise")
    assert (sides.difference_minor, sides.asset) == (-37, "EUR")


def test_lines_make_a_match_when_they_tie_out_or_a_role_owns_the_difference() -> None:
    theirs, ours = line("external", "N-1", 9_963), line("ledger", "E-1", 10_000)
    fee = line("ledger", "F-1", -37)
    assert Sides.of([theirs]).refusal == "a match needs lines of both sides"
    assert "no line owns the difference" in (Sides.of([theirs, ours]).refusal or "")
    assert Sides.of([theirs, ours, fee]).refusal is None
    assert Sides.of([theirs, replace(ours, role="fee")]).refusal is None
    assert Sides.of([theirs, replace(ours, asset="USD")]).refusal == "a match is of one account and asset"
    assert "was withdrawn" in (Sides.of([theirs, ours, replace(fee, problem="was withdrawn")]).refusal or "")
