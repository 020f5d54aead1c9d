"""Mutations of good MT files: each is refused, with its code and place; and no bytes at all do more than that."""

from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats import mt940, mt942, mt950
from reconciliation.formats.canonical import Format
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.mt_builder import ALL_WAIVED, interim, line, message, read, refusal, wrapped

ENTRIES = (
    ":61:2611161116C25,00NTRFE1//B1",
    ":86:166?00CREDIT?20EREF+E1?32J DOE",
    ":61:2611161116D5,00NTRFE2//B2",
    ":86:/REMI/words",
)
GOOD = message(*ENTRIES, closing=":62F:C261116EUR120,00")
PAGES = message(*ENTRIES[:2], closing=":62M:C261116EUR125,00") + message(
    *ENTRIES[2:], opening=":60M:C261116EUR125,00", closing=":62F:C261116EUR120,00", number="7/2"
)


def test_the_files_that_are_mutated_are_good() -> None:
    for file in (GOOD, wrapped(GOOD), PAGES):
        assert read(file).lines.num_rows == 2


@pytest.mark.parametrize("kept", range(1, 8))
def test_a_file_that_is_cut_at_a_field_is_truncated(kept: int) -> None:
    cut = "\n".join(GOOD.split("\n")[:kept]) + "\n"
    refused = refusal(cut)
    assert (refused.code, refused.place) == ("truncated", "message 1, byte 1, at its end")


def test_a_wrapped_message_without_its_end_is_truncated() -> None:
    cut = wrapped(GOOD).partition("\n-}")[0] + "\n"
    assert (refusal(cut).code, refusal(cut).expected) == ("truncated", "-}, which closes {4:")


