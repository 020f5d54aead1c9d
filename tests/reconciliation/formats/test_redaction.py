"""What is kept of a delivered file: the same bytes in the same places, without a card number in any of them."""

import random
import re
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats import redaction
from reconciliation.formats.card_numbers import masked_text
from reconciliation.formats.registry import FORMATS
from tests.reconciliation.formats import mastercard_builder as ipm
from tests.reconciliation.formats import visa_builder as visa

CARD, OTHER_CARD = "4111111111111111", "5555555555554444"
HIDDEN, OTHER_HIDDEN = "411111******1111", "555555******4444"
REFERENCE = "74537606320000000000015"


def redacted(data: bytes, format_name: str = "camt.053") -> bytes:
    kept = b"".join(redaction.redacted(BytesIO(data), format_name))
    assert len(kept) == len(data)
    return kept


TEXTS = [
    (f"<Ustrd>card {CARD} lost</Ustrd>", f"<Ustrd>card {HIDDEN} lost</Ustrd>"),
    (f'{{"pan":"{OTHER_CARD}"}}', f'{{"pan":"{OTHER_HIDDEN}"}}'),
    ("5555-5555-5555-4444;12,00", "5555-55**-****-4444;12,00"),
    ("5555\u00a05555\u00a05555\u00a04444", "5555\u00a055**\u00a0****\u00a04444"),
    ("5555\u20115555\u20115555\u20114444", "5555\u201155**\u2011****\u20114444"),
    (f"{CARD},{OTHER_CARD}", f"{HIDDEN},{OTHER_HIDDEN}"),
    (f";{CARD}=29121010000012300000? read", f";{HIDDEN}{'*' * 22} read"),
    (f"%B{CARD}^DOE/JANE^29121010000?", f"%B{HIDDEN}{'*' * 22}"),
    ("CVV2: 123, thanks", "CVV2: ***, thanks"),
    (f"CID 1234 of {CARD}", f"CID **** of {HIDDEN}"),
    (f"{CARD} CVC 123", f"{HIDDEN} CVC ***"),
]


@pytest.mark.parametrize(("text", "kept"), TEXTS)
def test_a_card_number_in_a_text_file_loses_its_middle_and_nothing_else_changes(text: str, kept: str) -> None:
    assert redacted(text.encode()).decode() == kept
    around = f"first line {REFERENCE}\r\n{{}}\r\n2026-11-16 20:30:00 DE89370400440532013000\r\n"
    assert redacted(around.format(text).encode()) == around.format(kept).encode()
    for codec in ("utf-16-le", "utf-16-be"):
        marked = "\ufeff" + around
        if text.isascii():
            assert redacted(marked.format(text).encode(codec)) == marked.format(kept).encode(codec)


@pytest.mark.parametrize(
    "text", ["", REFERENCE, "0022611160000002555500017", "CVC 2024", "5555555555554443", "a" * 600_000]
)
def test_what_holds_no_card_number_is_kept_to_the_byte(text: str) -> None:
    assert redacted(text.encode()) == text.encode()


def test_windows_dashes_and_blanks_part_groups_too() -> None:
    assert redacted(b"5555\x965555\x965555\x964444") == b"5555\x9655**\x96****\x964444"
    assert redacted(b"5555\xa05555\xa05555\xa04444") == b"5555\xa055**\xa0****\xa04444"


def test_a_number_that_goes_on_in_the_next_line_is_found_where_the_standard_breaks_lines() -> None:
    data = b":86:card 41111111\r\n11111111 lost\r\n"
    assert redacted(data, "mt940") == b":86:card 411111**\r\n****1111 lost\r\n"
    assert redacted(data, "mapped.csv") == data


@pytest.mark.parametrize(("size", "step"), [(7, 331), (600, 37), (1_000, 37), (1_024, 37)])
def test_a_number_across_the_border_of_two_reads_is_found(
    size: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "CHUNK_BYTES", size)
    for before in range(0, 1_100, step):
        for filler in ("x", "7", " 7"):
            head = (filler * before)[:before]
            text = f"{head}, {CARD} and ;{CARD}=29121010000012300000?, {REFERENCE}{'y' * 700}{OTHER_CARD}"
            expected = masked_text(text)
            for marked, codec in ((text, "latin-1"), ("\ufeff" + text, "utf-16-le")):
                kept = redacted(marked.encode(codec)).decode(codec)
                assert kept.lstrip("\ufeff") == expected


def test_compressed_content_is_refused_because_nothing_can_be_overwritten_in_it() -> None:
    for name in ("mapped.xlsx", "mapped.parquet"):
        with pytest.raises(RefusedFile) as caught:
            redaction.redacted(BytesIO(b"PK"), name)
        assert caught.value.code == "unsafe"


def clearing(card: str, other: str, track: str, chip: str) -> list[tuple[str, dict[int, str]]]:
    """A clearing file with card numbers wherever a sender may put one."""
    everywhere = ipm.sale(
        card=card,
        de43=f"SHOP {other}\\STREET\\CITY",
        de72=f"customer says {other[:4]} {other[4:8]} {other[8:12]} {other[12:]}, {card}",
        de95="0123456789",
        de55=chip,
        fields={"p1000": f"about {card}", "p0165": "M"},
    )
    tracks = ipm.sale(card=card, de35=track)
    return ipm.logical_file(*[ipm.sale(number) for number in range(1, 12)], everywhere, tracks, everywhere)


