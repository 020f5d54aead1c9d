"""One IPM message from bytes to elements: message type, bitmap, data elements, private data subelements.

    31 32 34 30 | 80 .. 16 bytes of bitmap .. | 16 digits with their length "16" in front (DE 2) | DE 3 | ...

Law: every byte of a message belongs to an element that the bitmap names, or the file is refused. The card number (DE 2)
is replaced by its token the moment it is decoded; track data and PIN blocks refuse the file before anything is decoded.
A refusal names record and element and never repeats a value. Says nothing about amounts or what a message means.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.card_numbers import CARD_LENGTH_MAX, CARD_LENGTH_MIN, truncated
from reconciliation.formats.mastercard_parts.elements import (
    ELEMENTS,
    PRIVATE_DATA_ELEMENTS,
    SENSITIVE_CHIP_TAGS,
    SENSITIVE_ELEMENTS,
    Form,
)
from reconciliation.formats.mastercard_parts.framing import ASK_AGAIN, Frame, refused

ASCII: Final = "latin-1"
EBCDIC: Final = ("cp500", "cp037")

_LENGTHS: Final = {f"{length:0{digits}}": length for digits in (2, 3) for length in range(10**digits)}
"""Length prefixes of two and of three digits; the slice that is looked up has the right number of characters."""
_PLANS_MAX: Final = 1_000  # a real file has a few dozen kinds of messages
_HEX_BITMAP: Final = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
_CHIP_SUSPECTS: Final = re.compile(rb"[\x56\x57\x99]|\x9f[\x1f\x20\x6b]")

# One step of a plan: element (0 skips several fixed ones at once), digits of its length prefix, its fixed length, kept.
_Step = tuple[int, int, int, bool]


@dataclass(
    slots=True
)  # not frozen: one per message, and frozen construction costs a tenth of the reading time
class Message:
    """A decoded message. ``elements`` holds text by element number; DE 2 is the card token, never the number."""

    record_no: int
    message_type: str
    elements: dict[int, str]
    card_truncated: str | None
    byte_offset: int
    byte_length: int


def decoded_messages(
    frames: Iterable[Frame],
    *,
    card_tokens: CardTokens,
    ebcdic: str = "cp500",
    wanted: Collection[int] | None = None,
) -> Iterator[Message]:
    """Decode the records of frames in order, keeping the ``wanted`` elements (all if None).

    The first record tells whether the file is ASCII or EBCDIC and whether bitmaps are binary or hexadecimal text; all
    others must be the same. Proves the structure of each message, not the file's header, trailer or numbering.
    Raises RefusedFile with codes structure, not_this_format or sensitive_data.
    """
    decoder: _Decoder | None = None
    for record_no, frame in enumerate(frames, start=1):
        if decoder is None:
            decoder = _Decoder(frame[2], card_tokens=card_tokens, ebcdic=ebcdic, wanted=wanted)
        yield decoder.decode(frame, record_no)


def encoding_of(record: bytes, ebcdic: str) -> str | None:
    """Codec in which the message type reads as four digits; None if in neither."""
    if record[:4].isdigit():
        return ASCII
    return ebcdic if all(0xF0 <= byte <= 0xF9 for byte in record[:4]) else None


def private_fields(message: Message, wanted: Collection[str]) -> dict[str, str]:
    """The wanted private data subelements by tag. Refuses one that comes twice and any that overruns its element."""
    fields: dict[str, str] = {}
    lengths = _LENGTHS
    for element in PRIVATE_DATA_ELEMENTS:
        text = message.elements.get(element)
        if text is None:
            continue
        at, end = 0, len(text)
        while at < end:
            tag, length = text[at : at + 4], lengths.get(text[at + 4 : at + 7])
            if length is None or at + 7 + length > end or not tag.isdecimal():
                _bad_private_field(message, element, at)
            start = at + 7
            at = start + length
            if tag in wanted:
                if tag in fields:
                    _repeated_private_field(message, tag)
                fields[tag] = text[start:at]
    return fields


class _Decoder:
    """Decodes the messages of one file; remembers for each bitmap it meets how such messages are laid out."""

    def __init__(
        self, first: bytes, *, card_tokens: CardTokens, ebcdic: str, wanted: Collection[int] | None
    ) -> None:
        codec = encoding_of(first, ebcdic)
        if codec is None:
            raise refused(
                code="not_this_format",
                place="record 1, message type",
                expected="four digits in ASCII or EBCDIC",
                found="other bytes",
                remedy="Check that this is a Mastercard IPM file, transferred in binary mode.",
            )
        self._codec = codec
        self._hexadecimal = _HEX_BITMAP.fullmatch(first[4:36].decode(codec)) is not None
        self._start = 36 if self._hexadecimal else 20
        self._card_tokens = card_tokens
        self._wanted = wanted
        self._plans: dict[bytes, tuple[_Step, ...]] = {}

    def decode(self, frame: Frame, record_no: int) -> Message:
        """The message of one record; see ``decoded_messages``."""
        byte_offset, byte_length, record = frame
        text = record.decode(self._codec)
        message_type = text[:4]
        if not (message_type.isascii() and message_type.isdecimal()):
            _other_encoding(record_no)
        bitmap = record[4 : self._start]
        plan = self._plans.get(bitmap)
        if plan is None:
            if len(self._plans) >= _PLANS_MAX:
                self._plans.clear()
            plan = self._plans[bitmap] = self._planned(bitmap, record_no)
        elements: dict[int, str] = {}
        at = self._start
        for element, prefix, length, kept in plan:
            if prefix:
                end = at + prefix
                try:
                    length = _LENGTHS[text[at:end]]  # noqa: PLW2901 - this loop is the reader's hottest
                except KeyError:
                    _bad_length(element, prefix, record_no)
                at = end
            if kept:
                elements[element] = text[at : at + length]
            at += length
        if at != len(text):
            _wrong_size(at, len(text), record_no)
        message = Message(record_no, message_type, elements, None, byte_offset, byte_length)
        if 2 in elements:
            self._replace_card_number(message)
        if 55 in elements:
            self._check_chip_data(message)
        return message

    def _planned(self, bitmap: bytes, record_no: int) -> tuple[_Step, ...]:
        """The steps for a bitmap: what is not wanted is measured and passed over."""
        steps: list[_Step] = []
        for element in _elements_present(self._binary(bitmap, record_no), record_no):
            if element in SENSITIVE_ELEMENTS:
                _sensitive(f"record {record_no}, DE {element}", SENSITIVE_ELEMENTS[element])
            if element not in ELEMENTS:
                raise refused(
                    code="structure",
                    place=f"record {record_no}, bitmap",
                    expected="elements that IPM uses",
                    found=f"DE {element}",
                )
            form, length = ELEMENTS[element]
            kept = self._wanted is None or element in self._wanted
            if not kept and form is Form.FIXED and steps and not steps[-1][1] and not steps[-1][3]:
                steps[-1] = (0, 0, steps[-1][2] + length, False)
            else:
                steps.append((element, form.value, length, kept))
        return tuple(steps)

    def _binary(self, bitmap: bytes, record_no: int) -> bytes:
        if not self._hexadecimal:
            return bitmap
        digits = bitmap.decode(self._codec)
        if _HEX_BITMAP.fullmatch(digits) is None:
            raise refused(
                code="structure",
                place=f"record {record_no}, bitmap",
                expected="32 hexadecimal digits, as in the first record",
                found="other characters",
            )
        return bytes.fromhex(digits)

    def _replace_card_number(self, message: Message) -> None:
        number = message.elements[2]
        message.elements[2] = ""
        if not (
            CARD_LENGTH_MIN <= len(number) <= CARD_LENGTH_MAX and number.isascii() and number.isdecimal()
        ):
            raise refused(
                code="structure",
                place=f"record {message.record_no}, DE 2 (card number)",
                expected=f"{CARD_LENGTH_MIN} to {CARD_LENGTH_MAX} digits",
                found=f"{len(number)} characters that are not that",
            )
        message.elements[2] = self._card_tokens.token(number)
        message.card_truncated = truncated(number)

    def _check_chip_data(self, message: Message) -> None:
        """Refuse chip data that holds a track or PIN data; read only as far as its tags can be followed."""
        data = message.elements[55].encode(self._codec)
        if _CHIP_SUSPECTS.search(data) and not SENSITIVE_CHIP_TAGS.isdisjoint(_chip_tags(data)):
            _sensitive(f"record {message.record_no}, DE 55 (chip data)", "track or PIN data")


def _elements_present(bitmap: bytes, record_no: int) -> list[int]:
    bits = int.from_bytes(bitmap)
    present = [number for number in range(1, 129) if bits >> (128 - number) & 1]
    if present[:1] != [1]:
        raise refused(
            code="structure",
            place=f"record {record_no}, bitmap",
            expected="bit 1 set: IPM messages have both bitmaps",
            found="bit 1 not set",
        )
    return present[1:]


def _chip_tags(data: bytes) -> Iterator[int]:
    """Tags of BER-TLV data with tags of one or two bytes and lengths of one byte, as in DE 55."""
    at = 0
    while at + 1 < len(data):
        tag, at = data[at], at + 1
        if tag & 0x1F == 0x1F:
            tag, at = tag << 8 | data[at], at + 1
        yield tag
        if at >= len(data) or data[at] > 0x7F:
            return
        at += 1 + data[at]


def _sensitive(place: str, what: str) -> NoReturn:
    raise refused(
        code="sensitive_data",
        place=place,
        expected="no sensitive authentication data in a clearing file",
        found=what,
        remedy="Destroy this copy of the file and tell whoever sent it; a file without such data can be taken in.",
    )


def _other_encoding(record_no: int) -> NoReturn:
    raise refused(
        code="structure",
        place=f"record {record_no}, message type",
        expected="four digits in the encoding of the first record",
        found="other characters",
    )


def _bad_length(element: int, prefix: int, record_no: int) -> NoReturn:
    raise refused(
        code="structure",
        place=f"record {record_no}, DE {element}",
        expected=f"a length of {prefix} digits",
        found="other characters or the end of the message",
    )


def _wrong_size(needed: int, present: int, record_no: int) -> NoReturn:
    raise refused(
        code="structure",
        place=f"record {record_no}",
        expected=f"{needed} bytes, as its bitmap and lengths say",
        found=f"{present}",
    )


def _bad_private_field(message: Message, element: int, at: int) -> NoReturn:
    raise refused(
        code="structure",
        place=f"record {message.record_no}, DE {element}, position {at + 1}",
        expected="a private data subelement: four digits, a length of three digits, as many characters",
        found="something that is not one",
    )


def _repeated_private_field(message: Message, tag: str) -> NoReturn:
    raise refused(
        code="structure",
        place=f"record {message.record_no}, PDS {tag}",
        expected="one in a message",
        found="a second one",
        remedy="It cannot be told which one counts. " + ASK_AGAIN,
    )
