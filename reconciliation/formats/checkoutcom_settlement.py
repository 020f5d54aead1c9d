"""Reads Checkout.com's settlement breakdown report (CSV): what a payout of one entity and currency is made of.

Public document: checkout.com/docs, settlement breakdown report (September 2025). One line per row, one ``Statement``
per entity, payout and holding currency. Law: gross + deduction = net in every row, to the last digit. Worked example:
50 - 1.5 = 48.5, of the deduction 0.9 for processing and 0.6 for the schemes.

The report tells up to eight decimals. A line is its net rounded half away from zero, whatever stands beside it; what
the rounding takes or gives in a payout is one more line at the end, so that a statement moves by the exact sum. The
report states neither its payout nor a number of rows: the payouts report does, and a row missing at the end cannot be
told. Setting: ``time_zone`` (the entity's settlement zone; without it a line has an instant only if the report has
the times in UTC).

>>> sniff(b"Client Entity ID,Payout ID,Gross In Holding Currency,Deduction In Holding Currency,Net In Holding Currency")
True
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, tzinfo
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats import values
from reconciliation.formats.canonical import Emit, LineWriter, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.delimited_rows import DelimitedRows, Integers
from reconciliation.formats.report_columns import (
    ReportColumns,
    bounded,
    columns_named,
    emit_columns,
    fees_included,
    grouped,
    other_references,
    sums_by,
)
from reconciliation.formats.report_settings import (
    checked_settings,
    header_names,
    masked_refusals,
    raise_problems,
    zone_named,
)

NAME: Final = "checkoutcom.settlement_breakdown"

_GROSS, _DEDUCTION, _NET = (f"{name} In Holding Currency" for name in ("Gross", "Deduction", "Net"))
_REQUIRED: Final = (
    *(
        "Client Entity ID",
        "Type",
        "Payment ID",
        "Reference",
        "Processed On",
        "Available On",
        "Holding Currency",
    ),
    *("Payout ID", _GROSS, _DEDUCTION, _NET),
)
_FEES: Final = {
    "processing": "Processing Fee In Holding Currency",
    "scheme": "Scheme Fee In Holding Currency",
    "interchange": "Interchange In Holding Currency",
    "tax": "Tax In Holding Currency",
}
_KINDS: Final = {
    "charge": "charge",
    "capture": "charge",
    "payment": "charge",
    "refund": "refund",
    "refund reversal": "refund",
    "chargeback": "chargeback",
    "chargeback reversal": "chargeback_reversal",
    "chargeback reversed": "chargeback_reversal",
    "merchant payout": "payout",
    "payout": "transfer",
    "card payout": "transfer",
    "void": "fee",
    "account updater": "fee",
    "network token provisioning": "fee",
    "network token update": "fee",
}
_FINE_DECIMALS: Final = 8
_PARTS_MAX: Final = 20_000
_NOTES_MAX: Final = 200
_FLAGS_MAX: Final = 100
_ARN: Final = re.compile(r"[0-9]{23}", re.ASCII)
_REMEDY: Final = "Request the report again in the Dashboard; if it says the same, ask Checkout.com."


def sniff(head: bytes) -> bool:
    """Whether the first line is the header of a settlement breakdown."""
    return header_names(head) >= {"Client Entity ID", "Payout ID", _GROSS, _DEDUCTION, _NET}


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one report, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known.

    ``record_no`` counts rows with the header as row 1. ``batch_ref`` is the payout.
    """
    problems = checked_settings(options.settings, ("time_zone",))
    zone = zone_named(options.settings, "time_zone", problems) if options.settings.get("time_zone") else None
    raise_problems(problems, NAME)
    with masked_refusals(options.card_tokens):
        rows = DelimitedRows(stream, bytes_max=options.bytes_max, field_length_max=options.field_length_max)
        header = rows.header()
        if {"Payout ID", "Payout Amount"} <= set(header):
            remedy = "Deliver the settlement breakdown report; the payouts report tells what is to arrive at the bank."
            raise _refused(
                "not_this_format", "header row", "the settlement breakdown", "the payouts report", remedy
            )
        named = columns_named(header, required=_REQUIRED, remedy="Request the settlement breakdown report.")
        reader = _Reader(options, zone, emit)
        for batch in rows.batches(len(header)):
            reader.add(ReportColumns(batch, named))
        if not rows.last_line_ended:
            raise _refused(
                "truncated", "the last row", "a line that is ended", "the end of the file inside it"
            )
        return reader.delivery()


