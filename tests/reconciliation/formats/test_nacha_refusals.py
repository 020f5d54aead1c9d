"""What is wrong with a NACHA file is said with place, expected and found; nothing of it is read by half."""

import dataclasses
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats import nacha
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.nacha_builder import (
    GOOD,
    NINES,
    batch,
    delivery,
    entry,
    fitted,
    header,
    read,
    refusal,
    remittance,
    returned,
)

RECORDS = [record for record in GOOD.splitlines() if record != NINES]
WAIVING = dataclasses.replace(OPTIONS, waived=frozenset({"balance", "control_total", "sequence"}))
CUT_CODES = {"truncated", "not_this_format", "structure", "date", "amount", "control_total", "sequence"}


def changed(record_no: int, start: int, text: str) -> str:
    """The good file with a piece of one record overwritten."""
    records = GOOD.splitlines()
    record = records[record_no - 1]
    records[record_no - 1] = record[:start] + text + record[start + len(text) :]
    return "\n".join(records)


@pytest.mark.parametrize("count", range(1, len(RECORDS)))
def test_a_file_cut_after_any_record_is_truncated_whatever_fills_it(count: int) -> None:
    wrong = refusal("\n".join(RECORDS[:count]))
    assert (wrong.code, wrong.place) == ("truncated", f"after record {count}")
    filled = refusal("\n".join([*RECORDS[:count], NINES]))
    assert filled.code in {"truncated", "structure"}


def test_a_file_cut_anywhere_in_its_records_is_never_read() -> None:
    end = GOOD.index(RECORDS[-1]) + 55  # what the file control says ends here; blanks and nines follow
    for whole in (GOOD[:end], GOOD[:end].replace("\n", "")):
        for length in range(len(whole)):
            assert refusal(whole[:length]).code in CUT_CODES, whole[:length]


def test_a_dropped_entry_a_changed_amount_and_a_turned_sign_break_the_batch() -> None:
    for content, name in (
        ("\n".join(RECORDS[:2] + RECORDS[3:]), "entry and addenda count"),
        (changed(3, 29, "0000002501"), "total debits"),
        (changed(3, 2, "2"), "total debits"),
        (changed(3, 3, "02200002"), "entry hash"),
    ):
        wrong = refusal(content)
        assert wrong.code == "control_total"
        assert wrong.place.endswith(f"(batch control 8 of batch 0000001), {name}")


def test_a_total_a_hundred_times_too_large_tells_of_wrong_minor_digits() -> None:
    wrong = refusal(delivery(batch(entry(), debit_minor=250_000)))
    assert (wrong.expected, wrong.found) == (
        "2500",
        "250000, a difference of 2475.00 USD; it is 100 times what was expected, which points to wrong minor digits",
    )


@pytest.mark.parametrize(
    ("record_no", "start", "text", "code", "name"),
    [
        (6, 4, "000004", "control_total", "batch control 8 of batch 0000001), entry and addenda count"),
        (6, 10, "0004200005", "control_total", "batch control 8 of batch 0000001), entry hash"),
        (6, 20, "000000002501", "control_total", "batch control 8 of batch 0000001), total debits"),
        (6, 32, "000000000701", "control_total", "batch control 8 of batch 0000001), total credits"),
        (6, 1, "220", "control_total", "batch control 8 of batch 0000001), service class"),
        (6, 44, "9", "control_total", "batch control 8 of batch 0000001), company id"),
        (6, 79, "9", "control_total", "batch control 8 of batch 0000001), originating institution"),
        (6, 87, "0000007", "sequence", "batch control 8 of batch 0000001), batch number"),
        (10, 1, "000003", "control_total", "file control 9), batch count"),
        (10, 7, "000002", "control_total", "file control 9), block count"),
        (10, 13, "00000005", "control_total", "file control 9), entry and addenda count"),
        (10, 21, "0006300007", "control_total", "file control 9), entry hash"),
        (10, 31, "000000002511", "control_total", "file control 9), total debits"),
        (10, 43, "000000000701", "control_total", "file control 9), total credits"),
    ],
)
def test_every_figure_of_a_control_record_is_demanded_and_flagged_when_waived(
    record_no: int, start: int, text: str, *, code: str, name: str
) -> None:
    content = changed(record_no, start, text)
    wrong = refusal(content)
    assert (wrong.code, wrong.place) == (code, f"record {record_no} ({name}")
    (statement,) = read(content, WAIVING).parsed.statements
    assert statement.flags[0].startswith(f"waived: {code}: record {record_no} ({name}: expected ")
    assert (statement.movement_minor, statement.line_count, statement.proofs) == (-1810, 3, ())