def test_a_message_that_the_next_one_cuts_off_is_truncated() -> None:
    cut = GOOD.replace(":62F:C261116EUR120,00\n", "") + message(number="8/1", closing=":62F:C261116EUR100,00")
    refused = refusal(cut)
    assert (refused.code, refused.place) == ("truncated", "message 1, byte 1, at its end")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ENTRIES[0] + "\n" + ENTRIES[1] + "\n", ""),  # an entry dropped
        ("C25,00N", "C25,01N"),
        ("C25,00N", "D25,00N"),
        ("C25,00N", "RC25,00N"),
        ("C25,00N", "C2500,00N"),
        (":60F:C", ":60F:D"),
        ("EUR120,00", "EUR120,01"),
    ],
)
def test_a_sum_that_is_off_is_refused_with_the_figures(old: str, new: str) -> None:
    mutated = GOOD.replace(old, new, 1)
    assert mutated != GOOD
    refused = refusal(mutated)
    assert refused.code == "balance"
    assert refused.place.endswith(":62F:")
    assert "a difference of" in refused.found
    (told,) = read(mutated, options=ALL_WAIVED).parsed.statements
    assert told.flags[0].startswith("waived: balance: ")
    assert (told.opening_minor, told.closing_minor, told.proofs) == (None, None, ())


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        (":62F:C261116EUR", ":62F:C261116USD", "currency", "message 1, byte {}, :62F:"),
        (":60F:C261115EUR", ":60F:C261115EUP", "currency", "message 1, byte {}, :60F:"),
        (":60F:C261115", ":60F:C261332", "date", "message 1, byte {}, :60F:"),
        (":60F:C", ":60F:X", "structure", "message 1, byte {}, :60F:"),
        (":60F:C261115EUR100,00", ":21:NONREF", "structure", "entry 1, byte {}, :61:"),
        ("2611161116C25", "2613161116C25", "date", "entry 1, byte {}, :61: value date"),
        ("2611161116C25", "2611161340C25", "date", "entry 1, byte {}, :61: entry date"),
        ("1116C25,00N", "1116X25,00N", "structure", "entry 1, byte {}, :61:"),
        ("C25,00N", "C25,001N", "amount", "entry 1, byte {}, :61: amount"),
        ("C25,00N", "C1E3N", "amount", "entry 1, byte {}, :61: amount"),
        ("C25,00N", "C1,0E3N", "amount", "entry 1, byte {}, :61: amount"),
        ("C25,00N", "C1.025,00N", "amount", "entry 1, byte {}, :61: amount"),
        ("C25,00N", "C-25,00N", "amount", "entry 1, byte {}, :61: amount"),
        ("C25,00N", "C25,00,N", "amount", "entry 1, byte {}, :61: amount"),
        ("C25,00N", "C,N", "amount", "entry 1, byte {}, :61: amount"),
        ("C25,00N", "C9999999999999999,00N", "amount", "entry 1, byte {}, :61: amount"),
        ("C25,00N", "C" + "9" * 2_000 + ",00N", "amount", "entry 1, byte {}, :61: amount"),
        ("C25,00N", "C" + "9" * 200_000 + ",00N", "limit", "byte {}, :61:"),
        ("/REMI/words", "x" * 20_001, "limit", "byte {}, :86:"),
        ("/REMI/words", "CVV2: 123", "sensitive_data", "entry 2, byte {}, a text of the file"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_place(old: str, new: str, code: str, place: str) -> None:
    mutated = GOOD.replace(old, new, 1)
    assert mutated != GOOD
    refused = refusal(mutated)
    assert (refused.code, refused.place) == (code, place.format(byte_of(mutated, place)))
    assert len(refused.found) < 200


def byte_of(file: str, place: str) -> int:
    """Where the field that a place names begins: the first, or that of the second entry."""
    tag = place.rpartition(", ")[2][:5].strip()
    if place.startswith("entry 2") or tag == ":86:":
        return file.index(":61:2611161116D" if place.startswith("entry 2") else ":86:x") + 1
    return file.index(tag[: tag.rindex(":") + 1]) + 1


def test_an_amount_in_64_bits_only() -> None:
    entries = [":61:2611161116C999999999999999,99NTRFE1"] * 100
    refused = refusal(message(*entries))
    assert (refused.code, refused.expected) == ("amount", "a sum of entries within 64 bits")


def test_nul_bytes_are_unsafe() -> None:
    assert refusal(GOOD.replace("words", "wo\0rds")).code == "unsafe"
    assert refusal("\0\n" + GOOD).code == "unsafe"


def test_bytes_of_no_known_encoding_are_refused() -> None:
    refused = refusal(GOOD.encode().replace(b"words", b"wo\x81ds"))
    assert (refused.code, refused.place) == ("structure", f"entry 2, byte {GOOD.index(ENTRIES[2]) + 1}, :86:")


def test_an_encoding_of_two_bytes_is_another_format() -> None:
    assert refusal(GOOD.encode("utf-16")).code in {"not_this_format", "unsafe"}


@pytest.mark.parametrize("reader", [mt940, mt942, mt950])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"<Document/>", b"a,b,c\n1,2,3\n", b"HIKAZ:4:7:3+@1034@'"])
def test_other_files_are_not_of_this_format(reader: Format, content: bytes) -> None:
    assert refusal(content, reader).code == "not_this_format"
    assert not reader.sniff(content)


def test_a_part_of_a_message_is_told_from_another_format() -> None:
    refused = refusal(GOOD.partition("\n")[2])
    assert (refused.code, refused.found) == ("structure", ":25:")


def test_a_missing_page_is_refused_and_may_be_waived() -> None:
    jump = PAGES.replace(":28C:7/2", ":28C:7/3")
    refused = refusal(jump)
    assert (refused.code, refused.place) == ("sequence", f"message 2, byte {PAGES.rindex(':20:') + 1}, :28C:")
    assert "page 2 of statement 7" in refused.expected
    (told,) = read(jump, options=ALL_WAIVED).parsed.statements
    assert told.flags[0].startswith("waived: sequence: ")


def test_pages_in_another_order_are_refused() -> None:
    first, second = PAGES.split(":20:REF1\n")[1:]
    swapped = f":20:REF1\n{second}:20:REF1\n{first}"
    assert refusal(PAGES + f":20:REF1\n{second}").code == "conflict"
    assert [told.statement_ref for told in read(swapped).parsed.statements] == [
        "2026/7/page 2",
        "2026/7/page 1",
    ]
    third = message(opening=":60M:C261116EUR120,00", closing=":62F:C261116EUR120,00", number="7/3")
    three = f":20:REF1\n{first}{third}:20:REF1\n{second}"
    assert refusal(three).code == "sequence"


