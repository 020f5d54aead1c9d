"""What an MT942 means: interim statements, expected entries, counts and sums."""

from datetime import date

import pytest

from reconciliation.formats import mt940, mt942
from reconciliation.formats.registry import recognise
from tests.reconciliation.formats.mt_builder import (
    ALL_WAIVED,
    interim,
    line,
    message,
    read,
    refusal,
    statements,
    wrapped,
)

CREDIT = ":61:2611161116C25,00NTRFE1//B1"
DEBIT = ":61:2611161116D10,00NTRFE2//B2"
EXPECTED = ":61:2611171117EC7,00NTRFE3"
SUMS = ":90D:1EUR10,00\n:90C:1EUR25,00"


def test_an_interim_statement_has_no_balances_and_is_known_by_its_time() -> None:
    (told,) = statements(interim(CREDIT, DEBIT, sums=SUMS), mt942)
    assert told.interim
    assert (told.opening_minor, told.closing_minor, told.sequence_no) == (None, None, None)
    assert (told.statement_ref, told.to_date) == ("2026/7/1 at 2611161330+0100", date(2026, 11, 16))
    assert (told.movement_minor, told.line_count, told.asset) == (1500, 2, "EUR")
    assert told.proofs == (
        "message 1, :90D: 1 entries of 10.00 EUR, as stated",
        "message 1, :90C: 1 entries of 25.00 EUR, as stated",
    )


def test_expected_entries_are_told_and_not_booked() -> None:
    delivery = read(interim(CREDIT, EXPECTED, ":61:2611171117ED7,00NTRFE4", sums=":90C:1EUR25,00"), mt942)
    assert delivery.lines["status"].to_pylist() == ["booked", "expected", "expected"]
    assert delivery.lines["amount_minor"].to_pylist() == [2500, 700, -700]
    (told,) = delivery.parsed.statements
    assert (told.movement_minor, told.line_count, told.pending_count) == (2500, 1, 2)


def test_sums_may_count_the_expected_entries() -> None:
    assert read(interim(CREDIT, EXPECTED, sums=":90C:2EUR32,00"), mt942).parsed.statements[0].flags == ()


def test_a_count_may_be_left_out() -> None:
    assert read(interim(CREDIT, sums=":90C:EUR25,00"), mt942).parsed.statements[0].proofs != ()


def test_reversals_count_where_they_move_the_balance() -> None:
    file = interim(":61:2611161116RC10,00NTRFE1", sums=":90D:1EUR10,00\n:90C:0EUR0,00")
    assert read(file, mt942).parsed.statements[0].movement_minor == -1000


@pytest.mark.parametrize(
    "sums", [":90D:2EUR10,00", ":90D:1EUR10,01", ":90C:1EUR2500,00", ":90C:0EUR0,00", ":90C:2EUR25,00"]
)
def test_counts_and_sums_that_differ_refuse_the_report(sums: str) -> None:
    refused = refusal(interim(CREDIT, DEBIT, sums=sums), mt942)
    assert (refused.code, refused.place) == ("control_total", f"message 1, {sums[:5]}")
    (told,) = read(interim(CREDIT, DEBIT, sums=sums), mt942, ALL_WAIVED).parsed.statements
    assert told.flags[0].startswith("waived: control_total: ")


def test_a_sum_of_other_minor_digits_is_told() -> None:
    assert "one 100th" in refusal(interim(CREDIT, sums=":90C:1EUR2500,00"), mt942).found


def test_entries_below_the_floor_limit_may_be_missing() -> None:
    file = interim(CREDIT, head=":34F:EURC5,", sums=":90C:3EUR33,00")
    assert "floor limit" in read(file, mt942).parsed.notes[0]
    assert refusal(interim(CREDIT, head=":34F:EURC5,", sums=":90C:3EUR36,00"), mt942).code == "control_total"
    assert refusal(interim(CREDIT, head=":34F:EURD5,", sums=":90C:3EUR33,00"), mt942).code == "control_total"


def test_without_sums_the_end_mark_is_demanded() -> None:
    file = interim(CREDIT)
    assert read(file, mt942).lines.num_rows == 1
    refused = refusal(file.removesuffix("-\n"), mt942)
    assert (refused.code, refused.place) == ("truncated", "message 1, byte 1, at its end")


def test_the_end_mark_is_no_part_of_the_last_text() -> None:
    assert line(interim(CREDIT, ":86:words"), mt942)["text"] == "words"
    assert line(wrapped(interim(CREDIT, ":86:words"), "942"), mt942)["text"] == "words"
    assert line(wrapped(interim(CREDIT), "942"), mt942)["ref_servicer"] == "B1"


def test_several_reports_of_a_day() -> None:
    later = interim(DEBIT, number="7/2").replace("1330", "1530")
    told = statements(interim(CREDIT) + later, mt942)
    assert [one.statement_ref for one in told] == [
        "2026/7/1 at 2611161330+0100",
        "2026/7/2 at 2611161530+0100",
    ]


def test_without_a_time_the_last_entry_tells_the_day() -> None:
    file = interim(CREDIT, ":61:2611171117C1,00NTRFE2").replace(":13D:2611161330+0100\n", "")
    (told,) = statements(file, mt942)
    assert (told.from_date, told.to_date) == (date(2026, 11, 16), date(2026, 11, 17))
    empty = interim().replace(":13D:2611161330+0100\n", "")
    assert refusal(empty, mt942).code == "structure"


def test_floor_limits_in_two_currencies_are_refused() -> None:
    refused = refusal(interim(CREDIT, head=":34F:EURD0,\n:34F:GBPC0,"), mt942)
    assert (refused.code, refused.place) == ("currency", "message 1, byte 56, :34F:")


def test_sums_in_another_currency_are_refused() -> None:
    assert refusal(interim(CREDIT, sums=":90C:1USD25,00"), mt942).code == "currency"


def test_an_entry_before_the_floor_limit_is_refused() -> None:
    assert refusal(interim(CREDIT, head=":21:NONREF"), mt942).code == "structure"


def test_each_format_reads_its_own_messages_only() -> None:
    assert (
        recognise(interim(CREDIT).encode()) == recognise(wrapped(interim(CREDIT), "942").encode()) == "mt942"
    )
    assert refusal(interim(CREDIT), mt940).code == "not_this_format"
    assert refusal(message(CREDIT), mt942).code == "not_this_format"
    refused = refusal(wrapped(interim(CREDIT), "942"), mt940)
    assert (refused.code, refused.place, refused.found) == ("not_this_format", "block 2", "MT942")
