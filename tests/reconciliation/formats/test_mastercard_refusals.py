"""What is refused, for which reason, and that no card number shows in any of it."""

import struct
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats.mastercard_parts.framing import MESSAGE_LENGTH_MAX
from tests.reconciliation.formats.mastercard_builder import (
    CARD,
    CARDS,
    EUR,
    FILE_ID,
    JPY,
    KWD,
    OTHER_CARD,
    USD,
    Built,
    as_type,
    encoded,
    fee,
    file_of,
    framed,
    header,
    lines_of,
    logical_file,
    parsed,
    pds,
    sale,
    whole,
)

# Every message of these files carries card numbers wherever a sender may put one.
CANARIES = {
    "de43": f"SHOP {CARD}\\{OTHER_CARD}\\CITY\\4051",
    "de72": f"customer says 5105 1051 0510 5100, also {CARD} and 5555-5555-5555-4444",
    "de63": f"{OTHER_CARD}",
    "de31": OTHER_CARD,
}


def canary(amount_minor: int = 10_000, **elements: str) -> Built:
    return sale(amount_minor, **(CANARIES | elements))  # type: ignore[arg-type]


def refusal_of(data: bytes) -> RefusedFile:
    """Why the data is refused, after proof that nothing in it, cause and traceback included, shows a card number."""
    with pytest.raises(RefusedFile) as caught:
        parsed(data)
    refusal = caught.value
    texts = [str(refusal), repr(refusal), refusal.place, refusal.expected, refusal.found, refusal.remedy]
    texts.append("".join(traceback.format_exception(refusal)))
    for text in texts:
        bare = text.replace(" ", "").replace("-", "")
        assert not any(card in bare for card in CARDS), "a card number is shown"
    assert refusal.place
    assert refusal.expected
    assert refusal.found
    assert refusal.remedy.endswith(".")
    return refusal


def file_with(*members: Built) -> bytes:
    return file_of(logical_file(canary(), *members, canary()))


Case = tuple[str, bytes, str, str]
GOOD = logical_file(canary(), canary(2_500))


def _renumbered(position: int, number: str) -> list[Built]:
    messages = list(GOOD)
    messages[position] = (messages[position][0], messages[position][1] | {71: number})
    return messages


def _without(element: int) -> Built:
    kind, elements = canary()
    return kind, {number: value for number, value in elements.items() if number != element}


