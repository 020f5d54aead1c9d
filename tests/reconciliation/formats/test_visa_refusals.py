"""What of a Visa file is refused, for which reason, and that no card number shows in any of it."""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from tests.reconciliation.formats.visa_builder import (
    CARD,
    CARDS,
    OTHER_CARD,
    encoded,
    fee_collection,
    file_of,
    header,
    lines_of,
    logical_file,
    parsed,
    sale,
    trailer,
    whole,
)

MERCHANT = ("000000", f"CALLED ABOUT {OTHER_CARD}", "MERIDIAN0000001", "TERM0001")
PAYMENT = ("123456789012345", f"{1_200_000:015d}", "D", "0" * 8, "0" * 8)
GOOD = logical_file([sale(10_000, merchant=MERCHANT, payment=PAYMENT), sale(2_500, code="06")])


def refusal_of(data: bytes, **options: object) -> RefusedFile:
    """Why the data is refused, after proof that nothing in it, cause and traceback included, shows a card number."""
    with pytest.raises(RefusedFile) as caught:
        parsed(data, **options)
    refusal = caught.value
    texts = [str(refusal), repr(refusal), "".join(traceback.format_exception(refusal))]
    assert not any(card in text for card in CARDS for text in texts), "a card number is shown"
    assert all((refusal.place, refusal.expected, refusal.found))
    assert refusal.remedy.endswith(".")
    return refusal


def changed(number: int, start: int, text: str) -> bytes:
    """The good file with a text at a position of one of its records."""
    records = list(GOOD)
    line = records[number - 1]
    records[number - 1] = line[: start - 1] + text + line[start - 1 + len(text) :]
    return encoded(records)


def without(*numbers: int) -> bytes:
    return encoded([line for number, line in enumerate(GOOD, start=1) if number not in numbers])


