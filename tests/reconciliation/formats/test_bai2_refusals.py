"""What is wrong with a BAI2 report is said with place, expected and found; nothing of it is read by half."""

import dataclasses
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats import bai2
from tests.reconciliation.formats.bai2_builder import (
    GOOD,
    account,
    delivery,
    group,
    movement,
    of_lines,
    read,
    refusal,
)
from tests.reconciliation.formats.camt_builder import OPTIONS

LINES = GOOD.splitlines()
WAIVING = dataclasses.replace(OPTIONS, waived=frozenset({"balance", "control_total", "sequence"}))

CUT_CODES = {
    "truncated",
    "control_total",
    "not_this_format",
    "structure",
    "date",
    "amount",
    "balance",
    "currency",
}


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize("count", range(1, len(LINES)))
def test_a_file_cut_after_any_record_is_truncated(count: int) -> None:
    wrong = refusal("\n".join(LINES[:count]))
    assert (wrong.code, wrong.place) == ("truncated", f"after line {count}")
    assert "file trailer 99" in wrong.expected


def test_a_file_cut_anywhere_is_never_read() -> None:
    whole = GOOD.rstrip("\n/").encode()
    for length in range(len(whole)):
        assert refusal(whole[:length]).code in CUT_CODES


def test_a_dropped_entry_a_changed_amount_and_a_turned_sign_break_a_proof() -> None:
    for content in (
        "\n".join(LINES[:3] + LINES[4:]),
        changed("16,475,700,", "16,475,701,"),
        changed("16,165,2500,", "16,165,7000,"),
    ):
        wrong = refusal(content)
        assert (wrong.code, wrong.place.partition(",")[0]) == ("control_total", "line 3 (account 12345)")
    wrong = refusal(changed("16,475,", "16,275,"))  # the sum of amounts stays the same: the balances tell
    assert (wrong.code, wrong.place) == ("balance", "line 3 (account 12345), closing ledger 015")
    assert wrong.expected == "132.00 USD (opening 010 100.00 and 2 movements of 32.00)"
    assert wrong.found == "118.00 USD, a difference of -14.00 USD"


def test_a_total_ten_times_too_large_tells_of_wrong_minor_digits() -> None:
    wrong = refusal(changed("49,25000,", "49,250000,"))
    assert (wrong.expected, wrong.found) == (
        "25000, the sum of all amounts",
        "250000, a difference of 2250.00 USD; it is 10 times what was expected, which points to wrong minor digits",
    )


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("49,25000,4", "49,25001,4", "line 3 (account 12345), 49 control total"),
        ("49,25000,4", "49,25000,5", "line 3 (account 12345), 49 number of records"),
        ("49,25000,4", "49,25000,", "line 3 (account 12345), 49 number of records"),
        ("49,25000,4", "49,,4", "line 3 (account 12345), 49 control total"),
        ("98,25000,1,6", "98,25001,1,6", "line 2 (group header 02), 98 control total"),
        ("98,25000,1,6", "98,25000,2,6", "line 2 (group header 02), 98 number of accounts"),
        ("98,25000,1,6", "98,25000,1,7", "line 2 (group header 02), 98 number of records"),
        ("99,25000,1,8", "99,-25000,1,8", "line 1 (file header 01), 99 control total"),
        ("99,25000,1,8", "99,25000,0,8", "line 1 (file header 01), 99 number of groups"),
        ("99,25000,1,8", "99,25000,1,9", "line 1 (file header 01), 99 number of records"),
    ],
)
def test_every_figure_of_a_trailer_is_demanded_and_flagged_when_waived(
    old: str, new: str, place: str
) -> None:
    content = changed(old, new)
    wrong = refusal(content)
    assert (wrong.code, wrong.place) == ("control_total", place)
    (statement,) = read(content, WAIVING).parsed.statements
    assert statement.flags[0].startswith(f"waived: control_total: {place}: expected ")
    assert (statement.line_count, statement.movement_minor) == (2, 1800)
    assert (statement.opening_minor, statement.closing_minor) == (10000, 11800)


