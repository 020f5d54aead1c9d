"""Reads Adyen's settlement details report (CSV), whatever set of its documented columns it was run with.

Public document: docs.adyen.com, settlement details report (2025). One line per row, one ``Statement`` per merchant
account, batch and net currency. Law: the rows of a batch in a currency sum to zero with its MerchantPayout, or with
what Balancetransfer carries to the next batch; else it is refused. The report has no end mark: this sum is what tells
a file that was cut. Worked example: Settled 1.00 - 0.22 = 0.78, MerchantPayout -0.78.

Amounts are those of the net currency; gross stands as the original where it is in another. The payments accounting
report and the other Adyen reports are refused by name. Setting: ``time_zone`` (an IANA zone for the report's clock;
without it the abbreviation in each row is looked up).

>>> sniff(b"Company Account,Merchant Account,Psp Reference,Type,Net Debit (NC),Net Credit (NC),Batch Number\\n")
True
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, tzinfo
from typing import Any, BinaryIO, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ledger_core.money import MAX_AMOUNT_MINOR, exponent_of, format_minor
from reconciliation.errors import RefusedFile
from reconciliation.formats import values
from reconciliation.formats.adyen_columns import FEES, KINDS, PAYOUT, READ, REQUIRED, REVERSALS, ZONES
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.delimited_rows import DelimitedRows, Integers
from reconciliation.formats.report_columns import (
    ReportColumns,
    bounded,
    columns_named,
    emit_columns,
    fees_included,
    grouped,
    masked_texts,
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

NAME: Final = "adyen.settlement_detail"

_SNIFFED: Final = frozenset(
    {"Merchant Account", "Psp Reference", "Net Debit (NC)", "Net Credit (NC)", "Batch Number"}
)
_PARTS_MAX: Final = 20_000
_NOTES_MAX: Final = 200
_PAYOUT_ID: Final = re.compile(r"TX[0-9A-Z]{6,30}", re.ASCII)
_ARN: Final = re.compile(r"[0-9]{23}", re.ASCII)
_BATCH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_REMEDY: Final = "Generate the report again in the Customer Area; if it says the same, ask Adyen."


def sniff(head: bytes) -> bool:
    """Whether the first line is the header of a settlement details report."""
    return header_names(head) >= _SNIFFED


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one report, or raise ``RefusedFile``; ``SourcesError`` for settings that are not known.

    ``record_no`` counts rows with the header as row 1. ``batch_ref`` is the batch; the payout's own row has the
    payment's id (TX...) as ``ref_payout``.
    """
    problems = checked_settings(options.settings, ("time_zone",))
    zone = zone_named(options.settings, "time_zone", problems) if options.settings.get("time_zone") else None
    raise_problems(problems, NAME)
    with masked_refusals(options.card_tokens):
        rows = DelimitedRows(stream, bytes_max=options.bytes_max, field_length_max=options.field_length_max)
        header = rows.header()
        if {"Record Type", "Payable (SC)"} <= set(header):
            remedy = "Subscribe to the settlement details report, which is closed by its payout, and deliver that one."
            found = "the payments accounting report, which nothing closes"
            raise _refused("not_this_format", "header row", "the settlement details report", found, remedy)
        # a column beyond those read may come twice, as some accounts have it
        named = columns_named(
            [name if name in READ else f"{place}:{name}" for place, name in enumerate(header)],
            required=REQUIRED,
            remedy="Generate the settlement details report with its standard columns.",
        )
        reader = _Reader(options, zone, emit)
        for batch in rows.batches(len(header)):
            reader.add(ReportColumns(batch, named))
        parsed = reader.delivery()
        proved = parsed.statements and not any(one.flags for one in parsed.statements)
        if not rows.last_line_ended and (header[-1] in READ or not proved):
            raise _refused(
                "truncated", "the last row", "a line that is ended", "the end of the file inside it"
            )
        return parsed


def _refused(code: str, place: str, expected: str, found: str, remedy: str = _REMEDY) -> RefusedFile:
    return values.refused(code, place, expected, found, remedy)


