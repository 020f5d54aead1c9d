"""What is around the entries of an MT message: its envelope, its head and its end, field by field.

The envelope (``{1:..}{2:I940..}{4:`` to ``-}{5:..}``) tells the type of message and whether it is a test (``{TNG:}``);
lines that banks put between messages say nothing. A bank's own sums in the last :86: (ING: ``D000001C000002D1,00C2,00``
and ``/SUM/1/2/1,00/2,00/``) are no part of the standard: if they agree that is a proof more, if not a note.
"""

import re
from typing import Final

from ledger_core.money import exponent_of
from reconciliation.formats.canonical import ReadOptions, Statement
from reconciliation.formats.notes import Notes
from reconciliation.formats.swift_mt_parts.balances import (
    Sums,
    account_of,
    balance_of,
    floor_of,
    number_of,
    sums_of,
)
from reconciliation.formats.swift_mt_parts.entry import plain_minor
from reconciliation.formats.swift_mt_parts.interim import MessageTotals, prove_sums
from reconciliation.formats.swift_mt_parts.pages import Message, Pages, PageSums, Sheet, reference_of
from reconciliation.formats.values import asset_of, refused, short_day_of

_DAMAGED: Final = "The file is cut or damaged; fetch it again from the sender."
_OTHER_FORMAT: Final = "Register the file under its own format."
_END_MARK: Final = re.compile(
    r"\n[ \t]*(?:-\}|-'|-[\x00-\x09\x0b-\x20\x7f-\xff]*(?=\n|\Z)|[-\x7f-\xff]*XXX[ \t]*(?=\n|\Z))"
)
_MESSAGES_MAX: Final = 100_000  # their statements are kept in memory
_TYPE: Final = re.compile(r"\{2:[IO](\d{3})", re.ASCII)
_WORDS: Final = re.compile(r"[A-Za-z]{4,}.*[A-Za-z]{4,}")
_REPEATS: Final = ("{PDE:", "{PDM:")
_SILENT: Final = frozenset({"", "12", "13", "20", "21", "86", "NS", "940", "942", "950"})
_ING: Final = (
    re.compile(r"D([0-9]{6})C([0-9]{6})D([0-9]{1,13}),([0-9]{0,4})C([0-9]{1,13}),([0-9]{0,4})", re.ASCII),
    re.compile(
        r"/SUM/([0-9]{1,6})/([0-9]{1,6})/([0-9]{1,13}),([0-9]{0,4})/([0-9]{1,13}),([0-9]{0,4})/", re.ASCII
    ),
)


class Envelope:
    """The blocks around messages. ``is_wrapped`` and ``is_ended`` are of the message that is being read."""

    def __init__(self, message_type: str, notes: Notes) -> None:
        self._type = message_type
        self._notes = notes
        self._next_is_wrapped = False
        self.is_wrapped = False
        self.is_ended = False
        self.test_mode = False

    def preamble(self, text: str) -> None:
        """What stands before the first message. Code ``not_this_format``."""
        if _WORDS.search(text.rpartition("{1:")[0] if "{1:" in text else text) is not None:
            self._notes.add("text before the first message", "byte 1")
        self._blocks(text)

    def next_message(self) -> None:
        """A :20: begins a message."""
        self.is_wrapped, self._next_is_wrapped = self._next_is_wrapped, False
        self.is_ended = False

    def field(self, value: str) -> None:
        """A field after which a message may end: whether it does, and what the next one's envelope says."""
        if "\n" in value:
            self.without_end(value)

    def without_end(self, value: str) -> str:
        """The field without the end of its message, if it has one."""
        matched = _END_MARK.search(value)
        start = matched.start() if matched is not None else value.find("\n{1:")
        self.is_ended = self.is_ended or matched is not None
        if start < 0:
            return value
        self._blocks(value[start:])
        return value[:start]

    def _blocks(self, text: str) -> None:
        if "{" not in text:
            return
        if "{TNG:" in text:
            self.test_mode = True
        if any(mark in text for mark in _REPEATS):
            self._notes.add("messages that the network marks as possible repeats", "their trailer")
        for named in _TYPE.findall(text):
            if named != self._type:
                raise refused("not_this_format", "block 2", f"MT{self._type}", f"MT{named}", _OTHER_FORMAT)
        self._next_is_wrapped = "{4:" in text