def test_balances_that_failed_and_were_waived_are_not_stated() -> None:
    content = of_lines(movement(), amounts="010,10000,,,015,12600,,")
    assert refusal(content).code == "balance"
    (statement,) = read(content, WAIVING).parsed.statements
    assert (statement.opening_minor, statement.closing_minor) == (None, None)
    (flag,) = statement.flags
    assert flag == (
        "waived: balance: line 3 (account 12345), closing ledger 015: expected 125.00 USD (opening 010 100.00 and 1 "
        "movements of 25.00), found 126.00 USD, a difference of 1.00 USD"
    )


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        ("", "not_this_format", "line 1"),
        ("date,amount\n", "not_this_format", "line 1"),
        ("88,x\n", "not_this_format", "line 1"),
        ("02,US,BANK,1,261115,,,2/", "not_this_format", "line 1, record code"),
        (changed("03,12345", "17,12345"), "structure", "line 3, record code"),
        (changed("16,475", "16475"), "structure", "line 5, record code"),
        (changed("16,475", "1E,475"), "structure", "line 5, record code"),
        (GOOD + "16,165,1,,,,/\n", "structure", "line 9, record code"),
        ("\n".join([LINES[0], LINES[2], LINES[1], *LINES[3:]]), "structure", "line 2, record code"),
        ("\n".join([*LINES[:5], *LINES[6:]]), "structure", "line 6, record code"),
        (changed("16,475,700", "16,4755,700"), "structure", "line 5 (transaction 16), type code"),
        (changed("16,475,700", "16,016,700"), "structure", "line 5 (transaction 16), type code"),
        (changed("16,475,700", "16,475,"), "amount", "line 5 (transaction 16), amount of 475"),
        (changed("16,475,700", "16,475,-700"), "amount", "line 5 (transaction 16), amount of 475"),
        (changed("16,475,700", "16,475,7.00"), "amount", "line 5 (transaction 16), amount of 475"),
        (changed("16,475,700", "16,475,1E3"), "amount", "line 5 (transaction 16), amount of 475"),
        (changed("16,475,700", "16,475,٧٠٠"), "amount", "line 5 (transaction 16), amount of 475"),
        (changed("16,475,700", "16,475," + "7" * 19), "amount", "line 5 (transaction 16), amount of 475"),
        (changed("16,475,700", "16,475," + "7" * 200_000), "limit", "line 5"),
        (changed("010,10000", "010,1E4"), "amount", "line 3 (account 03), amount of 010"),
        (changed("010,10000", "01O,10000"), "structure", "line 3 (account 03), type code"),
        (changed("010,10000,,", "010,10000,x,"), "structure", "line 3 (account 03), item count of 010"),
        (changed("010,10000,,", "010,10000,,Q"), "structure", "line 3 (account 03), funds type of 010"),
        (changed("700,Z,", "700,Q,"), "structure", "line 5 (transaction 16), funds type"),
        (
            changed("700,Z,", "700,D,x,"),
            "structure",
            "line 5 (transaction 16), funds type, number of distributions",
        ),
        (changed("700,Z,", "700,V,261332,,"), "date", "line 5 (transaction 16), value date"),
        (changed("700,Z,", "700,S,1,x,3,"), "amount", "line 5 (transaction 16), distributed amount"),
        (changed("1,261115", "1,261131"), "date", "line 2 (group header 02), as-of date"),
        (changed("261116,0600", "261316,0600"), "date", "line 1 (file header 01), creation date"),
        (changed("12345,USD", "12345,US$"), "currency", "line 3 (account 12345), currency"),
        (changed("2400,USD", "2400,ZZZ"), "currency", "line 2 (group header 02), currency"),
        (changed("BANK,1,", "BANK,5,"), "structure", "line 2 (group header 02), group status"),
        (changed("BANK,1,", "BANK,,"), "structure", "line 2 (group header 02), group status"),
        (changed("03,12345", "03,"), "structure", "line 3 (account 03), account number"),
        (changed("03,12345", "03," + "1" * 300), "structure", "line 3 (account 03), account number"),
        (changed("02,US", "02," + "U" * 300), "limit", "line 2 (group header 02)"),
        (changed("Cheque", "Che\0que"), "unsafe", "line 5"),
        (changed("Cheque", "Cheque\n" + "88,x\n" * 4_000), "limit", "line 4005 (record 16)"),
        (changed("Cheque", "Cheque\n" + ("88," + "x" * 9_999 + "\n") * 3), "limit", "line 7 (record 16)"),
        (changed("Cheque", "x" * 40_000), "limit", "line 5"),
        (changed("49,25000", "49,2,5000"), "control_total", "line 3 (account 12345), 49 control total"),
        (changed("49,25000,4", "49,25000,four"), "structure", "line 3 (account 12345), 49 number of records"),
        (changed("49,25000,4", "49,1E3,4"), "amount", "line 3 (account 12345), 49 control total"),
    ],
)
def test_each_defect_has_its_code_and_place(content: str, code: str, place: str) -> None:
    wrong = refusal(content, WAIVING) if code != "control_total" else refusal(content)
    assert (wrong.code, wrong.place) == (code, place)
    assert len(wrong.found) < 120


