"""Reads settled transactions, refunds and disputes of Braintree (JSON): an array, objects one after another, or the
answer to a GraphQL search.

Public document: developer.paypal.com/braintree/graphql/reference (2025). One line per movement of money, one
``Statement`` per merchant account, day of disbursement and settlement currency. Braintree tells neither a payout nor a
total: what is disbursed on a day is the sum of its lines, and that is what arrives at the bank. Law: a refund lowers
the balance, a transaction raises it, a dispute does as its disbursed events say, whatever sign is written; an array
must be closed, a page must be the last one. What is not disbursed yet is pending, what never will be is information.

A disbursed amount may be in another currency than the payment: then the payment is the original and the exchange rate
is settlement per original. Fees are billed apart and are not in these objects.

>>> sniff(b'[{"id": "dHJ", "status": "SETTLED", "disbursementDetails": {"date": "2026-11-16"')
True
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, BinaryIO, Final

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of, format_minor
from reconciliation.formats.braintree_objects import (
    card,
    day,
    events,
    instant,
    member,
    money,
    objects_of,
    optional_text,
    payment_references,
    refused,
    settlement_batch,
    text_of,
)
from reconciliation.formats.canonical import Emit, LineWriter, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.json_records import JsonRecord, json_records
from reconciliation.formats.report_settings import checked_settings, masked_refusals, raise_problems
from reconciliation.formats.values import exact_rate, other_refs_json

NAME: Final = "braintree.settlement"

_PENDING: Final = frozenset(
    {"AUTHORIZED", "AUTHORIZING", "SETTLED", "SETTLEMENT_PENDING", "SETTLING", "SUBMITTED_FOR_SETTLEMENT"}
)
_REFUND_ID: Final = "cmVmdW5k"  # the beginning of every refund's id: base64 of "refund"
_PARTS_MAX: Final = 20_000
_NOTES_MAX: Final = 200


def sniff(head: bytes) -> bool:
    """Whether it is JSON that tells of a disbursement or of a dispute."""
    begins = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["}
    return begins and (b'"disbursementDetails"' in head or b'"amountDisputed"' in head)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read one file, or raise ``RefusedFile``. It takes no settings; ``SourcesError`` for any.

    ``record_no`` counts objects, ``detail_no`` the movements of a dispute. A line is booked on its disbursement day.
    """
    raise_problems(checked_settings(options.settings, ()), NAME)
    with masked_refusals(options.card_tokens):
        reader = _Reader(options, LineWriter(emit))
        for record in json_records(
            stream, "transactions", bytes_max=options.bytes_max, field_length_max=options.field_length_max
        ):
            reader.add(record)
        return reader.delivery()


@dataclass(slots=True)
class _Part:
    """The lines of one merchant account, disbursement day and currency."""

    account: str
    asset: str
    disbursed_on: date | None
    number: int
    from_date: date
    to_date: date
    movement_minor: int = 0
    line_count: int = 0
    pending_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Movement:
    """What one object does to the balance at one time."""

    kind: str
    amount_minor: int
    asset: str
    booked_on: date
    disbursed_on: date | None  # None: not yet, or never
    status: str = "booked"
    detail_no: int | None = None
    event: str = ""