CASES = [
    ("an empty file", b"", "truncated", "record 2"),
    ("a header alone", encoded(GOOD[:1]), "truncated", "record 2"),
    ("another format", b"<?xml version='1.0'?>" * 30, "not_this_format", "record 1"),
    ("trimmed lines", b"\n".join(line.rstrip().encode() for line in GOOD), "not_this_format", "record 1"),
    ("one line trimmed", encoded([*GOOD[:3], GOOD[3].rstrip(), *GOOD[4:]]), "structure", "record 4"),
    ("one line longer", encoded([*GOOD[:3], GOOD[3] + " ", *GOOD[4:]]), "structure", "record 4"),
    ("no header", encoded([sale()[0], *GOOD]), "not_this_format", "record 1"),
    ("a second header", encoded([*GOOD[:2], GOOD[0], *GOOD[2:]]), "structure", "record 3"),
    ("no file trailer", without(7), "truncated", "end of the file"),
    ("no batch trailer", without(6), "structure", "record 6"),
    ("no trailers", without(6, 7), "truncated", "end of the file"),
    ("data after the end", encoded([*GOOD, sale()[0]]), "structure", "record 8"),
    ("half a record after the end", encoded(GOOD) + b"05", "truncated", "record 8"),
    ("a transaction missing", without(5), "control_total", "record 5 (TC 91), transaction count"),
    ("a component missing", without(3), "control_total", "record 5 (TC 91), tcr count"),
    ("a transaction twice", encoded([*GOOD[:5], GOOD[4], *GOOD[5:]]), "control_total", "transaction count"),
    ("a component without its transaction", without(2), "structure", "record 2 (TC 05, TCR 1)"),
    ("another one's component", encoded([*GOOD[:2], GOOD[4], *GOOD[2:4], *GOOD[5:]]), "structure", "record 4 (TC 05"),
    ("a component of another qualifier", changed(3, 3, "1"), "structure", "record 3 (TC 05, TCR 1)"),
    ("a component twice", encoded([*GOOD[:3], GOOD[2], *GOOD[3:]]), "structure", "a second one"),
    ("an amount changed", changed(2, 77, "000000010001"), "control_total", "record 6 (TC 91), source amount"),
    ("another destination amount", changed(2, 62, "000000000001978"), "control_total", "destination amount"),
    ("a wrong count of monetary ones", file_of(sale(), monetary=2), "control_total", "(TC 91), monetary count"),
    ("a wrong batch number", file_of(sale(), number=2), "sequence", "record 3 (TC 91), batch number"),
    ("a file trailer changed", changed(7, 102, "000000000012501"), "control_total", "record 7 (TC 92), source amount"),
    ("a number of batches changed", changed(7, 43, "000002"), "control_total", "record 7 (TC 92), number of batches"),
    ("a count that is none", changed(6, 49, "00000000001E"), "amount", "record 6 (TC 91), tcr count"),
    ("an amount that is none", changed(2, 77, "00000001E003"), "amount", "record 2 (TC 05), source amount"),
    ("a signed amount", changed(2, 77, "-00000010000"), "amount", "record 2 (TC 05), source amount"),
    ("an unknown currency", changed(2, 89, "000"), "currency", "record 2 (TC 05), source currency"),
    ("no currency at all", encoded(logical_file([sale(0, source_currency="   ")])), "currency", "source currency"),
    ("a currency in letters", changed(2, 89, "EUR"), "currency", "record 2 (TC 05), source currency"),
    ("a purchase date that is none", changed(2, 58, "1332"), "date", "record 2 (TC 05), purchase date"),
    ("a processing date that is none", changed(2, 164, "6367"), "date", "record 2 (TC 05), central processing date"),
    ("a file date that is none", changed(1, 9, "26367"), "date", "record 1, processing date"),
    ("a test option that is none", changed(1, 30, "YES "), "structure", "record 1, test option"),
    ("an unknown transaction code", changed(5, 1, "08"), "structure", "record 5, transaction code"),
    ("a card number of letters", changed(2, 5, "ABCD" + CARD[:12]), "structure", "record 2 (TC 05), card number"),
    ("a card number with a hole", changed(2, 5, "4111 11111111111"), "structure", "record 2 (TC 05), card number"),
    ("a NUL in a reference", changed(2, 27, "\0"), "structure", "record 2 (TC 05), a reference"),
    ("an interchange sign that is none", changed(4, 107, "X"), "amount", "record 2 (TC 05, TCR 5), interchange sign"),
    ("an interchange fee that is none", changed(4, 92, "00000000000012-"), "amount", "interchange fee"),
    ("track data", changed(3, 24, f";{CARD}=29121010000012300000?"), "sensitive_data", "record 2, a text of the file"),
    ("the same file twice", encoded([*GOOD, *GOOD]), "conflict", "record 14"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "code", "place"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_bad_file_is_refused_for_its_true_reason(data: bytes, code: str, place: str) -> None:
    refusal = refusal_of(data)
    assert refusal.code == code
    assert place in f"{refusal.place}: {refusal.found}"


@pytest.mark.parametrize("codec", ["latin-1", "cp500"])
@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_a_file_cut_at_any_byte_is_refused(codec: str, end: bytes) -> None:
    data = encoded(GOOD, codec, end=end)
    parsed(data)
    complete = range(len(data) - len(end), len(data))
    for length in set(range(0, len(data), 7)) - set(complete):
        assert refusal_of(data[:length]).code in ("truncated", "not_this_format", "structure")


def test_a_file_over_the_size_limit_is_refused_while_reading() -> None:
    assert refusal_of(encoded(GOOD), bytes_max=500).code == "limit"


def test_a_total_that_a_person_waived_is_flagged_and_the_lines_stay() -> None:
    data = changed(6, 102, "000000000012501")
    delivery = whole(data, waived=frozenset({"control_total"}))
    (statement,) = delivery.parsed.statements
    assert delivery.lines["amount_minor"].to_pylist() == [10_000, -2_500]
    (flag,) = statement.flags
    assert flag.startswith("waived: control_total: record 6 (TC 91), source amount: expected 12500: ")
    assert flag.endswith("found 12501, a difference of 1")
    assert statement.proofs == ()
    assert refusal_of(file_of(sale(), number=2), waived=frozenset({"control_total"})).code == "sequence"


def test_a_member_corrects_signs_and_positions_by_tables_of_its_own() -> None:
    signs = (
        "transaction_code,qualifier,side,sign,kind,reversal\n"
        "08,*,acquirer,-1,adjustment,yes\n"
        "05,2,acquirer,1,chargeback_reversal,no\n"
    )
    unknown = [line.replace("05", "08", 1) for line in sale(500)]
    lines = [*unknown, *sale(300, qualifier="2")]
    batch = trailer("91", 1, lines, 2, source=800, monetary=2)
    data = encoded([header(), *lines, batch, trailer("92", 1, [*lines, batch], 3, source=800, monetary=2)])
    rows = lines_of(data, tables={"signs": signs})
    assert [(row["amount_minor"], row["kind"], row["reversal"]) for row in rows] == [
        (-500, "adjustment", True),
        (300, "chargeback_reversal", False),
    ]
    moved = "record,tcr,field,start,length,kind\ndraft,0,merchant_name,117,13,text\n"
    (row,) = lines_of(file_of(sale()), tables={"positions": moved})
    assert row["counterparty"] == "BASEL"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("draft,0,colour,5,1,text", "line 2: draft 0 colour: not a field of visa_parts/positions.csv"),
        ("draft,0,arn,27,23,amount", "line 2, column kind: expected text, found 'amount'"),
        ("draft,0,arn,4,23,text", "line 2, column start: expected 5 to 168, found '4'"),
        ("draft,0,arn,1e2,23,text", "line 2, column start: expected 5 to 168, found '1e2'"),
        ("draft,0,arn,160,23,text", "line 2, column length: expected 1 to 9 for text at 160, found '23'"),
        (
            "draft,0,source_currency,89,2,currency",
            "line 2, column length: expected 3 to 3 for currency at 89",
        ),
        ("draft,0,arn,56,23,text", "belongs to arn (table positions, line 2)"),
        ("vss4,0,summary_level,66,2,text", "belongs to"),
        ("draft,0,arn,27,23,text\ndraft,0,arn,27,23,text", "line 3: draft 0 arn: given twice"),
    ],
)
def test_a_bad_table_of_positions_is_refused_with_its_place(row: str, problem: str) -> None:
    with pytest.raises(SourcesError) as caught:
        parsed(encoded(GOOD), tables={"positions": f"record,tcr,field,start,length,kind\n{row}\n"})
    assert any(problem in one for one in caught.value.problems), caught.value.problems