def test_the_next_statement_in_place_of_the_next_page_is_refused() -> None:
    file = message(*ENTRIES[:2], closing=":62M:C261116EUR125,00") + message(
        opening=":60F:C261116EUR125,00", number="8/1"
    )
    assert refusal(file).code == "sequence"


def test_a_page_that_does_not_go_on_from_the_one_before_is_refused() -> None:
    broken = PAGES.replace(":60M:C261116EUR125,00", ":60M:C261116EUR124,00")
    refused = refusal(broken)
    assert (refused.code, refused.place) == ("balance", f"message 2, byte {PAGES.rindex(':20:') + 1}, :60M:")


def test_a_statement_that_comes_twice_is_a_conflict() -> None:
    refused = refusal(GOOD + GOOD)
    assert (refused.code, refused.place) == ("conflict", f"message 2, byte {len(GOOD) + 1}, :28C:")


def test_entries_after_the_closing_balance_are_refused() -> None:
    refused = refusal(GOOD + ENTRIES[0] + "\n")
    assert (refused.code, refused.found) == ("structure", "an entry after the closing balance")


@pytest.mark.parametrize("extra", [":60F:C261115EUR100,00", ":62F:C261116EUR120,00"])
def test_a_second_balance_is_refused(extra: str) -> None:
    assert refusal(GOOD + extra + "\n").code == "structure"


def test_a_refusal_shows_no_card_number() -> None:
    refused = refusal(GOOD.replace("2611161116C25,00NTRFE1", "4111111111111111"))
    assert "4111111111111111" not in str(refused)
    assert "411111******1111" in refused.found


def test_a_file_has_a_bounded_size() -> None:
    small = replace(OPTIONS, bytes_max=100)
    assert refusal(GOOD, options=small).code == "limit"


def test_a_file_has_a_bounded_number_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciliation.formats.swift_mt_parts.messages._MESSAGES_MAX", 1)
    second = message(number="8/1", opening=":60F:C261116EUR120,00", closing=":62F:C261116EUR120,00")
    assert refusal(GOOD + second).code == "limit"


GOOD_BYTES = [
    GOOD.encode(),
    wrapped(PAGES.partition(":20:REF1\n")[0] + GOOD).replace("\n", "\r\n").encode(),
    PAGES.encode(),
    wrapped(interim(*ENTRIES, sums=":90D:1EUR5,00\n:90C:1EUR25,00"), "942").encode(),
]


@given(st.binary(max_size=400))
@example(b":20:\n:25:\n:60F:C261115EUR1,\n:61:")
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for reader in (mt940, mt942, mt950):
        reader.sniff(content)
        read_or_refuse(reader, content)


@given(
    st.sampled_from(GOOD_BYTES),
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=4)), min_size=1, max_size=6
    ),
)
def test_any_edit_of_a_good_file_is_read_or_refused(
    content: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    for position, dropped, put in edits:
        content = content[:position] + put + content[position + dropped :]
    for reader in (mt940, mt942, mt950):
        reader.sniff(content)
        read_or_refuse(reader, content)


@given(st.text(alphabet=":20568FMC/?>+-\n\r@{}14EURNS,.;x", max_size=120))
def test_any_narrative_leaves_the_money_alone(text: str) -> None:
    file = message(":61:2611161116C25,00NTRFE1", ":86:x" + text)
    if ":61:" not in text and not text.startswith((":6", "\n:6")) and "\n:6" not in text and "@@" not in text:
        found = read_or_refuse(mt940, file.encode())
        if found is not None:
            assert found == [2500]


def read_or_refuse(reader: Format, content: bytes) -> list[int] | None:
    """Amounts of a delivery, None for a refusal; anything else is a fault and passes through."""
    amounts: list[int] = []
    try:
        parsed = reader.read(
            BytesIO(content), OPTIONS, lambda batch: amounts.extend(batch["amount_minor"].to_pylist())
        )
    except RefusedFile:
        return None
    booked = sum(statement.movement_minor for statement in parsed.statements)
    assert reader is mt942 or booked == sum(amounts)
    return amounts


def test_a_good_file_is_read_by_the_helper_too() -> None:
    assert read_or_refuse(mt940, GOOD.encode()) == [2500, -500]
    assert line(message(ENTRIES[0]))["amount_minor"] == 2500