def _refused(code: str, place: str, expected: str, found: str, remedy: str = _REMEDY) -> RefusedFile:
    return values.refused(code, place, expected, found, remedy)


@dataclass(slots=True)
class _Part:
    """The rows of one entity, payout and currency."""

    entity: str
    payout: str | None
    asset: str
    number: int
    from_date: date
    to_date: date
    movement_minor: int = 0
    exact_fine: int = 0  # in units of eight decimals
    line_count: int = 0
    flags: tuple[str, ...] = ()


class _Reader:
    """Lines and sums while the batches of rows go by."""

    def __init__(self, options: ReadOptions, zone: tzinfo | None, emit: Emit) -> None:
        self._options, self._zone, self._emit = options, zone, emit
        self._parts: dict[tuple[str, str | None, str], _Part] = {}
        self._notes: dict[str, None] = {}
        self._last_row_no = 1

    def add(self, columns: ReportColumns) -> None:
        """Check the rows and emit their lines."""
        assets = columns.assets("Holding Currency")
        amounts = _Amounts(columns, assets)
        booking_dates = columns.days("Processed On")
        self._demand_days(columns, booking_dates)
        parts = self._add_to_parts(columns, assets, amounts, booking_dates)
        self._check_nets(columns, assets, amounts, parts)
        types = [text.strip().lower() for text in columns.texts("Type")]
        on_its_own = (amounts.gross == 0).tolist()
        kinds = [self._kind(name, alone) for name, alone in zip(types, on_its_own, strict=True)]
        payouts = columns.values("Payout ID") or []
        fee = np.where(amounts.gross == 0, 0, amounts.gross - amounts.net)
        emit_columns(
            self._emit,
            {
                "statement_no": parts,
                "native_id": columns.values("Action ID"),
                "booking_date": booking_dates,
                "value_date": columns.days("Available On"),
                "settlement_date": columns.days("Payout Date"),
                "event_at": self._instants(columns),
                "amount_minor": amounts.net,
                "asset": assets,
                "fee_minor": fee,
                "fees": amounts.fees(),
                **_originals(columns, assets, amounts),
                "ref_psp": columns.references("Payment ID"),
                "ref_merchant": columns.references("Reference"),
                "ref_payout": [
                    payout if kind == "payout" else None for kind, payout in zip(kinds, payouts, strict=True)
                ],
                "ref_arn": self._arns(columns),
                "other_refs": other_references(merchant_id=columns.values("Client Entity ID")),
                "batch_ref": payouts,
                "kind": kinds,
                "type_code": columns.values("Type"),
                "reversal": ["revers" in name for name in types],
            },
            batch=columns.batch,
        )
        self._last_row_no = int(columns.batch.row_nos[-1])

    def delivery(self) -> ParsedDelivery:
        """Add what the rounding took or gave, and return what was read."""
        writer = LineWriter(self._emit)
        statements = tuple(self._statement(part, writer) for part in self._parts.values())
        writer.flush()
        self._note(
            "the report says neither how many rows it has nor its payout; a row at its end may be missing"
        )
        return ParsedDelivery(
            format_name=NAME,
            format_version="settlement breakdown",
            file_reference=None,
            test_mode=False,
            statements=statements,
            notes=tuple(sorted(self._notes)),
        )

    def _statement(self, part: _Part, writer: LineWriter) -> Statement:
        exponent = exponent_of(part.asset)
        exact_minor = _rounded(part.exact_fine, 10 ** (_FINE_DECIMALS - exponent))
        if abs(exact_minor) > MAX_AMOUNT_MINOR:
            raise _refused("amount", f"payout {part.payout}", "a sum within 64 bits", "more")
        rest_minor = exact_minor - part.movement_minor
        if rest_minor:
            self._last_row_no += 1
            writer.add(
                statement_no=part.number,
                record_no=self._last_row_no,
                booking_date=part.to_date,
                amount_minor=rest_minor,
                asset=part.asset,
                batch_ref=part.payout,
                text="what rounding the rows to minor units leaves of their exact sum",
                kind="adjustment",
                type_code="rounding",
            )
            self._note(
                f"payout {part.payout or 'not named'} in {part.asset}: rows with fractions of minor units, "
                f"which leave {format_minor(rest_minor, exponent)} as a line of its own"
            )
        exact = format_minor(part.exact_fine, _FINE_DECIMALS).rstrip("0").rstrip(".")
        sentence = f"gross + deduction = net in {part.line_count} rows, which sum to {exact} {part.asset}"
        return Statement(
            statement_ref=":".join((part.entity, part.payout or part.to_date.isoformat(), part.asset)),
            account=part.entity,
            asset=part.asset,
            sequence_no=None,
            from_date=part.from_date,
            to_date=part.to_date,
            opening_minor=None,
            closing_minor=None,
            movement_minor=exact_minor,
            line_count=part.line_count + bool(rest_minor),
            proofs=() if part.flags else (sentence,),
            flags=part.flags,
        )

    def _add_to_parts(
        self, columns: ReportColumns, assets: Sequence[str], amounts: "_Amounts", days: Any
    ) -> Integers:
        """Count a batch of rows in their statements, and give the number of each row's."""
        entities, of_entity = grouped(columns.values("Client Entity ID") or [])
        payouts, of_payout = grouped(columns.values("Payout ID") or [])
        names, of_asset = grouped(assets)
        codes = (of_entity * len(payouts) + of_payout) * len(names) + of_asset
        keys, firsts, groups = np.unique(codes, return_index=True, return_inverse=True)
        sums, exact = sums_by(groups, amounts.net, len(keys)), sums_by(groups, amounts.exact[_NET], len(keys))
        numbers = np.zeros(len(keys), dtype=np.int64)
        for place in np.argsort(firsts).tolist():
            first = int(firsts[place])
            key = (entities[int(of_entity[first])], payouts[int(of_payout[first])], assets[first])
            part = self._part(columns, first, key)
            chosen = groups == place
            ends: Any = pc.min_max(days.filter(pa.array(chosen))).as_py()
            part.from_date, part.to_date = min(part.from_date, ends["min"]), max(part.to_date, ends["max"])
            part.movement_minor += sums[place]
            part.exact_fine += exact[place] * amounts.fineness
            part.line_count += int(chosen.sum())
            numbers[place] = part.number
        return numbers[groups]

    def _part(self, columns: ReportColumns, index: int, key: tuple[str | None, str | None, str]) -> _Part:
        entity, payout, asset = key
        if entity is None:
            raise _refused("structure", columns.place(index, "Client Entity ID"), "an entity", "nothing")
        part = self._parts.get((entity, payout, asset))
        if part is None:
            if len(self._parts) >= _PARTS_MAX:
                raise _refused(
                    "limit", columns.place(index, "Payout ID"), f"at most {_PARTS_MAX} payouts", "more"
                )
            part = _Part(entity, payout, asset, len(self._parts), date.max, date.min)
            self._parts[entity, payout, asset] = part
        return part

    def _check_nets(
        self, columns: ReportColumns, assets: Sequence[str], amounts: "_Amounts", parts: Integers
    ) -> None:
        exact = amounts.exact
        for index in np.flatnonzero(exact[_GROSS] + exact[_DEDUCTION] != exact[_NET]).tolist():
            gross, deduction, net = (columns.texts(name)[index] for name in (_GROSS, _DEDUCTION, _NET))
            expected = f"the gross {gross} and the deduction {deduction} in {assets[index]}"
            flag = self._options.demand(_refused("control_total", columns.place(index, _NET), expected, net))
            part = next(one for one in self._parts.values() if one.number == parts[index])
            if len(part.flags) < _FLAGS_MAX:
                part.flags = (*part.flags, flag)

    def _demand_days(self, columns: ReportColumns, days: Any) -> None:
        if days.null_count:
            missing = pc.index(days.is_null(), pa.scalar(value=True)).as_py()
            raise _refused("date", columns.place(missing, "Processed On"), "a date", "nothing")

    def _kind(self, name: str, on_its_own: bool) -> str:
        """A row without gross is a fee of its own, whatever it was charged for."""
        kind = _KINDS.get(name)
        if kind is None:
            self._note(f"type {name[:40]!r} is not known, read as {'fee' if on_its_own else 'adjustment'}")
        return "fee" if on_its_own else kind or "adjustment"

    def _note(self, text: str) -> None:
        if len(self._notes) < _NOTES_MAX:
            self._notes[text] = None

    def _instants(self, columns: ReportColumns) -> Any:
        if columns.has("Processed On UTC"):
            return columns.instants("Processed On UTC", UTC)
        return columns.instants("Processed On", self._zone) if self._zone is not None else None

    def _arns(self, columns: ReportColumns) -> list[str | None] | None:
        found = columns.references("Acquirer Reference Number")
        return found and [text if text is not None and _ARN.fullmatch(text) else None for text in found]