def test_a_bad_table_of_signs_is_refused_with_every_problem() -> None:
    table = "transaction_code,qualifier,side,sign,kind,reversal\n5,x,left,2,sale,maybe\n05,*,none,1,fee,no\n"
    with pytest.raises(SourcesError) as caught:
        parsed(encoded(GOOD), tables={"signs": table})
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        "table signs, line 2, column transaction_code",
        "table signs, line 2, column qualifier",
        "table signs, line 2, column side",
        "table signs, line 2, column sign",
        "table signs, line 2, column kind",
        "table signs, line 2, column reversal",
        "table signs, line 3, column sign",
    ]


@given(st.binary(max_size=600))
def test_arbitrary_bytes_are_refused_and_never_crash(data: bytes) -> None:
    refusal_of(data)
    refusal_of(encoded(GOOD)[:200] + data)


@given(
    st.integers(0, len(encoded(GOOD)) - 1),
    st.binary(min_size=1, max_size=3),
    st.sampled_from(["latin-1", "cp500"]),
)
def test_changed_bytes_never_change_what_was_proved(place: int, put: bytes, codec: str) -> None:
    data = bytearray(encoded(GOOD, codec))
    data[place : place + len(put)] = put
    try:
        lines = lines_of(bytes(data))
    except RefusedFile:
        return
    assert sum(abs(line["amount_minor"]) for line in lines) == 12_500
    assert len(lines) == 2


def test_a_foreign_amount_without_its_currency_is_refused() -> None:
    refusal = refusal_of(file_of(sale(500, destination_minor=5, destination_currency="000")))
    assert (refusal.code, refusal.place) == ("currency", "record 2 (TC 05), destination currency")
    refusal = refusal_of(file_of(sale(500), fee_collection(5)), settings={"amounts": "destination"})
    assert (refusal.code, refusal.found) == ("currency", "blanks")
