"""VSS reports: what the scheme pays or takes, once, whatever number of summaries repeat it."""

from datetime import date

import pytest

from reconciliation.errors import RefusedFile
from tests.reconciliation.formats.visa_builder import (
    JPY,
    Transaction,
    detail,
    file_of,
    lines_of,
    parsed,
    record,
    sale,
    summary,
    whole,
)

REPORT = [
    summary("I", "1", 100_000, 0, count=3),
    summary("I", "2", 0, 20_000, count=2),
    summary("I", "9", 100_000, 20_000, count=5),
    summary("F", "1", 0, 1_200),
    summary("F", "9", 0, 1_200),
    summary("C", "1", 100, 400),
    summary("C", "9", 100, 400),
    summary("T", "1", 100_100, 1_600),
    summary("T", "2", 0, 20_000),
    summary("T", "9", 100_100, 21_600, count=2),
]


def replaced(number: int, row: Transaction) -> list[Transaction]:
    return [row if place == number else other for place, other in enumerate(REPORT)]


def test_a_report_gives_its_fees_and_one_settlement_that_the_bank_will_answer() -> None:
    delivery = whole(file_of(*REPORT))
    rows = delivery.lines.to_pylist()
    assert [(row["kind"], row["amount_minor"], row["type_code"], row["text"]) for row in rows] == [
        ("fee", -1_200, "VSS-110-F", "reimbursement fees"),
        ("fee", -300, "VSS-110-C", "Visa charges"),
        ("settlement", -78_500, "VSS-110-T", "total"),
    ]
    assert {row["settlement_date"] for row in rows} == {date(2026, 11, 17)}
    assert {row["booking_date"] for row in rows} == {date(2026, 11, 16)}
    reference = "VSS/1000000001/001/EUR/2026-11-16"
    assert [row["native_id"] for row in rows] == [f"{reference}/F", f"{reference}/C", f"{reference}/T"]
    (statement,) = delivery.parsed.statements
    assert (statement.statement_ref, statement.account, statement.asset) == (reference, "1000000001", "EUR")
    assert (statement.movement_minor, statement.line_count) == (-80_000, 3)
    assert statement.proofs == ("10 rows of VSS-110: net = credits - debits, 7 totals of parts",)


def test_sales_of_a_file_with_its_report_leave_nothing_at_the_scheme() -> None:
    rows = lines_of(file_of(sale(100_000), sale(20_000, code="06"), *REPORT))
    assert sum(row["amount_minor"] for row in rows) == 0


def test_details_prove_the_summary_at_the_level_that_sums_to_it() -> None:
    details = [
        detail("120", 60_000, 0, level="01"),
        detail("120", 40_000, 20_000, level="01"),
        detail("120", 100_000, 20_000, level="09"),
        detail("120", 80_000, 0, level="09", indicator="N"),
        detail("130", 0, 700),
        detail("130", 0, 500),
        detail("140", 100, 400, level="  "),
    ]
    (statement,) = parsed(file_of(*REPORT, *details)).statements
    assert statement.line_count == 3, "details make no lines"
    assert statement.proofs[1:] == (
        "VSS-120: 2 rows of level 01 sum to the interchange value 80000",
        "VSS-130: 2 rows of level 01 sum to the reimbursement fees -1200",
        "VSS-140: 1 rows of level blank sum to the Visa charges -300",
    )


def test_details_that_come_to_something_else_refuse_the_file() -> None:
    data = file_of(*REPORT, detail("130", 0, 700), detail("130", 0, 5_000))
    with pytest.raises(RefusedFile) as caught:
        parsed(data)
    assert caught.value.code == "control_total"
    assert caught.value.place == "VSS-130 against VSS-110 of 1000000001, 001 EUR 2026-11-16"
    assert caught.value.expected == "a level whose rows sum to the reimbursement fees -1200"
    assert caught.value.found == "at best -5700: a difference of -45.00 EUR"
    (statement,) = parsed(data, waived=frozenset({"control_total"})).statements
    assert statement.flags[0].startswith("waived: control_total: VSS-130")


@pytest.mark.parametrize(
    ("number", "row", "place"),
    [
        (2, summary("I", "9", 100_000, 20_000, count=6), "interchange value, count"),
        (2, summary("I", "9", 100_001, 20_001, count=5), "interchange value, credit"),
        (3, summary("F", "1", 0, 1_300), "reimbursement fees, debit"),
        (3, summary("F", "1", 0, 1_200, net=-1_300), "record 5 (VSS-110), net"),
        (3, summary("F", "1", 0, 1_200, side="CR"), "record 5 (VSS-110), net"),
        (9, summary("T", "9", 100_100, 21_500, count=2), "total, debit"),
    ],
)
def test_a_report_that_contradicts_itself_refuses_the_file(number: int, row: Transaction, place: str) -> None:
    with pytest.raises(RefusedFile) as caught:
        parsed(file_of(*replaced(number, row)))
    assert caught.value.code == "control_total"
    assert place in caught.value.place