class _Amounts:
    """Gross, deduction, net and fees of a batch: exact as told, and rounded to minor units."""

    def __init__(self, columns: ReportColumns, assets: Sequence[str]) -> None:
        self._assets = assets
        names = [_GROSS, _DEDUCTION, _NET, *(name for name in _FEES.values() if columns.has(name))]
        exponents = np.array([exponent_of(asset) for asset in assets], dtype=np.int64)
        told = max(columns.decimals(name) for name in names)
        decimals = min(max(told, int(exponents.max())), _FINE_DECIMALS)
        self.fineness = 10 ** (_FINE_DECIMALS - decimals)
        self.exact = {name: bounded(columns.scaled(name, decimals), columns, name) for name in names}
        unit = np.power(10, decimals - exponents)
        self._rounded = {
            name: np.sign(one) * ((np.abs(one) + unit // 2) // unit) for name, one in self.exact.items()
        }
        self.gross, self.net = self._rounded[_GROSS], self._rounded[_NET]

    def fees(self) -> list[str | None]:
        """Each fee by its type; what the deduction has beyond them (reserves, conversion, rounding) is another."""
        parts = {kind: -self._rounded[name] for kind, name in _FEES.items() if name in self._rounded}
        total = np.sum(np.stack([*parts.values(), np.zeros_like(self.net)]), axis=0)
        others = self.gross - self.net - total
        return fees_included(
            self._assets, **{name: one.tolist() for name, one in parts.items()}, other=others.tolist()
        )


def _rounded(exact: int, unit: int) -> int:
    """Half away from zero."""
    rounded = (abs(exact) + unit // 2) // unit
    return -rounded if exact < 0 else rounded


def _originals(columns: ReportColumns, assets: Sequence[str], amounts: _Amounts) -> dict[str, list[Any]]:
    """What the customer paid where it was processed in another currency, and the rate in the direction that fits."""
    names = ("original_amount_minor", "original_asset", "fx_rate", "fx_numerator", "fx_denominator")
    found: dict[str, list[Any]] = {name: [None] * columns.count for name in names}
    texts, rates = columns.texts("Gross In Processing Currency"), columns.texts("FX Rate Applied")
    for index, currency in enumerate(columns.texts("Processing Currency")):
        asset = currency.strip().upper()
        if not asset or asset == assets[index] or not amounts.gross[index]:
            continue
        values.asset_of(asset, columns.place(index, "Processing Currency"))
        original = values.minor_of(texts[index], asset, columns.place(index, "Gross In Processing Currency"))
        found["original_amount_minor"][index], found["original_asset"][index] = original, asset
        found["fx_rate"][index] = rates[index].strip()[:40] or None
        rate = values.exact_rate(rates[index].strip())
        for numerator, denominator in () if rate is None else (rate, rate[::-1]):
            if _fits(original, int(amounts.gross[index]), numerator, denominator, asset, assets[index]):
                found["fx_numerator"][index], found["fx_denominator"][index] = numerator, denominator
                break
    return found


def _fits(original: int, gross: int, *rate_and_assets: Any) -> bool:
    """Whether a rate turns the original into the gross, within a unit and a ten-thousandth for a rounded rate."""
    numerator, denominator, original_asset, asset = rate_and_assets
    up = original * numerator * 10 ** exponent_of(asset)
    down = denominator * 10 ** exponent_of(original_asset)
    return bool(abs(up - gross * down) * 10_000 <= max(10_000 * down, abs(up)))
