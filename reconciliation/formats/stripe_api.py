"""Reads what Stripe's API answers about balance transactions: JSON of one list, of a bare array, or one object a line.

Public document: docs.stripe.com/api/balance_transactions, as of the 2025 versions. One line per balance transaction,
one ``Statement`` per currency; balances are not stated. Law: net = amount - fee in every object, and its fee details
sum to its fee. Amounts are integers of the currency's minor unit, but for those that docs.stripe.com/currencies tells
apart: MGA has none there, ISK and UGX are written with two decimals that are always zero. A page that says that there
are more is refused as cut. A source that was expanded (``expand[]=data.source``) gives its references too.

Settings: ``booked_on`` (``created``, the default, or ``available_on``), ``time_zone`` (whose day a line is booked on,
UTC if not named), ``payout`` (the payout whose balance transactions these are: demanded to sum to zero with it) and
``merchant_reference_key`` (the metadata of a source that holds the merchant's reference, ``order_id`` if not named).

>>> sniff(b'{"object": "list", "data": [{"id": "txn_1", "object": "balance_transaction"')
True
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, BinaryIO, Final

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Emit, LineWriter, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.json_records import Envelope, JsonRecord, NumberText, json_records
from reconciliation.formats.report_settings import (
    checked_settings,
    masked_refusals,
    raise_problems,
    zone_named,
)
from reconciliation.formats.stripe_parts.columns import CATEGORY_BY_TYPE, KINDS, REVERSALS
from reconciliation.formats.stripe_parts.proofs import NOTES_MAX, refused
from reconciliation.formats.values import (
    asset_of,
    difference_in_words,
    exact_rate,
    fees_json,
    implied_minor,
    other_refs_json,
    reference,
    shown,
)

NAME: Final = "stripe.api"

_SETTINGS: Final = ("booked_on", "merchant_reference_key", "payout", "time_zone")
_BOOKED_ON: Final = ("created", "available_on")
_SNIFFED: Final = re.compile(rb'"object"\s*:\s*"balance_transaction"')
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_DECIMALS: Final = {"MGA": 0, "ISK": 2, "UGX": 2}  # where the API differs from ISO 4217
_FEE_TYPES: Final = {
    "stripe_fee": "processing",
    "application_fee": "commission",
    "payment_method_passthrough_fee": "scheme",
    "tax": "tax",
    "withheld_tax": "tax",
}
_FLAGS_MAX: Final = 100
_TEXT_LENGTH_MAX: Final = 4_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_MAX: Final = 253_402_300_799  # the last second of year 9999


def sniff(head: bytes) -> bool:
    """Whether it is JSON that holds a balance transaction."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["} and _SNIFFED.search(head) is not None


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known.

    ``record_no`` counts objects. A list needs the name ``data``.
    """
    settings = _read_settings(options.settings)
    with masked_refusals(options.card_tokens):
        envelope = Envelope(members={})
        reader = _Reader(options, settings, LineWriter(emit))
        for record in json_records(
            stream,
            "data",
            envelope=envelope,
            bytes_max=options.bytes_max,
            field_length_max=options.field_length_max,
        ):
            reader.add(record)
        _check_envelope(envelope)
        return reader.delivery()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    booked_on: str
    merchant_reference_key: str
    payout: str | None
    time_zone: tzinfo


def _read_settings(settings: Mapping[str, str]) -> _Settings:
    problems = checked_settings(settings, _SETTINGS)
    booked_on = settings.get("booked_on", _BOOKED_ON[0])
    if booked_on not in _BOOKED_ON:
        problems.append(f"booked_on must be one of {', '.join(_BOOKED_ON)}")
    zone = zone_named(settings, "time_zone", problems)
    raise_problems(problems, NAME)
    return _Settings(
        booked_on=booked_on,
        merchant_reference_key=settings.get("merchant_reference_key") or "order_id",
        payout=settings.get("payout") or None,
        time_zone=zone,
    )


def _check_envelope(envelope: Envelope) -> None:
    if envelope.members.get("has_more") is True:
        raise refused("truncated", "$.has_more", "all pages in one file", "a page that says there are more")
    if envelope.kind == "object" and envelope.members.get("object", "list") != "list":
        found = shown(str(envelope.members["object"]))
        raise refused("not_this_format", "$.object", "a list of balance transactions", found)


@dataclass(slots=True)
class _Part:
    """What the objects of one currency add up to."""

    number: int
    from_date: date
    to_date: date
    movement_minor: int = 0
    line_count: int = 0
    flags: tuple[str, ...] = ()


class _Reader:
    """Lines and sums while the objects go by."""

    def __init__(self, options: ReadOptions, settings: _Settings, writer: LineWriter) -> None:
        self._options, self._settings, self._writer = options, settings, writer
        self._parts: dict[str, _Part] = {}
        self._notes: set[str] = set()
        self._test_mode = False

    def add(self, record: JsonRecord) -> None:
        """Check one balance transaction and add its line."""
        told, place = record.value, record.place
        if told.get("object", "balance_transaction") != "balance_transaction":
            raise refused(
                "not_this_format", f"{place}.object", "a balance_transaction", shown(str(told["object"]))
            )
        asset = asset_of(_text(told, "currency", place).upper(), f"{place}.currency")
        gross, fee, net = (
            _minor(told.get(name), asset, f"{place}.{name}") for name in ("amount", "fee", "net")
        )
        created = _instant(told.get("created"), f"{place}.created")
        available = _instant(told.get("available_on"), f"{place}.available_on")
        booked = created if self._settings.booked_on == "created" else available
        booking_date = booked.astimezone(self._settings.time_zone).date()
        part = self._part(asset, booking_date)
        part.movement_minor += net
        part.line_count += 1
        self._check_net(record, asset, part, (gross, fee, net))
        older_type = _optional(told.get("type"))
        category = _optional(told.get("reporting_category")) or CATEGORY_BY_TYPE.get(older_type, older_type)
        source = told.get("source")
        expanded = source if isinstance(source, dict) else {}
        source_id = reference(_optional(expanded.get("id") if expanded else source))
        kind = self._kind(category)
        if expanded.get("livemode") is False:
            self._test_mode = True
        is_payout = kind == "payout"
        self._writer.add(
            statement_no=part.number,
            record_no=record.record_no,
            native_id=_text(told, "id", place),
            booking_date=booking_date,
            value_date=available.date(),
            event_at=created,
            amount_minor=net,
            asset=asset,
            fee_minor=fee,
            fees=self._fees(record, asset, part, fee),
            ref_psp=None if is_payout else source_id,
            ref_payout=source_id if is_payout else None,
            ref_merchant=self._merchant_reference(expanded),
            batch_ref=None if is_payout else self._settings.payout,
            text=self._masked(told.get("description")),
            kind=kind,
            type_code=category or None,
            reversal=category in REVERSALS,
            byte_offset=record.byte_offset,
            byte_length=record.byte_length,
            **_original(told, expanded, asset, gross, place),
            **self._references(expanded, source_id),
        )

    def delivery(self) -> ParsedDelivery:
        """Return what was read, statements as their currencies first appear."""
        statements = tuple(self._statement(asset, part) for asset, part in self._parts.items())
        self._writer.flush()
        if not statements:
            self._notes.add("no balance transactions")
        return ParsedDelivery(
            format_name=NAME,
            format_version="v1",
            file_reference=self._settings.payout,
            test_mode=self._test_mode,
            statements=statements,
            notes=tuple(sorted(self._notes)),
            ids_may_repeat=False,
        )

    def _statement(self, asset: str, part: _Part) -> Statement:
        if abs(part.movement_minor) > MAX_AMOUNT_MINOR:
            raise refused("amount", f"all objects in {asset}", "a sum within 64 bits", "more")
        proofs = [] if part.flags else [f"net = amount - fee in {part.line_count} objects"]
        payout = self._settings.payout
        if payout is not None and part.movement_minor:
            rest = format_minor(part.movement_minor, exponent_of(asset))
            flag = self._options.demand(
                refused("control_total", f"payout {payout[:40]}", f"its objects in {asset} to sum to 0", rest)
            )
            part.flags = (*part.flags, flag)
        elif payout is not None:
            proofs.append(f"payout {payout[:40]}: {part.line_count} objects with the payout itself = 0")
        return Statement(
            statement_ref=":".join((part.to_date.isoformat(), asset, payout or "api")),
            account=None,
            asset=asset,
            sequence_no=None,
            from_date=part.from_date,
            to_date=part.to_date,
            opening_minor=None,
            closing_minor=None,
            movement_minor=part.movement_minor,
            line_count=part.line_count,
            proofs=tuple(proofs),
            flags=part.flags,
        )

    def _part(self, asset: str, day: date) -> _Part:
        part = self._parts.get(asset)
        if part is None:
            part = self._parts[asset] = _Part(len(self._parts), day, day)
        part.from_date, part.to_date = min(part.from_date, day), max(part.to_date, day)
        return part

    def _check_net(self, record: JsonRecord, asset: str, part: _Part, amounts: tuple[int, int, int]) -> None:
        gross, fee, net = amounts
        if net != gross - fee:
            exponent = exponent_of(asset)
            expected = f"{format_minor(gross - fee, exponent)} {asset}, the amount less the fee"
            found = f"{format_minor(net, exponent)}: {difference_in_words(gross - fee, net, asset)}"
            self._demand(part, refused("control_total", f"{record.place}.net", expected, found))

    def _fees(self, record: JsonRecord, asset: str, part: _Part, fee: int) -> str | None:
        details = record.value.get("fee_details")
        if not details or not isinstance(details, list):
            return fees_json([("processing", fee, asset, True)] if fee else [])
        fees = []
        for index, detail in enumerate(details):
            place = f"{record.place}.fee_details[{index}]"
            if not isinstance(detail, dict):
                raise refused("structure", place, "an object", type(detail).__name__)
            amount = _minor(detail.get("amount"), asset, f"{place}.amount")
            fees.append((_FEE_TYPES.get(str(detail.get("type")), "other"), amount, asset, True))
            if _optional(detail.get("currency"), "").upper() not in {"", asset}:
                raise refused("currency", f"{place}.currency", asset, shown(str(detail["currency"])))
        total = sum(amount for _, amount, _, _ in fees)
        if total != fee:
            exponent = exponent_of(asset)
            expected = f"{format_minor(fee, exponent)} {asset}, the fee"
            found = (
                f"fee details of {format_minor(total, exponent)}: {difference_in_words(fee, total, asset)}"
            )
            self._demand(part, refused("control_total", f"{record.place}.fee_details", expected, found))
        return fees_json(fees)

    def _demand(self, part: _Part, refusal: RefusedFile) -> None:
        flag = self._options.demand(refusal)
        if len(part.flags) < _FLAGS_MAX:
            part.flags = (*part.flags, flag)

    def _kind(self, category: str) -> str:
        kind = KINDS.get(category)
        if kind is None and len(self._notes) < NOTES_MAX:
            self._notes.add(f"reporting category {category[:40]!r} is not known, read as adjustment")
        return kind or "adjustment"

    def _merchant_reference(self, expanded: Mapping[str, Any]) -> str | None:
        metadata = expanded.get("metadata")
        found = metadata.get(self._settings.merchant_reference_key) if isinstance(metadata, dict) else None
        return reference(_optional(found))

    def _masked(self, text: Any) -> str | None:
        return (
            self._options.card_tokens.masked(text)[:_TEXT_LENGTH_MAX]
            if text and isinstance(text, str)
            else None
        )

    def _references(self, expanded: Mapping[str, Any], source_id: str | None) -> dict[str, str | None]:
        """What an expanded source says: the payment behind it, its customer, why it came back, who paid."""
        if not expanded:
            return {}
        charge = reference(_optional(_id_of(expanded.get("charge"))))
        billing = expanded.get("billing_details")
        return {
            "other_refs": other_refs_json(
                original=charge if charge != source_id else None,
                transaction=reference(_optional(_id_of(expanded.get("payment_intent")))),
                customer=reference(_optional(_id_of(expanded.get("customer")))),
                invoice=reference(_optional(_id_of(expanded.get("invoice")))),
            ),
            "reason_code": reference(_optional(expanded.get("reason"))),
            "counterparty": self._masked(billing.get("name")) if isinstance(billing, dict) else None,
        }


def _original(
    told: Mapping[str, Any], expanded: Mapping[str, Any], asset: str, gross: int, place: str
) -> dict[str, Any]:
    """The rate of a conversion, and what the customer paid where the source was expanded."""
    rate = told.get("exchange_rate")
    if rate is None:
        return {}
    if not isinstance(rate, NumberText):
        raise refused("structure", f"{place}.exchange_rate", "a number", shown(str(rate)))
    found = exact_rate(rate)
    values: dict[str, Any] = {"fx_rate": rate[:40]}
    if found is not None:
        values |= {"fx_numerator": found[0], "fx_denominator": found[1]}
    original = _optional(expanded.get("currency"), "").upper()
    if original and original != asset:
        amount = _minor(
            expanded.get("amount"), asset_of(original, f"{place}.source.currency"), f"{place}.source.amount"
        )
        signed = -abs(amount) if gross < 0 else abs(amount)
        values |= {"original_amount_minor": signed, "original_asset": original}
    return values


def _text(told: Mapping[str, Any], name: str, place: str) -> str:
    text = told.get(name)
    if not isinstance(text, str) or isinstance(text, NumberText) or not text.strip():
        raise refused("structure", f"{place}.{name}", "a text", shown(str(text)))
    return text.strip()


def _optional(text: Any, default: str = "") -> str:
    return text if isinstance(text, str) else default


def _id_of(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else value


def _minor(text: Any, asset: str, place: str) -> int:
    """Minor units of an integer of the API."""
    if not isinstance(text, NumberText) or _INTEGER.fullmatch(text) is None:
        raise refused("amount", place, "an integer of at most 18 digits", shown(str(text)))
    if asset not in _DECIMALS:
        return int(text)
    exponent = exponent_of(asset)
    unsigned = implied_minor(text.lstrip("-"), place, decimals=_DECIMALS[asset], exponent=exponent)
    return -unsigned if text[0] == "-" else unsigned


def _instant(text: Any, place: str) -> datetime:
    if isinstance(text, NumberText) and _INTEGER.fullmatch(text) and 0 <= int(text) <= _SECONDS_MAX:
        return _EPOCH + timedelta(seconds=int(text))
    raise refused("date", place, "seconds since 1970", shown(str(text)))