class _Reader:
    """Lines and sums while the objects go by."""

    def __init__(self, options: ReadOptions, writer: LineWriter) -> None:
        self._options, self._writer = options, writer
        self._parts: dict[tuple[str, date | None, str], _Part] = {}
        self._notes: dict[str, None] = {}
        self._record_no = 0

    def add(self, record: JsonRecord) -> None:
        """Check one object, or the objects of a page, and add their lines."""
        for place, told in objects_of(record.value, record.place):
            self._record_no += 1
            self._add_object(told, place, record)

    def _add_object(self, told: Mapping[str, Any], place: str, record: JsonRecord) -> None:
        is_dispute = "amountDisputed" in told
        if not is_dispute and not {"amount", "status"} <= told.keys():
            expected = "a transaction, refund or dispute of Braintree"
            raise refused("not_this_format", place, expected, f"members {', '.join(sorted(told))[:100]}")
        identification = text_of(told, "id", place)
        account_holder = member(told, "transaction", place, optional=True) if is_dispute else told
        account = optional_text(told, "merchantAccountId") or optional_text(
            account_holder, "merchantAccountId"
        )
        if account is None:
            raise refused("structure", f"{place}.merchantAccountId", "a merchant account", "nothing")
        if told.get("disputes"):
            self._note(
                "disputes told inside their transactions are not read; search for disputes to have them"
            )
        movements = _dispute_movements(told, place) if is_dispute else [self._payment_movement(told, place)]
        shared = self._shared(told, account_holder, place) | {
            "record_no": self._record_no,
            "byte_offset": record.byte_offset,
            "byte_length": record.byte_length,
        }
        for movement in movements:
            part = self._part(account, movement, place)
            if movement.status == "booked":
                part.movement_minor += movement.amount_minor
                part.line_count += 1
            else:
                part.pending_count += 1
            self._writer.add(
                **shared,
                **({} if is_dispute else self._original(told, movement, place)),
                statement_no=part.number,
                detail_no=movement.detail_no,
                native_id=f"{identification}:{movement.event}" if movement.event else identification,
                status=movement.status,
                booking_date=movement.booked_on,
                settlement_date=movement.disbursed_on,
                amount_minor=movement.amount_minor,
                asset=movement.asset,
                kind=movement.kind,
                type_code=movement.event.partition(":")[0] or text_of(told, "status", place),
            )

    def delivery(self) -> ParsedDelivery:
        """Return what was read, statements as they first appear."""
        self._writer.flush()
        self._note(
            "Braintree states neither a payout nor totals; only the bank's line proves what was disbursed"
        )
        return ParsedDelivery(
            format_name=NAME,
            format_version="GraphQL",
            file_reference=None,
            test_mode=False,
            statements=tuple(_statement(part) for part in self._parts.values()),
            notes=tuple(sorted(self._notes)),
            ids_may_repeat=False,
        )

    def _payment_movement(self, told: Mapping[str, Any], place: str) -> _Movement:
        """A transaction raises the balance, a refund lowers it, in the settlement currency once it is disbursed."""
        is_refund = told.get("refundedTransaction") is not None or told.get("__typename") == "Refund"
        is_refund = is_refund or text_of(told, "id", place).startswith(_REFUND_ID)
        disbursement = member(told, "disbursementDetails", place, optional=True)
        path = f"{place}.disbursementDetails"
        disbursed_on = day(disbursement, "date", path)
        status = text_of(told, "status", place)
        held = disbursement.get("fundsHeld") is True
        if status == "SETTLED" and disbursed_on is not None and not held:
            amount_minor, asset = money(disbursement, "amount", path)
            booked_on, line_status = disbursed_on, "booked"
        else:
            amount_minor, asset = money(told, "amount", place)
            booked_on = disbursed_on or instant(told, "createdAt", place).date()
            line_status = "pending" if status in _PENDING else "info"
            disbursed_on = None
        if amount_minor < 0 and not is_refund:
            found = format_minor(amount_minor, exponent_of(asset))
            raise refused("amount", f"{path}.amount.value", "a transaction that raises the balance", found)
        return _Movement(
            kind="refund" if is_refund else "charge",
            amount_minor=-abs(amount_minor) if is_refund else amount_minor,
            asset=asset,
            booked_on=booked_on,
            disbursed_on=disbursed_on,
            status=line_status,
        )

    def _shared(self, told: Mapping[str, Any], payment: Mapping[str, Any], place: str) -> dict[str, Any]:
        """What every line of the object says."""
        is_dispute = payment is not told
        refunded = member(told, "refundedTransaction", place, optional=True)
        original = payment if is_dispute else refunded
        created = "receivedDate" if is_dispute else "createdAt"
        legacy_id = optional_text(told, "legacyId")
        return {
            "ref_psp": legacy_id or text_of(told, "id", place),
            "ref_merchant": optional_text(told, "orderId") or optional_text(payment, "orderId"),
            **payment_references(told),
            "other_refs": other_refs_json(
                transaction=text_of(told, "id", place) if legacy_id else None,
                original=optional_text(original, "legacyId") or optional_text(original, "id"),
                dispute=optional_text(told, "caseNumber") if is_dispute else None,
            ),
            "batch_ref": settlement_batch(told),
            "event_at": None if is_dispute or told.get(created) is None else instant(told, created, place),
            "reason_code": optional_text(told, "reason") if is_dispute else None,
            **card(payment, place, self._options.card_tokens),
        }

    def _part(self, account: str, movement: _Movement, place: str) -> _Part:
        key = (account, movement.disbursed_on, movement.asset)
        part = self._parts.get(key)
        if part is None:
            if len(self._parts) >= _PARTS_MAX:
                raise refused("limit", place, f"at most {_PARTS_MAX} accounts, days and currencies", "more")
            part = _Part(
                account,
                movement.asset,
                movement.disbursed_on,
                len(self._parts),
                movement.booked_on,
                movement.booked_on,
            )
            self._parts[key] = part
        part.from_date, part.to_date = (
            min(part.from_date, movement.booked_on),
            max(part.to_date, movement.booked_on),
        )
        return part

    def _original(self, told: Mapping[str, Any], movement: _Movement, place: str) -> dict[str, Any]:
        """What the customer paid where it was disbursed in another currency, and the rate; else it must be the same."""
        if movement.status != "booked":
            return {}
        paid_minor, paid_asset = money(told, "amount", place)
        if paid_asset == movement.asset:
            if abs(paid_minor) != abs(movement.amount_minor):
                self._note(f"{place}: disbursed is not the amount of the payment, as in others perhaps")
            return {}
        rate = optional_text(member(told, "disbursementDetails", place), "exchangeRate")
        fraction = exact_rate(rate) or (None, None)
        return {
            "original_amount_minor": -abs(paid_minor) if movement.amount_minor < 0 else abs(paid_minor),
            "original_asset": paid_asset,
            "fx_rate": rate[:40] if rate else None,
            "fx_numerator": fraction[0],
            "fx_denominator": fraction[1],
        }

    def _note(self, text: str) -> None:
        if len(self._notes) < _NOTES_MAX:
            self._notes[text] = None