def test_the_company_of_a_batch_control_may_be_left_blank() -> None:
    assert read(changed(6, 44, " " * 10)).parsed.statements[0].flags == ()


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        ("", "not_this_format", "record 1"),
        ("\n\n", "not_this_format", "record 1"),
        ("date,amount\n", "not_this_format", "record 1"),
        ("\n".join(RECORDS[1:]), "not_this_format", "record 1"),
        (changed(1, 34, "080"), "not_this_format", "record 1 (file header 1), record size"),
        (changed(1, 23, "261131"), "date", "record 1 (file header 1), creation date"),
        (changed(1, 23, "000000"), "date", "record 1 (file header 1), creation date"),
        (changed(2, 69, "261131"), "date", "record 2 (batch header 5), effective entry date"),
        (changed(2, 75, "367"), "date", "record 2 (batch header 5), settlement date"),
        (changed(2, 75, "3 2"), "date", "record 2 (batch header 5), settlement date"),
        (changed(2, 50, "P1D"), "structure", "record 2 (batch header 5), entry class"),
        (changed(3, 1, "90"), "structure", "record 3 (entry 6), transaction code"),
        (changed(3, 1, "20"), "structure", "record 3 (entry 6), transaction code"),
        (changed(3, 1, "81"), "structure", "record 3 (entry 6), transaction code"),
        (changed(3, 3, "0210000A"), "structure", "record 3 (entry 6), receiving institution"),
        (changed(3, 29, "0000002.00"), "amount", "record 3 (entry 6), amount"),
        (changed(3, 29, "      2500"), "amount", "record 3 (entry 6), amount"),
        (changed(3, 29, "00000001E3"), "amount", "record 3 (entry 6), amount"),
        (changed(3, 29, "-000002500"), "amount", "record 3 (entry 6), amount"),
        (changed(3, 29, "٠٠٠٠٠٠٢٥٠٠"), "amount", "record 3 (entry 6), amount"),
        (changed(3, 29, "7" * 200_000), "limit", "line 3"),
        (changed(3, 0, "2"), "structure", "record 3, record type"),
        (changed(5, 1, "06"), "structure", "record 5 (addenda 7), addenda type"),
        (changed(5, 1, "99X01"), "structure", "record 5 (addenda 7), return reason code"),
        (changed(5, 1, "99R1A"), "structure", "record 5 (addenda 7), return reason code"),
        (changed(5, 1, "98R01"), "structure", "record 5 (addenda 7), change code"),
        (
            changed(6, 32, "00000000070 "),
            "amount",
            "record 6 (batch control 8 of batch 0000001), total credits",
        ),
        (changed(10, 43, "            "), "amount", "record 10 (file control 9), total credits"),
        (changed(3, 54, "ANN\0BUYER"), "unsafe", "line 3"),
        (
            "\n".join([*RECORDS[:2], RECORDS[4], RECORDS[2], RECORDS[3], *RECORDS[5:]]),
            "structure",
            "record 3 (addenda 7)",
        ),
        ("\n".join([RECORDS[0], *RECORDS[2:]]), "structure", "record 2, record type"),
        ("\n".join([*RECORDS[:5], *RECORDS[6:]]), "structure", "record 6, record type"),
        ("\n".join([*RECORDS[:6], RECORDS[8], *RECORDS[6:]]), "structure", "record 7, record type"),
        (GOOD + RECORDS[1] + "\n", "structure", "record 11, record type"),
        (GOOD.replace("ANN BUYER  ", "ANN BUYER   ", 1), "structure", "line 3"),
        (
            GOOD.replace("\n", "").replace("ANN BUYER  ", "ANN BUYER   ", 1),
            "structure",
            "record 4, record type",
        ),
    ],
)
def test_each_defect_has_its_code_and_place(content: str, code: str, place: str) -> None:
    wrong = refusal(content, WAIVING)
    assert (wrong.code, wrong.place) == (code, place)
    assert len(wrong.found) < 120