@dataclass(slots=True)
class _Part:
    """The rows of one merchant account, batch and net currency."""

    account: str
    batch: str
    asset: str
    number: int
    from_date: date
    to_date: date
    movement_minor: int = 0
    line_count: int = 0
    paid_minor: int = 0
    payout_count: int = 0
    payout_rows: list[int] = field(default_factory=list)


class _Reader:
    """Lines and sums while the batches of rows go by."""

    def __init__(self, options: ReadOptions, zone: tzinfo | None, emit: Emit) -> None:
        self._options, self._zone, self._emit = options, zone, emit
        self._parts: dict[tuple[str, str, str], _Part] = {}
        self._notes: dict[str, None] = {}

    def add(self, columns: ReportColumns) -> None:
        """Check the rows and emit their lines."""
        assets = columns.assets("Net Currency")
        net = self._minors(columns, "Net Credit (NC)", assets) - self._minors(
            columns, "Net Debit (NC)", assets
        )
        fees = {name: self._minors(columns, column, assets) for name, column in FEES.items()}
        fee = np.sum(np.stack(list(fees.values())), axis=0)
        types = [text.strip().lower() for text in columns.texts("Type")]
        kinds = [self._kind(name) for name in types]
        psp_references = columns.references("Psp Reference") or []
        modifications = columns.references("Modification Reference") or []
        booking_dates = self._booking_dates(columns)
        is_payout = np.array([name == PAYOUT for name in types], dtype=bool)
        parts = self._add_to_parts(columns, assets, net, booking_dates, is_payout)
        of_payment = [psp is not None for psp in psp_references]
        texts = [None if payment else text for payment, text in zip(of_payment, modifications, strict=True)]
        emit_columns(
            self._emit,
            {
                "statement_no": parts,
                "native_id": self._native_ids(columns, types, psp_references, modifications),
                "booking_date": booking_dates,
                "event_at": self._instants(columns),
                "amount_minor": net,
                "asset": assets,
                "fee_minor": fee,
                "fees": fees_included(assets, **{name: minors.tolist() for name, minors in fees.items()}),
                **self._originals(columns, assets, net, fee),
                "ref_psp": psp_references,
                "ref_merchant": columns.references("Merchant Reference"),
                "ref_payout": [
                    _payout_id(text) if paid else None
                    for paid, text in zip(is_payout.tolist(), texts, strict=True)
                ],
                "ref_arn": self._arns(columns),
                "ref_auth_code": columns.references("Authorisation Code"),
                "other_refs": other_references(
                    modification=[
                        text if payment and text != psp else None
                        for payment, text, psp in zip(of_payment, modifications, psp_references, strict=True)
                    ],
                    dispute=columns.references("Dispute Reference"),
                    invoice=columns.references("Merchant Order Reference"),
                    customer=columns.references("Shopper Reference"),
                    merchant_id=columns.values("Merchant Account"),
                ),
                "batch_ref": columns.values("Batch Number"),
                "text": masked_texts(texts, self._options.card_tokens),
                "kind": kinds,
                "type_code": columns.values("Type"),
                "reversal": [name in REVERSALS for name in types],
            },
            batch=columns.batch,
        )

    def delivery(self) -> ParsedDelivery:
        """Prove every batch and return what was read."""
        statements = tuple(self._statement(part) for part in self._parts.values())
        if not statements:
            self._note("an empty batch: no rows")
        return ParsedDelivery(
            format_name=NAME,
            format_version="settlement details",
            file_reference=None,
            test_mode=False,
            statements=statements,
            notes=tuple(sorted(self._notes)),
        )

    def _statement(self, part: _Part) -> Statement:
        if abs(part.movement_minor) > MAX_AMOUNT_MINOR:
            raise _refused("amount", f"batch {part.batch}", "a sum within 64 bits", "more")
        exponent = exponent_of(part.asset)
        others_minor = part.movement_minor - part.paid_minor
        others = f"{part.line_count - part.payout_count} rows of {format_minor(others_minor, exponent)} {part.asset}"
        proofs: tuple[str, ...] = ()
        flags: tuple[str, ...] = ()
        name = f"batch {part.batch[:40]} of {part.account[:40]}"
        if part.movement_minor:
            where = f" (row {part.payout_rows[0]})" if part.payout_rows else ""
            expected = f"{others} paid out by MerchantPayout or carried on by Balancetransfer"
            paid = (
                f"MerchantPayout of {format_minor(part.paid_minor, exponent)}"
                if part.payout_count
                else "no payout"
            )
            found = f"{paid}: {values.difference_in_words(-others_minor, part.paid_minor, part.asset)}"
            flags = (self._options.demand(_refused("control_total", name + where, expected, found)),)
        elif part.payout_count:
            proofs = (f"{name}: {others} + MerchantPayout {format_minor(part.paid_minor, exponent)} = 0",)
        else:
            proofs = (f"{name}: {others}, nothing to pay out",)
        return Statement(
            statement_ref=f"{part.account}:{part.batch}:{part.asset}",
            account=part.account,
            asset=part.asset,
            sequence_no=int(part.batch) if _BATCH.fullmatch(part.batch) else None,
            from_date=part.from_date,
            to_date=part.to_date,
            opening_minor=None,
            closing_minor=None,
            movement_minor=part.movement_minor,
            line_count=part.line_count,
            proofs=proofs,
            flags=flags,
        )

    def _add_to_parts(
        self, columns: ReportColumns, assets: Sequence[str], net: Integers, days: Any, is_payout: Any
    ) -> Integers:
        """Count a batch of rows in their statements, and give the number of each row's."""
        accounts, of_account = grouped(columns.values("Merchant Account") or [])
        batches, of_batch = grouped(columns.values("Batch Number") or [])
        names, of_asset = grouped(assets)
        codes = (of_account * len(batches) + of_batch) * len(names) + of_asset
        keys, firsts, groups = np.unique(codes, return_index=True, return_inverse=True)
        sums, paid = sums_by(groups, net, len(keys)), sums_by(groups[is_payout], net[is_payout], len(keys))
        numbers = np.zeros(len(keys), dtype=np.int64)
        for place in np.argsort(firsts).tolist():
            first = int(firsts[place])
            key = (accounts[int(of_account[first])], batches[int(of_batch[first])], assets[first])
            part = self._part(columns, first, key)
            chosen = groups == place
            ends: Any = pc.min_max(days.filter(pa.array(chosen))).as_py()
            part.from_date, part.to_date = min(part.from_date, ends["min"]), max(part.to_date, ends["max"])
            part.movement_minor += sums[place]
            part.line_count += int(chosen.sum())
            part.paid_minor += paid[place]
            payout_rows = columns.batch.row_nos[chosen & is_payout].tolist()
            part.payout_count += len(payout_rows)
            part.payout_rows = part.payout_rows or payout_rows[:1]
            numbers[place] = part.number
        return numbers[groups]

    def _part(self, columns: ReportColumns, index: int, key: tuple[str | None, str | None, str]) -> _Part:
        account, batch, asset = key
        if account is None or batch is None:
            name = "Merchant Account" if account is None else "Batch Number"
            raise _refused(
                "structure", columns.place(index, name), "a merchant account and a batch", "nothing"
            )
        part = self._parts.get((account, batch, asset))
        if part is None:
            if len(self._parts) >= _PARTS_MAX:
                place = columns.place(index, "Batch Number")
                raise _refused("limit", place, f"at most {_PARTS_MAX} batches and currencies", "more")
            part = _Part(account, batch, asset, len(self._parts), date.max, date.min)
            self._parts[account, batch, asset] = part
        return part

    def _kind(self, name: str) -> str:
        kind = KINDS.get(name)
        if kind is None:
            self._note(f"type {name[:40]!r} is not known, read as adjustment")
        return kind or "adjustment"

    def _note(self, text: str) -> None:
        if len(self._notes) < _NOTES_MAX:
            self._notes[text] = None

    @staticmethod
    def _minors(columns: ReportColumns, name: str, assets: Sequence[str]) -> Integers:
        return bounded(columns.minors(name, assets, blank_is_zero=True), columns, name)

    def _booking_dates(self, columns: ReportColumns) -> Any:
        days = columns.days("Creation Date")
        if columns.has("Booking Date"):
            days = pc.coalesce(columns.days("Booking Date"), days)
        if days.null_count:
            missing = pc.index(days.is_null(), pa.scalar(value=True)).as_py()
            raise _refused("date", columns.place(missing, "Creation Date"), "a date", "nothing")
        return days

    def _instants(self, columns: ReportColumns) -> Any:
        """Creation times by the clock that the rows name; null where the abbreviation is not known."""
        if self._zone is not None:
            return columns.instants("Creation Date", self._zone)
        zones, of_zone = grouped(columns.values("TimeZone") or [])
        found: Any = pa.nulls(columns.count, pa.timestamp("us", tz="UTC"))
        for place, name in enumerate(zones):
            zone = ZONES.get((name or "").upper())
            if zone is None:
                self._note(f"time zone {(name or 'not named')[:20]!r} is not known, its rows have no instant")
                continue
            chosen = pa.array(of_zone == place)
            found = pc.if_else(chosen, columns.instants("Creation Date", ZoneInfo(zone)), found)
        return found

    def _native_ids(
        self,
        columns: ReportColumns,
        types: Sequence[str],
        psp_references: Sequence[str | None],
        modifications: Sequence[str | None],
    ) -> list[str | None]:
        batches = columns.texts("Batch Number")
        return [
            f"{psp}:{modification}:{name}:{batch.strip()}" if psp and modification else None
            for psp, modification, name, batch in zip(
                psp_references, modifications, types, batches, strict=True
            )
        ]

    def _arns(self, columns: ReportColumns) -> list[str | None] | None:
        found = columns.references("ARN")
        if found is None:
            return None
        whole = [text if text is not None and _ARN.fullmatch(text) else None for text in found]
        if whole != found:
            self._note("acquirer reference numbers that are not 23 digits, not read")
        return whole

    def _originals(
        self, columns: ReportColumns, assets: Sequence[str], net: Integers, fee: Integers
    ) -> dict[str, list[Any]]:
        """What the shopper paid where that was another currency, and the rate; else gross must explain the net."""
        found: dict[str, list[Any]] = {
            name: [None] * columns.count
            for name in (
                "original_amount_minor",
                "original_asset",
                "fx_rate",
                "fx_numerator",
                "fx_denominator",
            )
        }
        currencies = [text.strip().upper() for text in columns.texts("Gross Currency")]
        same = [not currency or currency == asset for currency, asset in zip(currencies, assets, strict=True)]
        gross_assets = [
            asset if alike else currency
            for alike, asset, currency in zip(same, assets, currencies, strict=True)
        ]
        for index, currency in enumerate(gross_assets):
            if not same[index]:
                values.asset_of(currency, columns.place(index, "Gross Currency"))
        credit = self._minors(columns, "Gross Credit (GC)", gross_assets)
        debit = self._minors(columns, "Gross Debit (GC)", gross_assets)
        # a refund may carry a stray credit: where both sides are filled, the one that fits the net is meant
        gross = np.where((credit != 0) & (debit != 0), np.where(net < 0, -debit, credit), credit - debit)
        alike = np.array(same, dtype=bool)
        unexplained = np.flatnonzero(alike & (gross != 0) & (gross - fee != net))
        if len(unexplained):
            self._note(
                f"{columns.place(int(unexplained[0]), 'Net')}: not the gross less the fees, as in other rows"
            )
        rates = columns.texts("Exchange Rate")
        for index in np.flatnonzero(~alike & (gross != 0)).tolist():
            found["original_amount_minor"][index] = int(gross[index])
            found["original_asset"][index] = gross_assets[index]
            found["fx_rate"][index] = rates[index].strip()[:40] or None
            rate = values.exact_rate(rates[index].strip())
            if rate is not None:
                found["fx_numerator"][index], found["fx_denominator"][index] = rate
        return found


def _payout_id(text: str | None) -> str | None:
    found = _PAYOUT_ID.search(text or "")
    return found.group() if found is not None else None
