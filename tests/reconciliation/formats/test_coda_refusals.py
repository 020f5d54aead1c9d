"""CODA: what refuses a file, and that nothing else than a refusal comes of damage."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import SourcesError
from reconciliation.formats import coda
from reconciliation.formats.canonical import ReadOptions
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.coda_builder import Item, good_file, statement
from tests.reconciliation.formats.fixed_width_builder import (
    PROOFS,
    changed,
    content_of,
    edited,
    outcome_of,
    read_rows,
    refusal_of,
)

GOOD = good_file()  # rows: 0, 1, 2.1, 2.2, 2.3, 2.1, 8, 9
BATCH = statement(
    [
        Item(
            amount=1_000_000,
            code="10550000",
            details=[
                Item(amount=250_000, code="50550000", customer_ref="E2E-1", information=[("1", "001CLIENT")]),
                Item(amount=750_000, code="50550000", structured="127161126110BE68ZZZ0123456789"),
            ],
        ),
        Item(amount=-105_000, code="34101000", details=[Item(amount=-105_000, code="84101100")]),
    ]
)


@pytest.mark.parametrize(
    ("row_no", "start", "text", "code", "place"),
    [
        (1, 1, "7", "not_this_format", "line 1, record code (1)"),
        (1, 15, "06", "not_this_format", "line 1, record 0, application code (15-16)"),
        (1, 128, "1", "structure", "line 1, record 0, version code (128)"),
        (1, 6, "321126", "date", "line 1, record 0, creation date (6-11)"),
        (1, 1, "1", "structure", "line 1, record 1"),
        (1, 1, "2", "structure", "line 1, record 2.0"),
        (1, 1, "3", "structure", "line 1, record 3.0"),
        (1, 1, "4", "structure", "line 1, record 4"),
        (1, 1, "8", "structure", "line 1, record 8"),
        (1, 1, "9", "structure", "line 1, record 9"),
        (2, 2, "4", "structure", "line 2, record 1, account structure (2)"),
        (2, 6, " " * 34, "structure", "line 2, record 1, account (6-42)"),
        (2, 40, "EUX", "currency", "line 2, record 1, currency of the account"),
        (2, 40, "   ", "currency", "line 2, record 1, currency of the account"),
        (2, 43, "2", "amount", "line 2, record 1, old balance (43-58)"),
        (2, 43, "1", "balance", "line 8, record 8, new balance (42-57)"),
        (2, 59, "000000", "date", "line 2, record 1, date (59-64)"),
        (2, 59, "171126", "sequence", "line 7, record 8, date (58-63)"),
        (2, 126, "0X7", "structure", "line 2, record 1, sequence number (126-128)"),
        (2, 1, "0", "truncated", "line 2, record 0"),
        (3, 32, "1", "control_total", "line 8, record 9, sum of debits (23-37)"),
        (3, 32, "+", "amount", "line 3, record 2.1, amount (32-47)"),
        (3, 33, "000000000025510", "control_total", "line 8, record 9, sum of credits (38-52)"),
        (3, 33, "000000000025501", "amount", "line 3, record 2.1, amount (32-47)"),
        (3, 33, "0000000001E3550", "amount", "line 3, record 2.1, amount (32-47)"),
        (3, 33, "           2550", "amount", "line 3, record 2.1, amount (32-47)"),
        (3, 48, "311126", "date", "line 3, record 2.1, value date (48-53)"),
        (3, 116, "000000", "date", "line 3, record 2.1, entry date (116-121)"),
        (3, 3, "0002", "sequence", "line 3, record 2.1, sequence number (3-6)"),
        (3, 3, "00X1", "structure", "line 3, record 2.1, sequence number (3-6)"),
        (3, 7, "0001", "structure", "line 3, record 2.1, sequence and detail number (3-10)"),
        (6, 3, "0001", "sequence", "line 6, record 2.1, sequence number (3-6)"),
        (6, 7, "000X", "structure", "line 6, record 2.1, sequence and detail number (3-10)"),
        (4, 3, "0002", "structure", "line 4, record 2.2 (1-10)"),
        (4, 2, "4", "structure", "line 4, record 2, article code (2)"),
        (5, 2, "2", "structure", "line 5, record 2, article code (2)"),
        (7, 5, "BE68539007547035", "conflict", "line 7, record 8, account (5-41)"),
        (7, 39, "USD", "currency", "line 7, record 8, currency of the account"),
        (7, 43, "000000000113480", "balance", "line 8, record 8, new balance (42-57)"),
        (7, 58, "161326", "date", "line 7, record 8, date (58-63)"),
        (7, 1, "3", "structure", "line 7, record 3.0 (1-6)"),
        (7, 1, "5", "structure", "line 7, record code (1)"),
        (8, 17, "000007", "control_total", "line 8, record 9, number of records (17-22)"),
        (8, 17, "00000X", "structure", "line 8, record 9, number of records (17-22)"),
        (8, 23, "000000000012020", "control_total", "line 8, record 9, sum of debits (23-37)"),
        (8, 38, "000000000000000", "control_total", "line 8, record 9, sum of credits (38-52)"),
    ],
)
def test_a_field_that_was_changed_refuses_the_file(
    row_no: int, start: int, text: str, code: str, place: str
) -> None:
    refusal = refusal_of(coda, changed(GOOD, row_no, start, text))
    assert (refusal.code, refusal.place) == (code, place)


@pytest.mark.parametrize("rows", [GOOD, BATCH])
def test_a_file_that_is_cut_anywhere_is_refused(rows: list[str]) -> None:
    content = content_of(rows).rstrip()
    for end in range(len(content)):
        assert refusal_of(coda, content[:end]).code in {"truncated", "not_this_format"}, end


@pytest.mark.parametrize("rows", [GOOD, BATCH])
def test_a_record_that_is_missing_or_doubled_refuses_the_file(rows: list[str]) -> None:
    codes = {"structure", "control_total", "truncated", "sequence", "not_this_format"}
    for number in range(len(rows)):
        assert refusal_of(coda, rows[:number] + rows[number + 1 :]).code in codes, number
        assert refusal_of(coda, rows[: number + 1] + rows[number:]).code in codes, number


def test_movements_out_of_order_refuse_the_file() -> None:
    swapped = [*GOOD[:2], GOOD[5], *GOOD[2:5], *GOOD[6:]]
    refusal = refusal_of(coda, swapped)
    assert (refusal.code, refusal.expected, refusal.found) == ("sequence", "0001", "0002")


def test_statements_out_of_order_or_with_one_missing_refuse_the_file() -> None:
    monday = statement([Item(amount=1_000)], opening=0)
    tuesday = statement([], opening=1_000)
    refusal = refusal_of(coda, [*tuesday, *monday])
    assert (refusal.code, refusal.place) == ("sequence", "line 6, record 1, old balance (43-58)")
    assert refusal.expected == "1.00 EUR, which the statement before closed with on 2026-11-16"


def test_a_movement_after_the_new_balance_or_an_information_record_alone_refuses_the_file() -> None:
    late = [*GOOD[:5], GOOD[6], GOOD[5], GOOD[7]]
    assert refusal_of(coda, late).place == "line 7, record 2.1"
    alone = [*GOOD[:2], "3100010001".ljust(128, "0"), *GOOD[2:]]
    assert refusal_of(coda, alone).place == "line 3, record 3.1 (1-6)"
    continued = [*GOOD[:5], "3200010001".ljust(128, "0"), *GOOD[5:]]
    assert refusal_of(coda, continued).place == "line 6, record 3.2"


def test_movements_without_a_new_balance_are_a_file_cut_short() -> None:
    refusal = refusal_of(coda, statement([Item(amount=10)], closing_record=False))
    assert (refusal.code, refusal.place) == ("truncated", "line 4, record 9")


def test_a_total_that_is_off_by_a_power_of_ten_says_so() -> None:
    refusal = refusal_of(coda, changed(GOOD, 3, 33, "000000002550000"))
    assert "it is 100 times what was expected, which points to wrong minor digits" in refusal.found


def test_waived_proofs_are_flagged_and_a_balance_that_failed_is_not_stated() -> None:
    rows = changed(changed(changed(GOOD, 7, 43, "000000000999990"), 8, 17, "000009"), 6, 3, "0003")
    (one,) = read_rows(coda, rows, waived=PROOFS).parsed.statements
    assert (one.opening_minor, one.closing_minor, one.movement_minor) == (None, None, 1_349)
    assert [flag.split(":")[1].strip() for flag in one.flags] == ["sequence", "control_total", "balance"]
    assert len(one.proofs) == 2
    assert refusal_of(coda, rows, waived=frozenset({"balance"})).code == "sequence"


def test_many_details_that_do_not_add_up_refuse_the_file_once_some_have_left() -> None:
    details = [Item(amount=10, code="50550000")] * 10_001
    rows = statement([Item(amount=100_000, code="10550000", details=details)])
    refusal = refusal_of(coda, rows)
    assert (refusal.code, refusal.place) == ("structure", "line 3, record 2.1, sequence number 0001")


def test_binary_endless_and_overlong_files_are_refused() -> None:
    assert refusal_of(coda, changed(GOOD, 3, 70, "\0")).code == "unsafe"
    assert refusal_of(coda, b"0" * 200_000).code == "limit"
    assert refusal_of(coda, [GOOD[0], GOOD[1], GOOD[2] + "X", *GOOD[3:]]).code == "structure"
    assert refusal_of(coda, content_of(GOOD).replace(b"CLIENT", b"CLI\x81NT")).code == "structure"
    assert refusal_of(coda, b"").code == "not_this_format"
    part = Item(amount=0, code="84101100").rows("00010001")[0]
    assert refusal_of(coda, [*GOOD[:5], *[part] * 10_001, *GOOD[5:]]).code == "limit"
    information = "3100010001".ljust(125) + "0 0"
    assert refusal_of(coda, [*GOOD[:5], *[information] * 10_001, *GOOD[5:]]).code == "limit"


def test_no_refusal_shows_a_card_number() -> None:
    refusal = refusal_of(coda, changed(GOOD, 2, 40, "EUX"))
    assert refusal.found == "'EUX'"
    rows = changed(GOOD, 7, 5, "4111111111111111")
    refusal = refusal_of(coda, rows)
    assert (refusal.code, refusal.found) == ("conflict", "'411111******1111'")


def test_a_setting_is_a_problem_of_the_sources() -> None:
    options = ReadOptions(card_tokens=OPTIONS.card_tokens, settings={"version": "2"})
    with pytest.raises(SourcesError, match="version is not known"):
        coda.read(BytesIO(), options, print)


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(content: bytes) -> None:
    assert not hasattr(outcome_of(coda, content), "lines")


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_random_edits_give_a_delivery_or_a_refusal(edits: list[tuple[int, int]]) -> None:
    outcome_of(coda, edited(content_of(GOOD), edits))
    outcome_of(coda, edited(content_of(BATCH), edits))