def _statement(part: _Part) -> Statement:
    if abs(part.movement_minor) > MAX_AMOUNT_MINOR:
        raise refused("amount", f"merchant account {part.account[:40]}", "a sum within 64 bits", "more")
    when = part.disbursed_on.isoformat() if part.disbursed_on is not None else "not disbursed"
    return Statement(
        statement_ref=f"{part.account}:{when}:{part.asset}",
        account=part.account,
        asset=part.asset,
        sequence_no=None,
        from_date=part.from_date,
        to_date=part.to_date,
        opening_minor=None,
        closing_minor=None,
        movement_minor=part.movement_minor,
        line_count=part.line_count,
        pending_count=part.pending_count,
    )


def _dispute_movements(told: Mapping[str, Any], place: str) -> Iterator[_Movement]:
    """A debit for the event that took the money, a credit for one that gave it back; else one line of information."""
    disputed_minor, asset = money(told, "amountDisputed", place)
    received = day(told, "receivedDate", place)
    found = False
    for index, event in enumerate(events(told)):
        path = f"{place}.statusHistory[{index}]"
        disbursed_on = day(event, "disbursementDate", path)
        if disbursed_on is None:
            continue
        found = True
        status = text_of(event, "status", path)
        won = status == "WON"
        amount_minor = money(told, "amountWon", place)[0] if won and told.get("amountWon") else disputed_minor
        yield _Movement(
            kind="chargeback_reversal" if won else "chargeback",
            amount_minor=abs(amount_minor) if won else -abs(amount_minor),
            asset=asset,
            booked_on=disbursed_on,
            disbursed_on=disbursed_on,
            detail_no=index + 1,
            event=f"{status}:{disbursed_on.isoformat()}",
        )
    if not found:
        if received is None:
            raise refused("date", f"{place}.receivedDate", "a date", "nothing")
        yield _Movement(
            kind="chargeback",
            amount_minor=-abs(disputed_minor),
            asset=asset,
            booked_on=received,
            disbursed_on=None,
            status="info",
            event=text_of(told, "status", place),
        )
