"""Visa BASE II bytes without card numbers: by the source's positions where records can be read, else swept.

The card number of component 0 keeps its first six and last four digits, with its extension. All other fields of the
record are swept for what reads as a card number, each by itself where the layout knows it, since fields touch.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

from reconciliation.formats.byte_sweep import (
    ASTERISK,
    EBCDIC_ASTERISK,
    masked_either_way,
    masked_field,
    swept_either_way,
    whole_reads,
)
from reconciliation.formats.card_numbers import reads_as_card
from reconciliation.formats.visa_parts.lines import FEE_CODES
from reconciliation.formats.visa_parts.positions import RECORD_LENGTH, Layout, layout_of
from reconciliation.formats.visa_parts.records import ASCII, ITF_LENGTH, Framing, framing_of

_RECORDS_PER_CHUNK: Final = 2_048
_DRAFTS: Final = frozenset({"05", "06", "07", "15", "16", "17", "25", "26", "27", "35", "36", "37"})
_NO_CARDS: Final = frozenset(
    {"46", "90", "91", "92"}
)  # settlement reports, header and trailers: figures only
_USUAL_PLACE: Final = slice(4, 20)  # of the card number in component 0 of most transactions
_NO_NUMBER: Final = " 0"


def redacted_records(stream: BinaryIO, positions: str | None = None) -> Iterator[bytes]:
    """The bytes of a BASE II file in parts, by a member's own table of positions or the shipped one alone."""
    head = next(whole_reads(stream, ITF_LENGTH * _RECORDS_PER_CHUNK), b"")
    framing = framing_of(head)
    if framing is None:
        yield from swept_either_way(head, whole_reads(stream, ITF_LENGTH * _RECORDS_PER_CHUNK))
        return
    redaction = _Redaction(framing, layout_of(positions))
    rest = b""
    chunk = head
    while chunk:
        data = rest + chunk
        whole = len(data) // framing.stride * framing.stride
        stride = framing.stride
        yield b"".join(redaction.record(data[at : at + stride]) for at in range(0, whole, stride))
        rest = data[whole:]
        chunk = next(whole_reads(stream, stride * _RECORDS_PER_CHUNK), b"")
    yield redaction.record(rest)


class _Redaction:
    def __init__(self, framing: Framing, layout: Layout) -> None:
        self._framing = framing
        self._asterisk = ASTERISK if framing.codec == ASCII else EBCDIC_ASTERISK
        self._shift = framing.length - RECORD_LENGTH  # characters of the centre after the transaction code
        self._cards = {
            name: (layout.at(name, "0", "card_number"), layout.at(name, "0", "card_extension"))
            for name in ("draft", "fee")
        }
        self._fields = {
            (record, tcr): sorted(
                (layout.at(*key).start, layout.at(*key).stop)
                for key in layout.positions
                if key[:2] == (record, tcr) and layout.kind(*key) != "card"
            )
            for record, tcr, _ in layout.positions
            if record in ("draft", "fee")
        }

    def record(self, data: bytes) -> bytes:
        """One record with its end; swept if it is cut short."""
        length = self._framing.length
        codec = self._framing.codec
        if len(data) < length:
            return masked_either_way(data)
        text = data[:2] + data[2 + self._shift : length]
        line = text.decode(codec)
        code, tcr = line[:2], line[3]
        if code in _NO_CARDS:
            return data
        found = bytearray(text)
        name = "draft" if code in _DRAFTS else "fee" if code in FEE_CODES else None
        hidden: list[int] = []
        if tcr == "0":
            hidden = self._card_places(line, name)
        for place in hidden:
            found[place] = self._asterisk[0]
        for start, end in self._parts(name, tcr):
            found[start:end] = masked_field(bytes(found[start:end]), codec)
        redacted = bytes(found)
        return redacted[:2] + data[2 : 2 + self._shift] + redacted[2:] + data[length:]

    def _card_places(self, line: str, name: str | None) -> list[int]:
        """Places of the digits to hide in component 0."""
        if name is None:  # a transaction that is no draft: most have the card number in the same place
            number = line[_USUAL_PLACE]
            is_card = number.isascii() and number.isdecimal() and reads_as_card(number)
            return list(range(_USUAL_PLACE.start + 6, _USUAL_PLACE.stop - 4)) if is_card else []
        card, extension = self._cards[name]
        places = [place for place in range(card.start, card.stop) if line[place] != " "]
        if line[extension].strip(_NO_NUMBER):
            places += [place for place in range(extension.start, extension.stop) if line[place] != " "]
        return places[6:-4] if line[card].strip(_NO_NUMBER) else []

    def _parts(self, name: str | None, tcr: str) -> list[tuple[int, int]]:
        """Known fields one by one, and what lies between them."""
        if name is None:
            return [(4, 20), (20, RECORD_LENGTH)] if tcr == "0" else [(4, RECORD_LENGTH)]
        parts: list[tuple[int, int]] = []
        at = 4
        for start, end in self._fields.get((name, tcr), []):
            parts += [(at, start), (start, end)]
            at = end
        return [(start, end) for start, end in (*parts, (at, RECORD_LENGTH)) if end - start >= 7]
