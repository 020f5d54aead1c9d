"""Reads the rows of Stripe's itemised reports, whatever set of their documented columns they were run with.

Shared by the payout reconciliation and the balance reports, which differ in the day a row is booked on and in what
proves it. Law: net = gross - fee in every row, one line per balance transaction, one ``Statement`` per currency.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ledger_core.money import exponent_of, format_minor
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions, Statement
from reconciliation.formats.delimited_rows import DelimitedRows, Integers
from reconciliation.formats.report_columns import (
    ReportColumns,
    emit_columns,
    fees_included,
    masked_texts,
    other_references,
)
from reconciliation.formats.report_settings import masked_refusals
from reconciliation.formats.stripe_parts.columns import (
    CATEGORY_BY_TYPE,
    KINDS,
    REVERSALS,
    merchant_reference_column,
    report_columns,
    report_names,
    undocumented,
)
from reconciliation.formats.stripe_parts.proofs import Proofs, refused
from reconciliation.formats.values import minor_of

_SAFE: Final = 2**61
_DISPUTE_CATEGORIES: Final = frozenset({"dispute", "dispute_reversal"})
_PAYOUT_CATEGORIES: Final = frozenset({"payout", "payout_reversal"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRules:
    """How one kind of report is read."""

    format_name: str
    booked_on: tuple[str, ...]  # columns of the day a row is booked on, the first that is filled
    merchant_reference_column: str | None
    time_zone: tzinfo
    prove: Callable[[Proofs], dict[str, tuple[str, ...]]]  # at the end, by currency
    name_statement: Callable[[Proofs, str], str]  # what tells two reports of a day apart


def read_report(stream: BinaryIO, options: ReadOptions, emit: Emit, rules: ReportRules) -> ParsedDelivery:
    """Read and prove one report, or raise ``RefusedFile``."""
    with masked_refusals(options.card_tokens):
        rows = DelimitedRows(stream, bytes_max=options.bytes_max, field_length_max=options.field_length_max)
        reader = _Reader(options, rules, emit, report_names(rows.header()))
        for batch in rows.batches(len(reader.header)):
            reader.add(ReportColumns(batch, reader.named))
        if not rows.last_line_ended:
            raise refused(
                "truncated", "the last row", "a line that is ended", "the end of the file inside it"
            )
        if rows.blank_lines:
            reader.proofs.note(f"{rows.blank_lines} blank lines")
        return reader.delivery()


class _Reader:
    """Lines and sums while the batches go by."""

    def __init__(self, options: ReadOptions, rules: ReportRules, emit: Emit, header: list[str]) -> None:
        by_type = "reporting_category" not in header and "type" in header
        self.header = header
        self.named = report_columns(
            header, rules.merchant_reference_column, category="type" if by_type else "reporting_category"
        )
        self.proofs = Proofs(options)
        self._by_type = by_type
        self._merchant_reference = merchant_reference_column(self.named, rules.merchant_reference_column)
        self._options, self._rules, self._emit = options, rules, emit
        self._numbers: dict[str, int] = {}  # statement number by currency, in order of first appearance

    def add(self, columns: ReportColumns) -> None:
        """Check a batch of rows and emit its lines."""
        assets = columns.assets("currency")
        for asset in dict.fromkeys(assets):
            self._numbers.setdefault(asset, len(self._numbers))
        gross, fee, net = (columns.minors(name, assets) for name in ("gross", "fee", "net"))
        categories = self._categories(columns)
        booking_dates = self._booking_dates(columns)
        source_ids = columns.values("source_id") or [None] * columns.count
        payout_ids = columns.values("automatic_payout_id") or [None] * columns.count
        self.proofs.add_to_parts(assets, net, booking_dates, columns.texts("gateway_account"))
        self._check_nets(columns, assets, gross, fee, net)
        self._add_to_payouts(columns, categories, (source_ids, payout_ids), assets, net)
        kinds = [self._kind(category) for category in categories]
        is_payout = [kind == "payout" for kind in kinds]
        created = "created_utc" if columns.has("created_utc") else "created"
        originals, original_assets = _originals(columns, assets)
        settled = columns.days(
            _first_of(columns, "automatic_payout_effective_at", "automatic_payout_effective_at_utc")
        )
        emit_columns(
            self._emit,
            {
                "statement_no": [self._numbers[asset] for asset in assets],
                "native_id": self._native_ids(columns),
                "booking_date": booking_dates,
                "value_date": columns.days(_first_of(columns, "available_on", "available_on_utc")),
                "settlement_date": settled,
                "event_at": columns.instants(
                    created, UTC if created == "created_utc" else self._rules.time_zone
                ),
                "amount_minor": net,
                "asset": assets,
                "fee_minor": fee,
                "fees": _fees(assets, fee, categories),
                "original_amount_minor": originals,
                "original_asset": original_assets,
                "ref_psp": [
                    None if paid else source for paid, source in zip(is_payout, source_ids, strict=True)
                ],
                "ref_payout": [
                    (source or payout) if paid else None
                    for paid, source, payout in zip(is_payout, source_ids, payout_ids, strict=True)
                ],
                "ref_merchant": columns.references(self._merchant_reference),
                "ref_servicer": columns.references("trace_id"),
                "other_refs": _other_references(columns, source_ids, is_payout),
                "batch_ref": [
                    None if paid else payout for paid, payout in zip(is_payout, payout_ids, strict=True)
                ],
                "counterparty": self._masked(columns, "customer_name"),
                "text": self._masked(columns, "description"),
                "kind": kinds,
                "type_code": columns.texts("type") if self._by_type else categories,
                "reason_code": columns.values("dispute_reason"),
                "reversal": [category in REVERSALS for category in categories],
            },
            batch=columns.batch,
        )

    def delivery(self) -> ParsedDelivery:
        """Prove the report and return what was read, statements as their currencies first appear."""
        proofs = self._rules.prove(self.proofs)
        unknown = undocumented(self.header)
        if unknown:
            self.proofs.note(f"columns that are not documented, not read: {', '.join(unknown)[:400]}")
        statements = tuple(self._statement(currency, proofs[currency]) for currency in self._numbers)
        return ParsedDelivery(
            format_name=self._rules.format_name,
            format_version="dashboard" if self._by_type else "itemised",
            file_reference=None,  # a report has no number of its own; its statements are known by their days
            test_mode=False,
            statements=statements,
            notes=self.proofs.notes(),
            ids_may_repeat=False,
        )

    def _statement(self, currency: str, proofs: tuple[str, ...]) -> Statement:
        part = self.proofs.parts[currency]
        account = next(iter(part.accounts)) if len(part.accounts) == 1 else None
        if len(part.accounts) > 1:
            self.proofs.note(f"{currency}: rows of several accounts, so that the statement names none")
        names = (
            account,
            part.to_date.isoformat(),
            currency,
            self._rules.name_statement(self.proofs, currency),
        )
        return Statement(
            statement_ref=":".join(name for name in names if name),
            account=account,
            asset=currency,
            sequence_no=None,
            from_date=part.from_date,
            to_date=part.to_date,
            opening_minor=None,
            closing_minor=None,
            movement_minor=part.movement_minor,
            line_count=part.line_count,
            proofs=proofs,
            flags=tuple(part.flags),
        )

    def _categories(self, columns: ReportColumns) -> Sequence[str]:
        if not self._by_type:
            return columns.texts("reporting_category")
        return [CATEGORY_BY_TYPE.get(text, text) for text in columns.texts("type")]

    def _kind(self, category: str) -> str:
        kind = KINDS.get(category)
        if kind is None:
            self.proofs.note(f"reporting category {category[:40]!r} is not known, read as adjustment")
        return kind or "adjustment"

    def _native_ids(self, columns: ReportColumns) -> list[str]:
        texts = columns.texts("balance_transaction_id")
        blank = next((index for index, text in enumerate(texts) if not text.strip()), None)
        if blank is not None:
            raise refused(
                "structure", columns.place(blank, "balance_transaction_id"), "an identification", "none"
            )
        parts = columns.values("balance_transaction_component")
        if parts is None:
            return list(texts)
        return [f"{text}:{part}" if part else text for text, part in zip(texts, parts, strict=True)]

    def _booking_dates(self, columns: ReportColumns) -> Any:
        names = [name for name in self._rules.booked_on if columns.has(name)]
        days = pa.nulls(columns.count, pa.date32())
        for name in names:
            if days.null_count:
                days = pc.coalesce(days, columns.days(name))
        if days.null_count:
            missing = pc.index(days.is_null(), pa.scalar(value=True)).as_py()
            place = columns.place(missing, " or ".join(names) or self._rules.booked_on[-1])
            raise refused("date", place, "a date of the payout or of the transaction", "neither")
        return days

    def _check_nets(
        self, columns: ReportColumns, assets: Sequence[str], gross: Integers, fee: Integers, net: Integers
    ) -> None:
        """Demand net = gross - fee of every row."""
        if max(int(np.abs(one).max()) for one in (gross, fee, net)) < _SAFE:
            wrong = np.flatnonzero(net != gross - fee).tolist()
        else:
            wrong = [
                index
                for index in range(columns.count)
                if int(net[index]) != int(gross[index]) - int(fee[index])
            ]
        for index in wrong:
            right = format_minor(int(gross[index]) - int(fee[index]), exponent_of(assets[index]))
            texts = {
                name: columns.texts(name)[index] for name in ("balance_transaction_id", "gross", "fee", "net")
            }
            row = f"row {columns.batch.row_nos[index]} ({texts['balance_transaction_id'][:40]})"
            expected = f"{right} {assets[index]}, the gross {texts['gross']} less the fee {texts['fee']}"
            self.proofs.demand(refused("control_total", f"{row}, net", expected, texts["net"]), assets[index])

    def _add_to_payouts(
        self,
        columns: ReportColumns,
        categories: Sequence[str],
        ids: tuple[Sequence[str | None], Sequence[str | None]],
        assets: Sequence[str],
        net: Integers,
    ) -> None:
        source_ids, payout_ids = ids
        others = [index for index, category in enumerate(categories) if category in _PAYOUT_CATEGORIES]
        is_member = np.ones(columns.count, dtype=bool)
        for index in others:
            payout, source = payout_ids[index], source_ids[index]
            if categories[index] == "payout":
                self.proofs.add_payout(
                    payout,
                    source,
                    row_no=int(columns.batch.row_nos[index]),
                    currency=assets[index],
                    net_minor=int(net[index]),
                )
            elif payout is not None and source == payout:
                self.proofs.note(f"payout {payout[:40]}: came back, which is no part of its own sum")
            else:
                continue
            is_member[index] = False
        self.proofs.add_members(payout_ids, assets, net, is_member)

    def _masked(self, columns: ReportColumns, name: str) -> list[str | None] | None:
        return masked_texts(columns.values(name), self._options.card_tokens)


def _fees(assets: Sequence[str], fee: Integers, categories: Sequence[str]) -> list[str | None]:
    """A fee of a dispute is for the dispute; any other is for processing."""
    disputed = np.array([category in _DISPUTE_CATEGORIES for category in categories], dtype=bool)
    return fees_included(
        assets,
        processing=np.where(disputed, 0, fee).tolist(),
        chargeback=np.where(disputed, fee, 0).tolist(),
    )


def _first_of(columns: ReportColumns, *names: str) -> str:
    return next((name for name in names if columns.has(name)), names[0])


def _other_references(
    columns: ReportColumns, source_ids: Sequence[str | None], is_payout: Sequence[bool]
) -> list[str | None] | None:
    """What a row refers to beyond the columns of the ledger: the payment behind a refund or dispute, its intent."""
    charge_ids = columns.values("charge_id")
    originals = charge_ids and [
        charge if charge != source and not paid else None
        for charge, source, paid in zip(charge_ids, source_ids, is_payout, strict=True)
    ]
    return other_references(
        original=originals,
        transaction=columns.values("payment_intent_id"),
        invoice=columns.values(_first_of(columns, "invoice_number", "invoice_id")),
        customer=columns.values("customer_id"),
    )


def _originals(columns: ReportColumns, assets: Sequence[str]) -> tuple[Any, Any]:
    """What the customer saw, where that was another currency."""
    if not (columns.has("customer_facing_amount") and columns.has("customer_facing_currency")):
        return None, None
    if not any(columns.texts("customer_facing_amount")):
        return None, None
    amounts: list[int | None] = []
    originals: list[str | None] = []
    pairs = zip(
        columns.texts("customer_facing_amount"),
        columns.texts("customer_facing_currency"),
        assets,
        strict=True,
    )
    for index, (amount, currency, asset) in enumerate(pairs):
        original = currency.strip().upper()
        if not amount or not original or original == asset:
            amounts.append(None)
            originals.append(None)
            continue
        amounts.append(minor_of(amount.strip(), original, columns.place(index, "customer_facing_amount")))
        originals.append(original)
    return amounts, originals