CHIP = "\x9f\x26\x08ABCDEFGH\x5a\x08\x41\x11\x11\x11\x11\x11\x11\x11\x95\x05VWXYZ"
CHIP_HIDDEN = "\x9f\x26\x08ABCDEFGH\x5a\x08" + "\xff" * 8 + "\x95\x05VWXYZ"


@pytest.mark.parametrize("codec", ["latin-1", "cp500"])
@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("hexadecimal", [False, True])
def test_a_mastercard_file_keeps_every_byte_but_the_middle_of_card_numbers(
    codec: str, blocked: bool, hexadecimal: bool
) -> None:
    def built(card: str, other: str, track: str, chip: str, sold: str) -> bytes:
        # chip data is binary: it must come through the code page unchanged
        chip_text = chip.encode("latin-1").decode(codec)
        messages = clearing(card, other, track, chip_text)
        messages = [
            (kind, elements | ({2: sold} if elements.get(2) == ipm.CARD else {}))
            for kind, elements in messages
        ]
        return ipm.framed(
            [ipm.encoded(message, codec, hexadecimal=hexadecimal) for message in messages], blocked=blocked
        )

    data = built(CARD, OTHER_CARD, f"{CARD}=29121010000012300000", CHIP, ipm.CARD)
    expected = built(HIDDEN, OTHER_HIDDEN, "*" * 37, CHIP_HIDDEN, "555555******4444")
    assert redacted(data, "mastercard.ipm") == expected
    for length in range(0, len(data), 173):
        part = data[:length]
        kept = redacted(part, "mastercard.ipm")
        assert_hidden(kept, codec)


def assert_hidden(kept: bytes, codec: str) -> None:
    """No card number in ASCII or EBCDIC, however its groups are parted; one that is cut off is none."""
    text = re.sub(r"[ -]", "", kept.decode(codec))
    assert CARD not in text
    assert OTHER_CARD not in text


def clearing_of_visa(card: str, other: str, text: str) -> list[str]:
    return visa.logical_file(
        [
            visa.sale(
                card=card,
                name=f"SHOP {other}",
                merchant=("000000", text, "MERIDIAN0000001", "TERM0001"),
                payment=("123456789012345", "0" * 15, "D", "", ""),
                more=["7"],
            ),
            visa.fee_collection(10, card=card, text=text),
            [visa.record((1, "5200"), (5, card), (21, "000"), (30, "COPY PLEASE"))],
            [visa.record((1, "5000"), (20, text))],
            visa.summary("T", "9", 4_111_111_111_111_111, 0),
        ]
    )


@pytest.mark.parametrize("codec", ["latin-1", "cp500"])
@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("itf", [False, True])
def test_a_visa_file_keeps_every_byte_but_the_middle_of_card_numbers(
    codec: str, end: bytes, itf: bool
) -> None:
    end = b"\x25" if end and codec == "cp500" else end
    said, kept = f"CALLED ABOUT {OTHER_CARD} AGAIN", f"CALLED ABOUT {OTHER_HIDDEN} AGAIN"
    data = visa.encoded(clearing_of_visa(CARD, OTHER_CARD, said), codec, end=end, itf=itf)
    expected = visa.encoded(clearing_of_visa(HIDDEN, OTHER_HIDDEN, kept), codec, end=end, itf=itf)
    assert redacted(data, "visa.base2") == expected


def test_a_visa_card_number_of_nineteen_digits_keeps_its_last_four_in_the_extension() -> None:
    data = visa.file_of(visa.sale(card="6304000000000000123"))
    kept = redacted(data, "visa.base2").decode()
    assert kept.split("\n")[1][4:23] == "630400*********0123"


@pytest.mark.parametrize("format_name", ["mastercard.ipm", "visa.base2"])
def test_bytes_that_are_no_file_of_a_scheme_are_swept_in_both_encodings(format_name: str) -> None:
    for codec in ("latin-1", "cp500"):
        data = f"some text about {CARD} and 5555 5555 5555 4444".encode(codec)
        assert_hidden(redacted(data, format_name), codec)
        assert_hidden(redacted(data * 4_000, format_name), codec)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"mapped.xlsx", "mapped.parquet"}))
@given(data=st.binary(max_size=400), place=st.integers(0, 400), codec=st.sampled_from(["latin-1", "cp500"]))
def test_no_bytes_whatever_break_it_move_anything_or_let_a_number_through(
    name: str, data: bytes, place: int, codec: str
) -> None:
    kept = redacted(data, name)
    stars = {0x2A, 0x5C, 0xFF}
    assert all(new == old or new in stars for old, new in zip(data, kept, strict=True))
    if codec == "latin-1" or name in ("mastercard.ipm", "visa.base2"):
        parted = f" . {CARD} . ".encode(codec)
        assert CARD.encode(codec) not in redacted(data[:place] + parted + data[place:], name)


def test_a_large_file_streams_and_comes_back_whole() -> None:
    rng = random.Random(5)
    lines = [f"{rng.randrange(10**15)};{REFERENCE};paid by {CARD};{rng.random()}\n" for _ in range(20_000)]
    data = "".join(lines).encode()
    parts = list(redaction.redacted(BytesIO(data), "mapped.csv"))
    assert len(parts) > 4
    assert b"".join(parts) == masked_text(data.decode()).encode()
