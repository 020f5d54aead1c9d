"""A source's day told as text and JSON."""

import json
from dataclasses import replace
from datetime import date

from reconciliation.evidence.bridge import AccountDay, Proof, StatedBalance, prove
from reconciliation.evidence.day import OpenExceptions, SourceDay
from reconciliation.evidence.page import bridge_table, day_as_text, day_as_value

FRIDAY = date(2026, 11, 13)
MARKUP = "<script>alert('x')</script>&amp;\"quoted\".xml"


def proof_of(asset: str) -> Proof:
    return prove(
        AccountDay(
            account=f"assets:bank:{asset.lower()}",
            asset=asset,
            business_date=FRIDAY,
            stated=StatedBalance(to_date=FRIDAY, opening_minor=0, closing_minor=1_234_567),
            external_minor=0,
            movement_minor=0,
            ledger_start_minor=0,
            ledger_minor=1_234_560,
            open_minor={("timing", "ledger"): -7},
            open_count={("timing", "ledger"): 1},
            allocation_difference_minor=0,
            matched_count=0,
            line_count=1,
        )
    )


def day_of(**changes: object) -> SourceDay:
    day = SourceDay(
        source_id="bank",
        day=FRIDAY,
        files=(
            {"file_name": MARKUP, "file_sha256": "ab", "outcome": "rejected", "refusal_code": "balance",
             "refusal_place": "<b>record</b> 7", "refusal_expected": "1", "refusal_found": "2",
             "refusal_remedy": "Ask.", "flags": None},
        ),
        matched_by_pass={"exact": 2, "open": 1},
        exceptions=(
            OpenExceptions(exception_class="genuine", kind="amount_mismatch", severity="high", asset="KWD",
                           item_count=2, amount_minor=1_500),
            OpenExceptions(exception_class="source_gap", kind="missing_file", severity="high", asset=None,
                           item_count=1, amount_minor=0),
        ),
        proofs=(proof_of("EUR"), proof_of("JPY"), proof_of("KWD")),
        alert_count=3,
    )  # fmt: skip
    return replace(day, **changes)  # type: ignore[arg-type]


def test_amounts_have_the_digits_of_their_currency() -> None:
    for page in (day_as_text(day_of()), bridge_table(day_of().proofs)):
        assert "12,345.67" in page or "12345.67" in page
        assert "1,234,567" in page or "1234567" in page
        assert "1,234.567" in page or "1234.567" in page
    assert "1.500 KWD" in day_as_text(day_of())


def test_what_people_left_out_is_a_line_of_the_bridge() -> None:
    proof = prove(
        AccountDay(
            account="assets:bank:eur",
            asset="EUR",
            business_date=FRIDAY,
            stated=StatedBalance(to_date=FRIDAY, opening_minor=0, closing_minor=1_500),
            external_minor=1_500,
            movement_minor=1_500,
            ledger_start_minor=0,
            ledger_minor=1_200,
            open_minor={},
            open_count={},
            allocation_difference_minor=0,
            matched_count=0,
            line_count=2,
            excluded_external_minor=500,
            excluded_ledger_minor=200,
            excluded_count=2,
        )
    )

    assert proof.tied_out
    day = day_of(proofs=(proof,))
    assert "genuine 0.00, excluded 3.00: tied out" in day_as_text(day)


def test_json_has_integers_of_minor_units_and_survives_a_round() -> None:
    value = day_as_value(day_of())

    text = json.dumps(value, sort_keys=True)
    assert json.loads(text) == value
    assert value["proofs"][0]["closing_minor"] == 1_234_567
    assert value["proofs"][0]["business_date"] == "2026-11-13"
    assert value["files"][0]["file_name"] == MARKUP
    assert value["tied_out"] is True
    assert json.loads(json.dumps(day_as_value(day_of()), sort_keys=True)) == value


def test_the_same_day_gives_the_same_bytes() -> None:
    first, second = day_of(), day_of()

    assert day_as_text(first) == day_as_text(second)
    assert json.dumps(day_as_value(first)).encode() == json.dumps(day_as_value(second)).encode()


def test_a_day_of_which_nothing_is_known_says_so() -> None:
    nothing = day_of(files=(), matched_by_pass={}, exceptions=(), proofs=(), alert_count=0)

    assert not nothing.tied_out
    assert "no file" in day_as_text(nothing)
    assert "nothing to match" in day_as_text(nothing)
