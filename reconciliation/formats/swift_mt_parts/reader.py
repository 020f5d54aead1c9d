"""Reads a file of MT940, MT942 or MT950 messages, however it is wrapped: the order of fields, ends, and what is where.

Law: a message is whole or the file is refused: MT940 and MT950 end with a closing balance, MT942 with its sums or its
end mark, and whatever was opened with ``{4:`` is closed with ``-}``. What a bank sends around messages says nothing.

Settings: ``dialect`` forces a dialect of :86: by name (see ``swift_mt_parts.dialects``); ``encoding`` names that of
texts, where it is neither UTF-8 nor Windows-1252 (old Hungarian and Polish programs write ibm852 or windows-1250).

A line inside an :86: may look like a field (``:26:37 Fo``, a time that wrapped). So between entries only fields that
may stand there are fields, and :20: only if the head of a message follows.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions, RowWriter
from reconciliation.formats.notes import Notes
from reconciliation.formats.swift_mt_parts.blocks import blocks, decoded_field, first_field, normalised
from reconciliation.formats.swift_mt_parts.dialects import BY_NAME
from reconciliation.formats.swift_mt_parts.entry import ENTRY, MARKS, entry_days, match_entry, plain_minor
from reconciliation.formats.swift_mt_parts.lines import COLUMNS, Lines
from reconciliation.formats.swift_mt_parts.messages import Envelope, Heads
from reconciliation.formats.values import refused

_SETTINGS: Final = ("dialect", "encoding")
_ENCODINGS: Final = (
    "ibm437",
    "ibm850",
    "ibm852",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "utf-8",
    "windows-1250",
    "windows-1252",
)
_DAYS_MAX: Final = 4_096
_ENTRY_ENDS: Final = frozenset({"62F", "62M", "64", "65", "90D", "90C"})
_HEAD_STARTS: Final = ("21:", "25:", "25P:", "28:", "28C:", "34F:", "60F:", "60M:", "13", "NS:", "12:", "86:")
_TAG: Final = re.compile(r"([0-9A-Z]{2,3}):", re.ASCII)
_MESSAGE_TYPE: Final = re.compile(rb"\{2:[IO](\d{3})")
_INTERIM: Final = re.compile(rb"\n:(?:34F|90[CD]):")
_ACCOUNT_OR_NUMBER: Final = re.compile(rb"\n:(?:25P?|28C?|60[FM]|62[FM]|34F):")


def type_in(head: bytes) -> str | None:
    """``940``, ``942`` or ``950`` if the head of a file looks like one; 950 is seen by its wrapper alone."""
    plain = normalised(head)
    start = first_field(plain)
    if start is None or _ACCOUNT_OR_NUMBER.search(plain, start) is None:
        return None
    wrapped = _MESSAGE_TYPE.findall(plain[:start])
    if wrapped:
        named = wrapped[-1].decode("ascii")
        return named if named in {"940", "942", "950"} else None
    return "942" if _INTERIM.search(plain, start) and b"\n:60F:" not in plain else "940"


def read_messages(stream: BinaryIO, options: ReadOptions, emit: Emit, message_type: str) -> ParsedDelivery:
    """Read and prove one file of one type of message, or raise ``RefusedFile``."""
    _check_settings(options.settings, message_type)
    reader = _Reader(options, emit, message_type)
    masked = options.card_tokens.masked
    try:
        return reader.read(stream)
    except RefusedFile as refusal:
        place = refusal.place if refusal.code != "sensitive_data" else f"{reader.place()}, {refusal.place}"
        raise RefusedFile(
            code=refusal.code,
            place=masked(place),
            expected=masked(refusal.expected),
            found=masked(refusal.found),
            remedy=refusal.remedy,
        ) from None


def _check_settings(settings: Mapping[str, str], message_type: str) -> None:
    problems = []
    for name in sorted(settings.keys() - set(_SETTINGS)):
        near = get_close_matches(name, _SETTINGS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        problems.append(f"settings of mt{message_type}: {name} is not known{hint}")
    for name, known in (("dialect", tuple(sorted(BY_NAME))), ("encoding", _ENCODINGS)):
        if name in settings and settings[name] not in known:
            problems.append(f"settings of mt{message_type}: {name} must be one of {', '.join(known)}")
    if problems:
        raise SourcesError(tuple(problems))


class _Reader:
    """Fields go by; an entry is finished when the next field comes that is no part of it."""

    def __init__(self, options: ReadOptions, emit: Emit, message_type: str) -> None:
        self._options = options
        self._notes = Notes()
        self._heads = Heads(options, message_type, self._notes)
        self._envelope = Envelope(message_type, self._notes)
        self._lines = Lines(options, options.settings.get("dialect"))
        self._writer = RowWriter(emit, COLUMNS)
        self._encoding = options.settings.get("encoding")
        self._type = message_type
        self._is_interim = message_type == "942"
        self._entry: str | None = None  # the :61: that is being read, its :86: parts, and where it begins
        self._narrative: list[str] = []
        self._offset = 0
        self._position = 0
        self._rows: list[tuple[object, ...]] = []
        self._record_no = 0
        self._days: dict[str, tuple[int, int]] = {}

    def place(self) -> str:
        """Where the reader is, for a refusal that does not know."""
        return f"entry {self._record_no}, byte {self._offset}"

    def read(self, stream: BinaryIO) -> ParsedDelivery:
        """The whole file."""
        options = self._options
        preamble, found = blocks(
            stream, bytes_max=options.bytes_max, field_length_max=max(options.field_length_max, 1)
        )
        self._envelope.preamble(preamble)
        for block in found:
            self._take(block.fields, block.offset)
        self._finish_message()
        self._writer.extend(self._rows)
        self._heads.finish()
        self._writer.flush()
        return ParsedDelivery(
            format_name=f"mt{self._type}",
            format_version=self._type,
            file_reference=None,  # session numbers of block 1 are zeros in most files
            test_mode=self._envelope.test_mode,
            statements=tuple(self._heads.pages.statements),
            notes=self._notes.texts(),
        )

    def _take(self, fields: list[str], position: int) -> None:
        """Fields one after another. ``position`` is the byte of the first, from 0."""
        entry, offset, narrative = self._entry, self._offset, self._narrative
        for index, field in enumerate(fields):
            mark = field[:3]
            if mark == "86:" and entry is not None:
                narrative.append(field[3:])
            elif mark == "61:":
                if entry is not None:
                    self._finish_entry(entry, offset, position)
                entry, offset = field, position
            else:
                self._entry, self._offset, self._position = entry, offset, position
                self._other(field, fields[index + 1] if index + 1 < len(fields) else "")
                entry = self._entry
            position += len(field) + 2
        self._entry, self._offset, self._position = entry, offset, position
        self._writer.extend(self._rows)
        self._rows.clear()
        if sum(map(len, narrative)) > self._options.field_length_max:
            raise refused(
                "limit", self.place(), f"at most {self._options.field_length_max} characters", "more"
            )

    def _other(self, field: str, following: str) -> None:
        """Every field but :61: and an entry's :86:; or a line of the text before it that looks like one."""
        matched = _TAG.match(field)
        tag = matched.group(1) if matched is not None else ""
        value = field[len(tag) + 1 :]
        entry = self._entry
        if tag == "20" and self._begins_message(following):
            self._finish_message()
            self._envelope.next_message()
            self._heads.begin(value, self._position)
        elif entry is not None and tag == "NS":
            self._narrative.append(field)
        elif entry is not None and tag not in _ENTRY_ENDS:
            self._continue(field)
        else:
            self._finish_open()
            self._heads.field(tag, value, self._position)
            if self._heads.may_end:
                self._envelope.field(value)

    def _begins_message(self, following: str) -> bool:
        """Whether a :20: is the head of the next message. In the text of an entry it is only if a head goes on."""
        return (self._entry is None and not self._heads.in_entries) or following.startswith(_HEAD_STARTS)

    def _continue(self, field: str) -> None:
        """A line that only looks like a field belongs to the field before it."""
        if self._narrative:
            self._narrative[-1] += "\n:" + field
        elif self._entry is not None:
            self._entry += "\n:" + field
        limit = self._options.field_length_max
        if len(self._narrative[-1] if self._narrative else self._entry or "") > limit:
            raise refused("limit", self.place(), f"at most {limit} characters a field", "more")

    def _finish_message(self) -> None:
        """The end of a message, or of the file."""
        if self._entry is not None:
            if self._type == "942":  # no closing balance: the end mark may stand in the last entry
                self._cut_end_mark()
            self._finish_open()
        self._heads.end(is_ended=self._envelope.is_ended, is_wrapped=self._envelope.is_wrapped)

    def _cut_end_mark(self) -> None:
        last = self._narrative[-1] if self._narrative else self._entry or ""
        kept = self._envelope.without_end(last)
        if self._narrative:
            self._narrative[-1] = kept
        else:
            self._entry = kept

    def _finish_open(self) -> None:
        """Finish the entry that is being read, if there is one."""
        entry, self._entry = self._entry, None
        if entry is not None:
            self._finish_entry(entry, self._offset, self._position)

    def _finish_entry(self, entry: str, offset: int, position: int) -> None:
        """The entry's line, and what it adds to the sums. ``position`` is that of the field behind it."""
        self._record_no += 1
        self._offset = offset
        heads = self._heads
        asset, exponent, totals = heads.asset, heads.exponent, heads.totals
        if asset is None:
            raise heads.no_entries_here(self.place())
        text = self._text() if self._narrative else ""
        if not entry.isascii():
            entry = decoded_field(entry, f"{self.place()}, :61:", self._encoding)
        matched = ENTRY.match(entry, 3)
        if matched is None or matched.group(8) is None:
            matched = match_entry(entry, self.place())
        value, booked, mark, funds, whole, _, decimals, type_code, references, supplementary = (
            matched.groups()
        )
        days = self._days.get(value + booked if booked else value)
        if days is None:
            days = self._new_days(value, booked)
        if whole is not None and decimals is not None and len(decimals) == exponent:
            amount_minor = int(whole + decimals)
        else:
            amount_minor = plain_minor(whole, decimals, exponent, f"{self.place()}, :61: amount")
        sign, status, reversal = MARKS[mark]
        if sign < 0:
            amount_minor = -amount_minor
        if funds and funds != asset[2]:
            self._notes.add(f"funds code {funds} in {asset}", self.place())
        counted = totals.by_mark[mark]
        counted[0] += 1
        counted[1] += amount_minor
        if self._is_interim:
            totals.see_day(days[0])
        if type_code is not None and type_code[3] == " ":
            type_code = type_code.rstrip()
        fields = self._lines.fields((amount_minor, asset, type_code, references, supplementary), text)
        line = (heads.statement_no, self._record_no, status, *days, amount_minor, asset, *fields)
        self._rows.append((*line, reversal, offset - 1, position - 1 - offset))

    def _text(self) -> str:
        """The :86: of the entry, or all of them, line by line."""
        narrative = self._narrative
        text = narrative[0] if len(narrative) == 1 else "\n".join(narrative)
        narrative.clear()
        if not text.isascii():
            text = decoded_field(text, f"{self.place()}, :86:", self._encoding)
        if len(text) > self._options.field_length_max:
            limit = self._options.field_length_max
            raise refused("limit", f"{self.place()}, :86:", f"at most {limit} characters", f"{len(text)}")
        text = text.strip()
        return text.replace("\n\n", "\n") if "\n\n" in text else text  # CR and LF are both line feeds here

    def _new_days(self, value: str, booked: str | None) -> tuple[int, int]:
        place = self.place()
        booking_day, value_day, is_thirty = entry_days(value, booked, place)
        if is_thirty:
            self._notes.add("value dates of 30 February, taken as its last day", place)
            return booking_day, value_day
        if len(self._days) >= _DAYS_MAX:
            self._days.clear()
        days = self._days[value + (booked or "")] = (booking_day, value_day)
        return days