CASES: list[Case] = [
    ("an empty file", b"", "truncated", "file"),
    ("another format", b"<?xml version='1.0'?><Document>" + b" " * 99, "not_this_format", "record 1"),
    (
        "text instead of a message type",
        framed([b"card " + CARD.encode() + b"." * 20]),
        "not_this_format",
        "record 1",
    ),
    ("no message at all", framed([]), "structure", "end of the file"),
    ("no end marker", framed([encoded(m) for m in GOOD], end=b""), "truncated", "record 5"),
    ("half an end marker", framed([encoded(m) for m in GOOD], end=b"\0\0"), "truncated", "record 5"),
    ("data after the end marker", file_of(GOOD) + CARD.encode(), "structure", "after the end marker"),
    ("a second file glued on", file_of(GOOD) + file_of(GOOD), "structure", "after the end marker"),
    (
        "a giant length",
        struct.pack(">I", MESSAGE_LENGTH_MAX + 1) + bytes(9_000),
        "not_this_format",
        "record 1",
    ),
    ("a tiny length", framed([encoded(GOOD[0]), b"1240"]), "structure", "record 2"),
    ("no header", file_of(GOOD[1:]), "structure", "record 1"),
    ("no trailer", file_of(GOOD[:-1]), "truncated", "end of the file"),
    ("a header in the middle", file_of([*GOOD[:2], *GOOD]), "structure", "record 3"),
    ("a message between two files", file_of([*GOOD, GOOD[1], *GOOD]), "structure", "record 5"),
    ("the same file id twice", file_of([*GOOD, *GOOD]), "conflict", "record 5, PDS 0105"),
    ("a gap in the numbers", file_of(_renumbered(2, "00000004")), "sequence", "record 3, DE 71"),
    ("a number twice", file_of(_renumbered(2, "00000002")), "sequence", "record 3, DE 71"),
    (
        "numbers that do not start at one",
        file_of(_renumbered(0, "00000000")),
        "sequence",
        "record 1, DE 71",
    ),
    ("a number that is none", file_of(_renumbered(1, "0000 002")), "amount", "record 2, DE 71"),
    ("no number", file_of([header()]), "structure", "record 1 (1644)"),
    (
        "a wrong count",
        file_of(logical_file(canary(), p0306="00000004")),
        "control_total",
        "record 3, PDS 0306",
    ),
    ("no count", file_of(logical_file(canary(), p0306="")), "control_total", "record 3, PDS 0306"),
    ("a wrong checksum", file_of(logical_file(canary(), p0301=CARD)), "control_total", "record 3, PDS 0301"),
    ("a checksum that is none", file_of(logical_file(canary(), p0301="abc")), "control_total", "PDS 0301"),
    (
        "another file's trailer",
        file_of(logical_file(canary(), p0105=FILE_ID[:-1] + "8")),
        "truncated",
        "record 3, PDS 0105",
    ),
    (
        "a trailer without file id",
        file_of(logical_file(canary(), p0105="")),
        "structure",
        "record 3, PDS 0105",
    ),
    ("a short file id", file_of(logical_file(file_id=CARD)), "structure", "record 1, PDS 0105"),
    (
        "a file date that is none",
        file_of(logical_file(file_id="002" + "261332" + "0" * 16)),
        "date",
        "record 1",
    ),
    ("a mode that is none", file_of(logical_file(mode="X")), "structure", "record 1, PDS 0122"),
    ("no mode", file_of(logical_file(mode="")), "structure", "record 1, PDS 0122"),
    ("an unknown message type", file_with(as_type(canary(), "1844")), "structure", "record 3, message type"),
    (
        "an unknown processing code",
        file_with(canary(processing_code="330000")),
        "amount",
        "record 3 (1240), DE 24 and DE 3",
    ),
    (
        "a sale sent as a fee",
        file_with(as_type(canary(), "1740")),
        "amount",
        "record 3 (1740), DE 24 and DE 3",
    ),
    ("an unknown reversal mark", file_with(sale(fields={"p0025": "X"}, **CANARIES)), "amount", "PDS 0025"),  # type: ignore[arg-type]
    ("an unknown currency", file_with(as_type(canary(), "1240", de49="000")), "currency", "record 3, DE 49"),
    ("no currency", file_with(_without(49)), "structure", "record 3 (1240)"),
    ("no amount", file_with(_without(4)), "structure", "record 3 (1240)"),
    ("a reconciled amount without currency", file_with(canary(de5="0" * 12)), "structure", "record 3 (1240)"),
    ("yen with two decimals", file_with(sale(fields={"p0148": f"{JPY}2"})), "currency", "factor of 100"),
    (
        "dinar with two decimals",
        file_with(sale(fields={"p0148": f"{KWD}2{EUR}2"})),
        "currency",
        "factor of 10",
    ),
    (
        "exponents that are none",
        file_with(sale(fields={"p0148": "9782X"})),
        "structure",
        "record 3, PDS 0148",
    ),
    ("a fee in another currency", file_with(sale(fields={"p0146": fee("29", 5, USD)})), "amount", "PDS 0146"),
    ("a fee of unknown direction", file_with(sale(fields={"p0146": fee("00", 5)})), "amount", "PDS 0146"),
    ("half a fee", file_with(sale(fields={"p0146": CARD})), "amount", "record 3, PDS 0146"),
    (
        "a fee that is no number",
        file_with(sale(fields={"p0146": fee("29", 5)[:-1] + "-"})),
        "amount",
        "PDS 0146",
    ),
    ("a date that is none", file_with(canary(de12="261332000000")), "date", "record 3, DE 12"),
    ("a date in letters", file_with(canary(de12="2611152030xx")), "date", "record 3, DE 12"),
    (
        "control characters in a reference",
        file_with(canary(de37="63201500000\n")),
        "structure",
        "record 3, DE 37",
    ),
    ("a card number of letters", file_with(canary(card="ABCD" + CARD[:12])), "structure", "record 3, DE 2"),
    ("a card number too long", file_with(canary(card=CARD + "0000")), "structure", "record 3, DE 2"),
    (
        "a subelement cut short",
        file_with(as_type(canary(), "1240", de48=f"0146036{CARD}")),
        "structure",
        "DE 48",
    ),
    ("a subelement with no tag", file_with(as_type(canary(), "1240", de62=CARD)), "structure", "DE 62"),
    (
        "a subelement twice",
        file_with(as_type(canary(), "1240", de62=pds(p0148=f"{EUR}2"))),
        "structure",
        "record 3, PDS 0148",
    ),
    ("an element IPM does not have", file_with(canary(de11="123456")), "structure", "record 3, bitmap"),
    ("track 1", file_with(canary(de45=f"B{CARD}^DOE/J^2912")), "sensitive_data", "record 3, DE 45"),
    ("track 2", file_with(canary(de35=f"{CARD}=29121010000")), "sensitive_data", "record 3, DE 35"),
    ("track 3", file_with(canary(de36=f"01{CARD}=29121010000")), "sensitive_data", "record 3, DE 36"),
    (
        "a PIN block",
        file_with(canary(de52="\x01\x02\x03\x04\x05\x06\x07\x08")),
        "sensitive_data",
        "record 3, DE 52",
    ),
    (
        "a track in chip data",
        file_with(canary(de55="\x9f\x26\x01A\x57\x08" + "x" * 8)),
        "sensitive_data",
        "DE 55",
    ),
    ("PIN data in chip data", file_with(canary(de55="\x99\x04abcd")), "sensitive_data", "DE 55"),
]


