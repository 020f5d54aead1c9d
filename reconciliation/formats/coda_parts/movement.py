"""One CODA movement with all that belongs to its sequence number, as values of lines.

A movement (detail number 0000) may sum others (types 1 and 2): its details are then the lines, if they add up to it.
It may be explained by parts (type 8; type 9 of a detail): gross, charges, tax, interest, which are no movements of
their own and become its fees. Law: the lines of a movement sum to it, always; details that do not are kept as one line
with a note.

    2.1 0001 0000  type 1   1000.00       lines: 250.00 (detail 1 of 1000.00)
    2.1 0001 0001  type 5    250.00              750.00 (detail 2 of 1000.00)
    2.1 0001 0002  type 5    750.00
"""

from datetime import date
from typing import Any, Final

from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.coda_parts.codes import PARTS, fee_type_of, kind_of
from reconciliation.formats.coda_parts.communication import Said
from reconciliation.formats.fixed_width import Notes, card_of, day_month_year, tidy
from reconciliation.formats.values import fees_json, joined, other_refs_json, reference, refused

DETAILS_HELD_MAX: Final = 10_000
"""Details of one movement that are held until they prove; detail numbers have four digits."""

_ATTACHED_MAX: Final = 10_000  # parts and information records of one movement or detail
_R_TRANSACTIONS: Final = frozenset("12345")  # reject, return, refund, reversal, cancellation
_CHEQUES: Final = frozenset({"03", "43"})
_NO_DATE: Final = frozenset({"000000", "      "})
_NO_RECORD: Final = " " * 128


class Movement:
    """The records of one movement or detail, as they stand; ``end`` is the byte after the last of them."""

    __slots__ = (
        "amount_minor",
        "end",
        "first",
        "information",
        "line_no",
        "offset",
        "parts",
        "second",
        "third",
    )

    def __init__(self, text: str, amount_minor: int, line_no: int, offset: int, length: int) -> None:
        self.first = text
        self.second = self.third = _NO_RECORD
        self.amount_minor = amount_minor
        self.line_no = line_no
        self.offset = offset
        self.end = offset + length
        self.information: list[list[str]] = []  # each the records 3.1 to 3.3 of one communication
        self.parts: list[Movement] = []

    def go_on(self, text: str) -> None:
        """Add record 2.2 or 2.3, each once and in order."""
        if text[1] == "2" and self.second is _NO_RECORD and self.third is _NO_RECORD:
            self.second = text
        elif text[1] == "3" and self.third is _NO_RECORD:
            self.third = text
        else:
            raise refused(
                "structure", "record 2, article code (2)", "1, 2 or 3, each once and in order", text[1]
            )

    def inform(self, text: str) -> None:
        """Add a record 3.1, which begins a communication, or 3.2 or 3.3, which goes on with it."""
        if text[1] == "1":
            if len(self.information) >= _ATTACHED_MAX:
                raise refused("limit", "record 3.1", f"at most {_ATTACHED_MAX} of one movement", "more")
            self.information.append([text])
            return
        records = self.information[-1] if self.information else []
        if not records or text[1] != str(len(records) + 1) or text[2:10] != records[0][2:10]:
            raise refused(
                "structure", f"record 3.{text[1]}", "the record 3 before it, of the same numbers", "none"
            )
        records.append(text)