class Heads:
    """Messages field by field, their sums and their proofs."""

    def __init__(self, options: ReadOptions, message_type: str, notes: Notes) -> None:
        self._options = options
        self._type = message_type
        self._notes = notes
        self.pages = Pages(options, notes)
        self.message_no = 0
        self._begin(Message(""))

    def _begin(self, message: Message) -> None:
        self._message = message
        self._sheet: Sheet | None = None
        self._asset: str | None = None
        self.asset: str | None = None  # of entries, while they may stand
        self.exponent = 0
        self.statement_no = 0
        self.is_closed = False
        self._time: str | None = None
        self._floors: dict[str, int] = {}
        self._sums: dict[str, Sums] = {}
        self.totals = MessageTotals()

    @property
    def in_entries(self) -> bool:
        """Whether entries may come."""
        return self.asset is not None

    @property
    def may_end(self) -> bool:
        """Whether the message may end with the field that was just read."""
        return self.is_closed or self._type == "942"

    def begin(self, value: str, position: int) -> None:
        """A message: its :20:."""
        self.message_no += 1
        if self.message_no > _MESSAGES_MAX:
            raise refused(
                "limit", f"byte {position}, :20:", f"at most {_MESSAGES_MAX} messages", "more", _DAMAGED
            )
        place = f"message {self.message_no}, byte {position}"
        reference = self._options.card_tokens.masked(value.partition("\n")[0].strip()[:35])
        self._begin(Message(place, reference=reference or None))
        if self._type == "942":
            self.statement_no = len(self.pages.statements)

    def no_entries_here(self, place: str) -> Exception:
        """The refusal of an entry where none may stand."""
        opening = ":34F:" if self._type == "942" else ":60F: or :60M:"
        found = "an entry after the closing balance" if self.is_closed else "an entry before it"
        return refused("structure", f"{place}, :61:", f"entries between {opening} and the end", found)

    def field(self, tag: str, value: str, position: int) -> None:
        """A field that is no part of an entry."""
        place = f"message {self.message_no}, byte {position}, :{tag}:"
        first_line = value.partition("\n")[0]
        if tag in {"25", "25P"}:
            self._account(value, place)
        elif tag in {"28", "28C"}:
            numbers = number_of(first_line)
            if numbers is None:
                self._notes.add("statement numbers that are none", place)
            self._message.number, self._message.page = numbers or (None, None)
        elif tag in {"60F", "60M"}:
            self._open(tag, first_line, place)
        elif tag in {"62F", "62M"}:
            self._close(tag, first_line, place)
        elif tag in {"64", "65"}:
            self._availability(first_line, place)
        elif tag == "34F":
            self._floor(first_line, place)
        elif tag in {"90D", "90C"}:
            self._stated(tag, first_line, place)
        elif tag == "13D" or (tag == "13" and self._time is None):
            self._time = first_line.strip()[:15]
        elif tag == "86" and self.is_closed and self._sheet is not None:
            self._own_sums(first_line)
        elif tag not in _SILENT:
            self._notes.add(f"fields :{tag}:, which the standard has not here", place)

    def end(self, *, is_ended: bool, is_wrapped: bool) -> None:
        """The end of a message. Code ``truncated`` if it has none."""
        if self.message_no == 0:
            return
        place = f"{self._message.place}, at its end"
        if self._type == "942":
            if not self._sums and not is_ended:
                raise refused("truncated", place, ":90D: and :90C:, or the end mark", "neither", _DAMAGED)
        elif not self.is_closed:
            found = f"nothing after {self.totals.booked()[0]} entries"
            raise refused("truncated", place, ":62F: or :62M:, the closing balance", found, _DAMAGED)
        if is_wrapped and not is_ended:
            raise refused("truncated", place, "-}, which closes {4:", "none", _DAMAGED)
        if self._message.account is None:
            self._notes.add("messages without an account (:25:)", self._message.place)
        proofs, flags = self._prove_sums()
        if self._type == "942":
            self._tell_interim(proofs, flags)
        elif self._sheet is not None and (proofs or flags):
            self.pages.amend(proofs, flags)

    def finish(self) -> None:
        """The end of the file."""
        self.pages.finish()

    def _account(self, value: str, place: str) -> None:
        account = account_of(value)
        self._message.account = self._options.card_tokens.masked(account) if account else None
        if self._message.account != account:
            self._notes.add("accounts that read as a card number, truncated", place)

    def _open(self, tag: str, value: str, place: str) -> None:
        if self._type == "942":
            raise refused(
                "not_this_format", place, "MT942, which has no balances", "an opening balance", _OTHER_FORMAT
            )
        if self._sheet is not None:
            raise refused("structure", place, "one opening balance in a message", "another")
        opening = balance_of(value, place, is_final=tag == "60F")
        self._sheet = self.pages.open(self._message, opening)
        self.statement_no = self._sheet.statement_no
        self._take_asset(opening.asset)

    def _close(self, tag: str, value: str, place: str) -> None:
        if self._sheet is None or self.is_closed:
            found = "a second one" if self.is_closed else "no opening balance before it"
            raise refused("structure", place, "a closing balance after the opening one", found)
        count, movement_minor = self.totals.booked()
        sums = PageSums(movement_minor, count, self.totals.expected_count())
        self.is_closed, self.asset = True, None
        self.pages.close(self._sheet, balance_of(value, place, is_final=tag == "62F"), sums, place)

    def _availability(self, value: str, place: str) -> None:
        """:64: and :65: are no ledger balances: they must only be in the account's currency."""
        asset = value.strip()[7:10]
        if self._asset is not None and asset.isalpha() and asset.isupper() and asset != self._asset:
            raise refused("currency", place, f"{self._asset}, as in the opening balance", asset)

    def _floor(self, value: str, place: str) -> None:
        if self._type != "942":
            found = "a floor limit, as in MT942"
            raise refused("not_this_format", place, f"MT{self._type}", found, _OTHER_FORMAT)
        asset, sides, limit_minor = floor_of(value, place)
        if self._asset is not None and asset != self._asset:
            raise refused("currency", place, f"{self._asset}, as in the first :34F:", asset)
        self._floors |= dict.fromkeys(sides, limit_minor)
        self._take_asset(asset)

    def _stated(self, tag: str, value: str, place: str) -> None:
        if self._asset is None:
            opening = ":34F:" if self._type == "942" else ":60F:"
            raise refused("structure", place, f"{opening} before the sums", "none")
        sums = sums_of(value, place)
        if sums.asset != self._asset:
            raise refused("currency", place, f"{self._asset}, as above", sums.asset)
        if tag[2] in self._sums:
            raise refused("structure", place, f"one :{tag}: in a message", "another")
        self._sums[tag[2]] = sums

    def _take_asset(self, asset: str) -> None:
        self._asset = self.asset = asset
        self.exponent = exponent_of(asset)

    def _prove_sums(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        proofs, flags = [], []
        for side, stated in self._sums.items():
            place = f"message {self.message_no}, :90{side}:"
            floor_minor = self._floors.get(side, 0)
            proof, flag = prove_sums(
                side, stated, self.totals, floor_minor, place, options=self._options, notes=self._notes
            )
            proofs += [proof] if proof else []
            flags += [flag] if flag else []
        return tuple(proofs), tuple(flags)

    def _tell_interim(self, proofs: tuple[str, ...], flags: tuple[str, ...]) -> None:
        message, days = self._message, self.totals.days()
        count, movement_minor = self.totals.booked()
        time = self._time
        if time is not None:
            to_date = short_day_of(time[:6], f"{message.place}, :13D:")
        elif days is not None:
            to_date = days[1]
        else:
            raise refused("structure", message.place, ":13D: or an entry, which tells the day", "neither")
        asset = asset_of(self._asset, f"{message.place}, :34F:")
        page = f"/{message.page}" if message.page is not None else ""
        at = f" at {time}" if time else ""
        self.pages.add(
            Statement(
                statement_ref=f"{reference_of(message, to_date)}{page}{at}",
                account=message.account,
                asset=asset,
                sequence_no=None,  # of a day's reports; the statement at its end has the number that counts
                from_date=min(days[0], to_date) if days is not None else to_date,
                to_date=to_date,
                opening_minor=None,
                closing_minor=None,
                movement_minor=movement_minor,
                line_count=count,
                proofs=proofs,
                flags=flags,
                pending_count=self.totals.expected_count(),
                interim=True,
            )
        )

    def _own_sums(self, value: str) -> None:
        """ING's counts and sums of debits and credits."""
        matched = next((found for pattern in _ING if (found := pattern.search(value)) is not None), None)
        if matched is None or self._asset is None:
            return
        debit_count, credit_count, *amounts = matched.groups()
        exponent = exponent_of(self._asset)
        if max(len(amounts[1]), len(amounts[3])) > exponent:
            return
        debit_minor = plain_minor(amounts[0], amounts[1], exponent, "")
        credit_minor = plain_minor(amounts[2], amounts[3], exponent, "")
        stated = ((int(debit_count), debit_minor), (int(credit_count), credit_minor))
        if stated == (self.totals.side("D")[0], self.totals.side("C")[0]):
            self.pages.amend(("the bank's own counts and sums of debits and credits agree",), ())
        else:
            self._notes.add(
                "sums of the bank's own in :86: that differ from the entries", self._message.place
            )