def test_a_total_that_is_not_the_sum_of_its_types_refuses_the_file() -> None:
    rows = [summary("I", "9", 500, 0), summary("F", "9", 0, 20), summary("T", "9", 500, 30)]
    with pytest.raises(RefusedFile, match="total of mode 9: expected 480, as its parts give, found 470"):
        parsed(file_of(*rows))


def test_without_totals_the_parts_are_added_and_without_parts_the_total_stands() -> None:
    (line,) = lines_of(file_of(summary("T", "1", 500, 0), summary("T", "2", 0, 700)))
    assert (line["kind"], line["amount_minor"]) == ("settlement", 200)
    lines = lines_of(file_of(summary("I", "9", 500, 0), summary("F", "9", 0, 20)))
    assert [line["amount_minor"] for line in lines] == [-20, -480]
    assert lines_of(file_of(summary("T", "9", 700, 700))) == []


def test_an_entity_that_rolls_up_to_a_reported_one_is_a_part_of_it() -> None:
    part = ("1000000002", "1000000001", "1000000001")
    other = ("1000000005", "1000000009", "1000000001")
    rows = [
        summary("T", "9", 900, 0),
        summary("T", "9", 400, 0, entities=part),
        summary("T", "9", 70, 0, entities=other),
        summary("T", "9", 5_000, 0, currency=JPY),
    ]
    delivery = whole(file_of(*rows))
    assert [(row["asset"], row["amount_minor"]) for row in delivery.lines.to_pylist()] == [
        ("EUR", -900),
        ("EUR", -70),
        ("JPY", -5_000),
    ]
    assert delivery.parsed.notes == ("1 TC 46 of entities that roll up to another one: no lines",)
    assert [statement.statement_ref for statement in delivery.parsed.statements] == [
        "VSS/1000000001/001/EUR/2026-11-16",
        "VSS/1000000001/001/EUR/2026-11-16/1000000005",
        "VSS/1000000001/001/JPY/2026-11-16",
    ]


def test_rows_without_data_and_other_reports_make_no_lines() -> None:
    other = [record((1, "4600"), (50, "978"), (59, "V"), (60, "2"), (61, "115"))]
    foreign = [record((1, "4600"), (59, "X"))]
    rows = [
        summary("T", "9", 0, 0, no_data="Y"),
        detail("120", 0, 0, no_data="Y"),
        other,
        foreign,
        detail("130", 5, 0, currency=JPY),
    ]
    delivery = parsed(file_of(*rows))
    assert delivery.statements == ()
    assert delivery.notes == (
        "1 TC 46 VSS-115: no lines",
        "1 TC 46 details without VSS-110: no lines",
        "1 TC 46 of another report group: no lines",
    )


@pytest.mark.parametrize(
    ("row", "code", "place"),
    [
        (summary("X", "9", 1, 0), "structure", "amount type and business mode"),
        (summary("T", "7", 1, 0), "structure", "amount type and business mode"),
        (summary("T", "9", 1, 0, side="XX"), "amount", "sign of the net"),
        (summary("T", "9", 1, 0, side="  "), "amount", "sign of the net"),
        (summary("T", "9", 1, 0, currency="000"), "currency", "settlement currency"),
        (summary("T", "9", 1, 0, day="2026367"), "date", "settlement date"),
        (summary("T", "9", 1, 0, funds_day="XX26320"), "date", "funds transfer date"),
        (detail("120", 1, 0)[:1], "structure", "record 2 (VSS-120)"),
        (detail("120", 1, 0, sides=("XX", "DB")), "amount", "side of credits"),
    ],
)
def test_a_row_that_cannot_be_read_refuses_the_file(row: Transaction, code: str, place: str) -> None:
    with pytest.raises(RefusedFile) as caught:
        parsed(file_of(row))
    assert caught.value.code == code
    assert place in caught.value.place


def test_a_row_or_a_report_twice_refuses_the_file() -> None:
    with pytest.raises(RefusedFile) as caught:
        parsed(file_of(summary("T", "9", 1, 0), summary("T", "9", 1, 0)))
    assert caught.value.code == "conflict"