class Group:
    """A movement and its details, one after the other."""

    def __init__(
        self, head: Movement, *, statement_no: int, asset: str, options: ReadOptions, notes: Notes
    ) -> None:
        self.head = head
        self.current = head  # what the next record belongs to
        self.last_detail = head.first[6:10]  # detail number of the last record; information records count on
        self._details: list[Movement] = []
        self._statement_no = statement_no
        self._asset = asset
        self._options = options
        self._notes = notes
        self._gone_count = 0  # details that left before all were there
        self._gone_minor = 0
        self._booked_on = day_month_year(head.first[115:121], "record 2.1, entry date (116-121)")

    def add(self, detail: Movement) -> list[dict[str, Any]]:
        """Add a detail or part; gives the lines that need not wait."""
        self.current = detail
        self.last_detail = detail.first[6:10]
        if detail.first[53] in PARTS:
            owner = self._details[-1] if self._details and detail.first[53] == "9" else self.head
            if len(owner.parts) >= _ATTACHED_MAX:
                raise refused("limit", "record 2.1", f"at most {_ATTACHED_MAX} parts of one movement", "more")
            owner.parts.append(detail)
            return []
        lines = self._leaves() if len(self._details) >= DETAILS_HELD_MAX else []
        self._details.append(detail)
        return lines

    def lines(self) -> list[dict[str, Any]]:
        """The lines that are left, once the movement is at its end."""
        if not self._details:
            return [self._line(self.head)]
        if self._gone_minor + sum(detail.amount_minor for detail in self._details) == self.head.amount_minor:
            return self._leaves()
        if self._gone_count:
            place = f"record 2.1, sequence number {self.head.first[2:6]}"
            raise refused("structure", place, "details that add up to their movement", "another sum")
        self._notes.add(
            "details that do not add up to their movement, which is kept as one line",
            f"line {self.head.line_no}",
        )
        return [self._line(self.head)]

    def _leaves(self) -> list[dict[str, Any]]:
        """The held details as lines of their own."""
        head = self.head
        batch_ref = reference(tidy(head.second[63:98])) or reference(tidy(head.first[10:31]))
        details, self._details = self._details, []
        lines = []
        for detail_no, detail in enumerate(details, start=self._gone_count + 1):
            line = self._line(detail)
            line["record_no"] = head.line_no
            line["detail_no"] = detail_no
            line["batch_minor"] = head.amount_minor
            line["batch_ref"] = batch_ref
            lines.append(line)
        self._gone_count += len(details)
        self._gone_minor += sum(detail.amount_minor for detail in details)
        return lines

    def _line(self, movement: Movement) -> dict[str, Any]:
        first, second, third = movement.first, movement.second, movement.third
        amount_minor, tokens, code = movement.amount_minor, self._options.card_tokens, first[53:61]
        values: dict[str, Any]
        if first[61] == "1" or movement.information or movement.parts:
            values, text, whole_name = self._said(movement)
        else:
            values, text, whole_name = {}, tidy(first[62:115] + second[10:63] + third[82:125]), ""
            if "++" in text or "**" in text:
                values, text, whole_name = self._said(movement)
        returned = second[112] in _R_TRANSACTIONS or "reversal" in values
        values["statement_no"] = self._statement_no
        values["record_no"] = movement.line_no
        values["booking_date"] = self._booked_on
        values["value_date"] = _value_date(first) or _value_date(self.head.first)
        values["amount_minor"] = amount_minor
        values["asset"] = self._asset
        values["ref_servicer"] = reference(first[10:31])
        values["kind"] = kind_of(code, returned=returned, raises=amount_minor > 0)
        values["type_code"] = code
        values["reversal"] = returned
        values["byte_offset"] = movement.offset
        end = movement.parts[-1].end if movement.parts else movement.end
        values["byte_length"] = end - movement.offset
        values["text"] = tokens.masked(text) or None
        if second is not _NO_RECORD:
            self._add_references(values, second, code)
        name = ""
        if third is not _NO_RECORD:
            values["counterparty_account"] = _account_of(third[10:47])
            name = tidy(third[47:82])
        if whole_name and whole_name.startswith(name):
            name = whole_name  # the information record has it all where the movement had no room
        if name:
            values["counterparty"] = tokens.masked(name)
        if movement.parts:
            self._add_fees(values, movement)
        return values

    def _said(self, movement: Movement) -> tuple[dict[str, Any], str, str]:
        """Values, text and name of the counterparty by the communications of a movement and of its parts."""
        said = Said(
            amount_minor=movement.amount_minor,
            asset=self._asset,
            place=f"line {movement.line_no}",
            cheque=movement.first[54:56] in _CHEQUES,
            card_tokens=self._options.card_tokens,
            notes=self._notes,
        )
        for told in (movement, *movement.parts):
            _communications(told, said)
        if said.others:
            said.values["other_refs"] = other_refs_json(**said.others)
        return said.values, joined(said.texts) or "", said.name

    def _add_references(self, values: dict[str, Any], second: str, code: str) -> None:
        customer_ref = reference(tidy(second[63:98]))
        if customer_ref is not None:
            card = card_of(customer_ref, self._options.card_tokens)
            if card is not None:
                values["card_token"], values["card_truncated"] = card
            elif code[0] in "12":  # the customer's reference of a sum is that of the batch
                values["batch_ref"] = customer_ref
            else:
                values["ref_end_to_end"] = customer_ref
        values["counterparty_bic"] = second[98:109].strip() or None
        reason = second[113:117].strip()
        if reason:
            values["reason_code"] = reason

    def _add_fees(self, values: dict[str, Any], movement: Movement) -> None:
        """Parts that are fees, if all parts together are the movement. A movement that is a fee keeps nothing back."""
        if sum(part.amount_minor for part in movement.parts) != movement.amount_minor:
            self._notes.add(
                "parts that do not add up to their movement, not read as fees", f"line {movement.line_no}"
            )
            return
        fees = [
            (kind, -part.amount_minor, self._asset, True)
            for part in movement.parts
            if (kind := fee_type_of(part.first[58:61])) is not None
        ]
        values["fees"] = fees_json(fees)
        if len(fees) < len(movement.parts) and values["kind"] != "fee":
            values["fee_minor"] = sum(fee[1] for fee in fees)


def _communications(movement: Movement, said: Said) -> None:
    first = movement.first
    zone = first[62:115] + movement.second[10:63] + movement.third[82:125]
    said.movement(zone, structured=first[61] == "1")
    for texts in movement.information:
        zone = texts[0][40:113]
        if len(texts) > 1:
            zone += texts[1][10:115]
        if len(texts) > 2:
            zone += texts[2][10:100]
        said.information(zone, structured=texts[0][39] == "1")


def _value_date(first: str) -> date | None:
    text = first[47:53]
    return None if text in _NO_DATE else day_month_year(text, "record 2.1, value date (48-53)")


def _account_of(field: str) -> str | None:
    """The account of the other side without its currency, which follows after blanks or at the field's end."""
    words = field[:34].split()
    if len(words) > 1 and words[-1][:3].isalpha() and len(words[-1]) in (3, 4, 6):
        del words[-1]
    return " ".join(words) or None