@pytest.mark.parametrize(
    ("data", "code", "place"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_bad_file_is_refused_for_its_true_reason(data: bytes, code: str, place: str) -> None:
    refusal = refusal_of(data)
    assert refusal.code == code
    assert place in f"{refusal.place}: {refusal.found}"


def test_an_amount_with_anything_but_digits_is_refused() -> None:
    for text in ("00000001000-", "0000000 1000", "+00000001000", "0000001000.0", "00000001_000"):
        good = logical_file(canary())
        good[1] = (good[1][0], good[1][1] | {4: text})
        refusal = refusal_of(file_of(good))
        assert (refusal.code, refusal.place) == ("amount", "record 2, DE 4")


def test_a_message_longer_or_shorter_than_its_bitmap_says_is_refused() -> None:
    records = [encoded(message) for message in GOOD]
    for changed in (records[1] + b"0", records[1][:-1], records[1][:40]):
        refusal = refusal_of(framed([records[0], changed, *records[2:]]))
        assert (refusal.code, refusal.place.split(",")[0]) == ("structure", "record 2")


def test_a_message_without_the_second_bitmap_is_refused() -> None:
    records = [encoded(message) for message in GOOD]
    records[1] = records[1][:4] + bytes([records[1][4] & 0x7F]) + records[1][5:]
    assert refusal_of(framed(records)).place == "record 2, bitmap"


def test_a_file_that_changes_its_encoding_is_refused() -> None:
    records = [encoded(GOOD[0]), encoded(GOOD[1], "cp500"), *[encoded(message) for message in GOOD[2:]]]
    assert refusal_of(framed(records)).place == "record 2, message type"


def test_a_file_that_changes_its_kind_of_bitmap_is_refused() -> None:
    records = [encoded(message, hexadecimal=number != 2) for number, message in enumerate(GOOD)]
    assert refusal_of(framed(records)).code == "structure"


@pytest.mark.parametrize("codec", ["latin-1", "cp500"])
@pytest.mark.parametrize("blocked", [False, True])
def test_a_file_cut_at_any_byte_is_refused(codec: str, blocked: bool) -> None:
    data = file_of(logical_file(canary(), canary(7)), codec, blocked=blocked)
    parsed(data)
    same_file_without_blocks = len(file_of(logical_file(canary(), canary(7)), codec)) if blocked else None
    for length in set(range(len(data))) - {same_file_without_blocks}:
        assert refusal_of(data[:length]).code in ("truncated", "not_this_format", "structure")


def test_a_block_without_its_pad_bytes_is_refused() -> None:
    data = bytearray(file_of(logical_file(*[canary()] * 20), blocked=True))
    data[2 * 1014 - 1] = 0
    refusal = refusal_of(bytes(data))
    assert (refusal.place, refusal.found) == ("block 2 of 1014 bytes", "40 00")


def test_a_block_is_filled_up_and_fill_is_no_data() -> None:
    data = file_of(GOOD, blocked=True)
    for fill in (b"\x40" * 1014, (bytes(1012) + b"\x40\x40") * 400):
        assert whole(data + fill).lines.equals(whole(data).lines)
    assert refusal_of(data + b"\x40" * 9).code == "truncated"


@pytest.mark.parametrize("rest", [b"\0", b"\x40" * 20, bytes(300_000), b"\x40" * 300_000])
def test_nothing_follows_the_end_of_a_file_without_blocks(rest: bytes) -> None:
    assert refusal_of(file_of(GOOD) + rest).code in ("structure", "truncated")


def test_a_file_over_the_size_limit_is_refused_while_reading() -> None:
    with pytest.raises(RefusedFile) as caught:
        parsed(file_of(GOOD), bytes_max=500)
    assert caught.value.code == "limit"


def test_no_card_number_reaches_the_result_wherever_the_file_has_it() -> None:
    delivery = whole(file_of(logical_file(canary(), as_type(canary(), "1442", de24="450"))))
    shown = repr(delivery) + repr(delivery.lines.to_pylist())
    bare = shown.replace(" ", "").replace("-", "")
    assert not any(card in bare for card in CARDS)
    (line, _) = lines_of(file_of(logical_file(canary(), canary())))
    assert line["counterparty"] == "SHOP 555555******4444"
    assert line["text"] == (
        "customer says 5105 10** **** 5100, also 555555******4444 and 5555-55**-****-4444"
    )
    assert line["ref_arn"] == "510510******5100"


def test_chip_data_without_track_or_pin_is_passed_over() -> None:
    harmless = "\x9f\x26\x08ABCDEFGW\x95\x05VWxyz\x9f\x10\x03\x57\x99\x56"
    assert len(lines_of(file_of(logical_file(canary(de55=harmless))))) == 1


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_and_never_crash(data: bytes) -> None:
    refusal_of(data)


@given(st.integers(0, len(file_of(GOOD)) - 1), st.integers(0, 255), st.sampled_from(["latin-1", "cp500"]))
def test_one_changed_byte_never_changes_what_was_proved(place: int, byte: int, codec: str) -> None:
    changed = bytearray(file_of(GOOD, codec))
    changed[place] = byte
    try:
        lines = lines_of(bytes(changed))
    except RefusedFile:
        return
    assert sum(abs(line["amount_minor"] + line["fee_minor"]) for line in lines) == 12_500
    assert len(lines) == 2
