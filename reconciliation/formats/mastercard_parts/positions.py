"""What the scheme says a file adds up to: currency summaries, financial and settlement positions (1644/680, 685, 688).

Law: such a message must agree with itself (net = credits - debits, total = net + fees, counts add up), and with the
records that it sums up wherever these are in the same delivery: number of records, amounts in the currency of the
transaction and of reconciliation. Positions of one group may come in parts, so that sums are compared, at the end.
A settlement position must equal the financial positions of its file and currency. Messages about files that are not in
the delivery (those that we sent) prove themselves only.

Layout of the subelements from several open programs that agree; D and C are taken as the sides of whoever gets the
file. Amounts are compared whatever their side: the records' own side is proved by nothing here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.mastercard_parts.elements import (
    FUNCTION_CURRENCY_SUMMARY,
    FUNCTION_FINANCIAL_POSITION,
    FUNCTION_SETTLEMENT_POSITION,
)
from reconciliation.formats.mastercard_parts.framing import refused
from reconciliation.formats.mastercard_parts.messages import Message

POSITION_FUNCTIONS: Final = frozenset(
    {FUNCTION_CURRENCY_SUMMARY, FUNCTION_FINANCIAL_POSITION, FUNCTION_SETTLEMENT_POSITION}
)
POSITION_FIELDS: Final = frozenset(
    {"0300", "0372", "0374", "0378", "0380", "0381", "0384", "0390", "0391", "0392", "0393", "0394", "0395"}
    | {"0396", "0400", "0401", "0402"}
)

_FEE_LENGTH: Final = 18  # PDS 0392 and 0393: type of fee 2, side 1, amount 15
_DIGITS_MAX: Final = 18
_GROUPS_MAX: Final = 100_000

# File id; message type and function code; processing code; O or R; currencies of DE 49 and DE 50.
_Key = tuple[str, str, str, str, str, str]


@dataclass(slots=True)
class _Sums:
    """Number of records and their amounts in the currency of the transaction and in that of reconciliation."""

    count: int = 0
    transaction_minor: int = 0
    reconciled_minor: int = 0


@dataclass(slots=True, kw_only=True)
class _Stated:
    """The same, as positions state them; None where none of them did. ``place`` is that of the last one."""

    function: str
    messages: int = 0
    count: int | None = None
    transaction_minor: int | None = None
    reconciled_minor: int | None = None
    place: str = ""


@dataclass(slots=True, kw_only=True)
class Findings:
    """What the positions proved, by file id, and what a person waived."""

    proofs: dict[str, list[str]] = field(default_factory=dict)
    flags: dict[str, list[str]] = field(default_factory=dict)
    elsewhere: int = 0  # messages about files that are not in the delivery


class Positions:
    """Adds up records and positions while they go by; ``findings`` compares them."""

    def __init__(self, demand: Callable[[RefusedFile], str]) -> None:
        self._demand = demand
        self._records: dict[_Key, _Sums] = {}
        self._stated: dict[_Key, _Stated] = {}
        self._nets: dict[
            tuple[str, str, str], list[int]
        ] = {}  # function, file id, currency: sum and messages
        self._findings = Findings()

    def record(
        self, file_id: str, message: Message, reversal: bool, transaction_minor: int, reconciled_minor: int
    ) -> None:
        """One financial message of a file."""
        elements = message.elements
        number = elements[49]
        key = (
            file_id,
            message.message_type + elements.get(24, ""),
            elements[3][:2],
            "R" if reversal else "O",
            number,
            elements.get(50, number),
        )
        sums = self._records.get(key)
        if sums is None:
            sums = self._records[key] = _Sums()
        sums.count += 1
        sums.transaction_minor += transaction_minor
        sums.reconciled_minor += reconciled_minor

    def position(self, message: Message, fields: Mapping[str, str], file_id: str) -> None:
        """One 1644/680, 685 or 688 in the logical file ``file_id``."""
        function = message.elements.get(24, "")
        place = f"record {message.record_no} (1644/{function})"
        about = fields.get("0300") or file_id
        if len(self._stated) + len(self._nets) > _GROUPS_MAX:
            raise refused(code="limit", place=place, expected=f"at most {_GROUPS_MAX} groups", found="more")
        amounts = _Amounts(fields, place)
        for refusal in amounts.contradictions():
            self._flag(about, self._demand(refusal))
        if function != FUNCTION_SETTLEMENT_POSITION:
            self._add_stated(message, fields, function, about, amounts)
        currency = message.elements.get(50) or message.elements.get(49, "")
        if function != FUNCTION_CURRENCY_SUMMARY and amounts.total is not None:
            net = self._nets.setdefault((function, about, currency), [0, 0])
            net[0] += amounts.total
            net[1] += 1

    def findings(self, file_ids: frozenset[str]) -> Findings:
        """Compare what was stated with what was read, for the files of this delivery."""
        for key, stated in self._stated.items():
            if key[0] in file_ids:
                self._compare(key, stated)
            else:
                self._findings.elsewhere += stated.messages
        self._compare_settlement()
        return self._findings

    def _add_stated(
        self, message: Message, fields: Mapping[str, str], function: str, about: str, amounts: "_Amounts"
    ) -> None:
        mark = fields.get("0378", "").strip()
        summary = function == FUNCTION_CURRENCY_SUMMARY
        key = (
            about,
            "" if summary else fields.get("0372", "").strip(),
            "" if summary else fields.get("0374", "").strip()[:2],
            mark if mark in ("O", "R") and not summary else "",
            message.elements.get(49, ""),
            "" if summary else message.elements.get(50, ""),
        )
        stated = self._stated.setdefault(key, _Stated(function=function))
        stated.messages += 1
        stated.place = f"record {message.record_no} (1644/{function})"
        stated.count = _plus(stated.count, amounts.count)
        stated.transaction_minor = _plus(stated.transaction_minor, amounts.gross("0380", "0381"))
        stated.reconciled_minor = _plus(stated.reconciled_minor, amounts.gross("0390", "0391"))

    def _compare(self, key: _Key, stated: _Stated) -> None:
        read = _Sums()
        for record_key, sums in self._records.items():
            if all(not asked or asked == found for asked, found in zip(key, record_key, strict=True)):
                read.count += sums.count
                read.transaction_minor += sums.transaction_minor
                read.reconciled_minor += sums.reconciled_minor
        wrong = False
        for what, said, found in (
            ("number of records (PDS 0402)", stated.count, read.count),
            ("amounts of transactions (PDS 0380 and 0381)", stated.transaction_minor, read.transaction_minor),
            ("amounts of reconciliation (PDS 0390 and 0391)", stated.reconciled_minor, read.reconciled_minor),
        ):
            if said is not None and said != found:
                wrong = True
                group = ", ".join(part for part in key[1:] if part)
                refusal = refused(
                    code="control_total",
                    place=f"{stated.place}, {what}",
                    expected=f"{found}: that is what the records of {group or 'the file'} come to",
                    found=f"{said}",
                )
                self._flag(key[0], self._demand(refusal))
        if not wrong:
            self._proved(
                key[0],
                f"{stated.messages} messages 1644/{stated.function} agree with the {read.count} records they sum up",
            )

    def _compare_settlement(self) -> None:
        for (function, about, currency), (settled, messages) in self._nets.items():
            positions = self._nets.get((FUNCTION_FINANCIAL_POSITION, about, currency))
            if function != FUNCTION_SETTLEMENT_POSITION or positions is None:
                continue
            if settled == positions[0]:
                self._proved(
                    about,
                    f"settlement of {settled} (1644/688) is the sum of {positions[1]} positions (1644/685)",
                )
            else:
                refusal = refused(
                    code="control_total",
                    place=f"1644/{function} of file {about}, currency {currency}",
                    expected=f"{positions[0]}, the sum of {positions[1]} messages 1644/685",
                    found=f"{settled} in {messages} messages",
                )
                self._flag(about, self._demand(refusal))

    def _flag(self, file_id: str, sentence: str) -> None:
        self._findings.flags.setdefault(file_id, []).append(sentence)

    def _proved(self, file_id: str, sentence: str) -> None:
        self._findings.proofs.setdefault(file_id, []).append(sentence)


class _Amounts:
    """The figures of one position, credits positive."""

    def __init__(self, fields: Mapping[str, str], place: str) -> None:
        self._place = place
        self._signed = {
            tag: self._amount(tag, fields[tag])
            for tag in ("0380", "0381", "0384", "0390", "0391", "0394", "0395", "0396")
            if fields.get(tag, "").strip()
        }
        fees = [tag for tag in ("0392", "0393") if fields.get(tag, "").strip()]
        self._fees_minor = sum(self._fee_sum(tag, fields[tag]) for tag in fees) if fees else None
        self._counts = {
            tag: self._number(tag, fields[tag])
            for tag in ("0400", "0401", "0402")
            if fields.get(tag, "").strip()
        }

    @property
    def count(self) -> int | None:
        """Number of records."""
        if "0402" in self._counts:
            return self._counts["0402"]
        parts = [self._counts[tag] for tag in ("0400", "0401") if tag in self._counts]
        return sum(parts) if parts else None

    @property
    def total(self) -> int | None:
        """Net of amounts and fees in the currency of reconciliation."""
        if "0396" in self._signed:
            return self._signed["0396"]
        net = self._net("0390", "0391", "0394")
        fees = self._signed.get("0395", self._fees_minor)
        return None if net is None and fees is None else (net or 0) + (fees or 0)

    def gross(self, debit_tag: str, credit_tag: str) -> int | None:
        """Debits and credits added up whatever their side; None if there are none."""
        parts = [abs(self._signed[tag]) for tag in (debit_tag, credit_tag) if tag in self._signed]
        return sum(parts) if parts else None

    def contradictions(self) -> list[RefusedFile]:
        """Every figure that does not follow from the others."""
        signed = self._signed
        checks = [
            ("0384", signed.get("0384"), self._parts("0380", "0381")),
            ("0394", signed.get("0394"), self._parts("0390", "0391")),
            ("0395", signed.get("0395"), self._fees_minor),
            (
                "0402",
                self._counts.get("0402"),
                None if len(self._counts) < 3 else self._counts["0400"] + self._counts["0401"],
            ),
        ]
        if "0394" in signed and "0395" in signed:
            checks.append(("0396", signed.get("0396"), signed["0394"] + signed["0395"]))
        return [
            refused(
                code="control_total",
                place=f"{self._place}, PDS {tag}",
                expected=f"{computed}, as the other figures of the message give",
                found=str(stated),
            )
            for tag, stated, computed in checks
            if stated is not None and computed is not None and stated != computed
        ]

    def _net(self, debit_tag: str, credit_tag: str, net: str) -> int | None:
        return self._signed[net] if net in self._signed else self._parts(debit_tag, credit_tag)

    def _parts(self, debit_tag: str, credit_tag: str) -> int | None:
        parts = [self._signed[tag] for tag in (debit_tag, credit_tag) if tag in self._signed]
        return sum(parts) if parts else None

    def _amount(self, tag: str, text: str) -> int:
        side, digits = text[:1], text[1:].strip()
        if side not in ("C", "D"):
            raise self._bad(tag, "C or D, then digits")
        return self._number(tag, digits) * (1 if side == "C" else -1)

    def _fee_sum(self, tag: str, text: str) -> int:
        if len(text) % _FEE_LENGTH:
            raise self._bad(tag, f"groups of {_FEE_LENGTH} characters")
        return sum(
            self._amount(tag, text[at + 2 : at + _FEE_LENGTH]) for at in range(0, len(text), _FEE_LENGTH)
        )

    def _number(self, tag: str, text: str) -> int:
        text = text.strip()
        if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX):
            raise self._bad(tag, f"1 to {_DIGITS_MAX} digits")
        return int(text)

    def _bad(self, tag: str, expected: str) -> RefusedFile:
        return refused(
            code="amount", place=f"{self._place}, PDS {tag}", expected=expected, found="something else"
        )


def _plus(total: int | None, part: int | None) -> int | None:
    return total if part is None else part + (total or 0)