def test_bytes_of_no_encoding_are_refused() -> None:
    wrong = refusal(GOOD.encode().replace(b"Cheque", b"Che\x81que"))
    assert (wrong.code, wrong.place) == ("structure", "line 5")
    assert refusal(GOOD.encode("utf-16")).code in {"unsafe", "not_this_format"}
    assert refusal(GOOD.encode("cp500")).code in {"structure", "not_this_format"}


def test_a_deletion_is_refused_and_says_what_to_do() -> None:
    wrong = refusal(delivery(group(account(movement()), status="2")), WAIVING)
    assert (wrong.code, wrong.place) == ("conflict", "line 2 (group header 02), group status")
    assert wrong.remedy.startswith("Withdraw the earlier report by hand")


def test_the_same_account_twice_for_one_day_is_a_conflict() -> None:
    wrong = refusal(delivery(group(account(movement()), account(movement()))))
    assert (wrong.code, wrong.place) == ("conflict", "line 6 (account 12345), as-of date")
    assert refusal(delivery(group(account(movement()))) * 2).code == "conflict"


def test_two_opening_balances_that_differ_are_refused() -> None:
    wrong = refusal(of_lines(movement(), amounts="010,1,,,010,2,,"), WAIVING)
    assert (wrong.code, wrong.expected, wrong.found) == ("structure", "one balance, 1 as first stated", "2")


def test_more_bytes_than_allowed_are_refused() -> None:
    assert refusal(GOOD, dataclasses.replace(OPTIONS, bytes_max=100)).code == "limit"


def outcome(content: bytes) -> str:
    """Read or refused, with every proof waived so that no path hides behind one; anything else fails the test."""
    try:
        bai2.read(BytesIO(content), WAIVING, lambda _: None)
    except RefusedFile as refused:
        return refused.code
    return "read"


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    assert outcome(content)
    assert outcome(b"01,B,U,261116,,1,,,2/\n02,U,B,1,261115,,,2/\n" + content)
    assert outcome(b"01,B,U,261116,,1,,,2/\n02,U,B,1,261115,,,2/\n03,1,,/\n16," + content)


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(GOOD) - 1), st.integers(0, 2), st.sampled_from(b"0189,/-SVDZ\n\r\x00\xff E.")
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_edits_of_a_good_file_are_read_or_refused(edits: list[tuple[int, int, int]]) -> None:
    content = bytearray(GOOD.encode())
    for place, kind, byte in edits:
        at = min(place, len(content) - 1)
        if kind == 0:
            content[at] = byte
        elif kind == 1:
            content.insert(at, byte)
        else:
            del content[at]
    assert outcome(bytes(content))


@given(st.text(alphabet="0123456789,/SVDZ \n8", max_size=120))
def test_any_fields_after_a_type_code_are_read_or_refused(fields: str) -> None:
    start = "01,B,U,261116,,1,,,2/\n02,U,B,1,261115,,,2/\n"
    for inner in (f"03,1,USD,{fields}/", f"03,1,USD,/\n16,165,{fields}/"):
        assert outcome(f"{start}{inner}\n49,1,1/\n98,1,1,1/\n99,1,1,1/".encode())