def test_bytes_of_no_encoding_are_refused() -> None:
    wrong = refusal(GOOD.encode().replace(b"ANN", b"\x81NN", 1))
    assert (wrong.code, wrong.place) == ("structure", "line 3")
    assert refusal(GOOD.encode("utf-16")).code in {"unsafe", "not_this_format"}
    assert refusal(GOOD.encode("cp500")).code in {"structure", "not_this_format", "limit"}


def test_more_bytes_than_allowed_are_refused_with_and_without_line_ends() -> None:
    small = dataclasses.replace(OPTIONS, bytes_max=500)
    assert refusal(GOOD, small).code == "limit"
    assert (
        refusal(
            delivery(batch(*[entry(number=number) for number in range(1, 90)])).replace("\n", ""), small
        ).code
        == "limit"
    )


def test_more_addenda_than_the_standard_allows_are_refused() -> None:
    addenda = [remittance("X", sequence=number % 9999) for number in range(10_000)]
    assert refusal(delivery(batch(entry(addenda="1"), *addenda))).code == "limit"


def test_reordered_batches_and_entries_mean_the_same() -> None:
    """Nothing is proved about their order; what is read does not depend on it."""
    one = batch(entry(), number=1), batch(entry("22", 9, number=2), number=2)
    amounts = [sorted(read(delivery(*parts)).lines["amount_minor"].to_pylist()) for parts in (one, one[::-1])]
    assert amounts == [[-2500, 9], [-2500, 9]]


SAMPLE = delivery(
    batch(entry(addenda="1"), remittance("A"), entry("26", addenda="1", number=2), returned("R01", "1")),
    batch(fitted(entry("21", 0, number=3)), head=header(entry_class="COR", number=2)),
)


def outcome(content: bytes) -> str:
    """Read or refused, with every proof waived so that no path hides behind one; anything else fails the test."""
    try:
        nacha.read(BytesIO(content), WAIVING, lambda _: None)
    except RefusedFile as refused:
        return refused.code
    return "read"


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    assert outcome(content)
    for start in (1, 2, 3):
        before = "\n".join(SAMPLE.splitlines()[:start])
        assert outcome(f"{before}\n".encode() + content)
        assert outcome(before.replace("\n", "").encode() + content)


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(SAMPLE) - 1),
            st.integers(0, 2),
            st.sampled_from(b"0123456789RCAI \n\r\x00\xff"),
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_any_edits_of_a_good_file_are_read_or_refused(edits: list[tuple[int, int, int]], lines: bool) -> None:
    content = bytearray((SAMPLE if lines else SAMPLE.replace("\n", "")).encode())
    for place, kind, byte in edits:
        at = min(place, len(content) - 1)
        if kind == 0:
            content[at] = byte
        elif kind == 1:
            content.insert(at, byte)
        else:
            del content[at]
    assert outcome(bytes(content))


@given(
    st.sampled_from(["IAT", "SHR", "CTX", "ADV", "COR", "POP", "TRC", "ATX"]),
    st.lists(st.text(alphabet="0123456789 RCAIFV\u00e9", min_size=1, max_size=94), max_size=6),
    st.sampled_from(["02", "05", "10", "11", "13", "15", "17", "18", "98", "99"]),
)
def test_any_fields_of_any_class_are_read_or_refused(entry_class: str, fields: list[str], kind: str) -> None:
    head = header(entry_class=entry_class)
    codes = ["627021000021", f"7{kind}R0", f"7{kind}C0", f"7{kind}", "622021000021", "683021000021"]
    records = [f"{code}{text}"[:94].ljust(94) for code, text in zip(codes, fields, strict=False)]
    tail = RECORDS[5], RECORDS[9]
    assert outcome("\n".join([RECORDS[0], head, entry(), *records, *tail]).encode())
