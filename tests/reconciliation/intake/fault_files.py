"""The same small day in several standards, a source for each, and what the store holds: for tests of the faults.

A line is told by number and amount; banks and processors write it their own way, under an id of its own.
"""

import gzip
import io
import itertools
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Final

import psycopg
import yaml

from fixtures import volume
from fixtures.model import BankLine, ClearingRecord, StripeRow
from fixtures.writers import adyen_csv, bai2, camt053, coda, ipm, mt940, ofx, paypal_csv
from fixtures.writers.statement import Statement
from reconciliation.sources import Source, Sources, parse_sources

FIRST_DAY: Final = date(2026, 11, 16)
OPENING_MINOR: Final = 100_000
IBAN, BELGIAN_IBAN, US_ACCOUNT = "DE89370400440532013000", "BE68539007547034", "000123456789"


@dataclass(frozen=True, slots=True)
class Told:
    """A movement in minor units; equal numbers on a day are one movement told again."""

    number: int
    amount_minor: int
    text: str = "paid"

    @property
    def reference(self) -> str:
        return f"INV-{self.number}"


Written = Callable[[date, Sequence[Told], int, str], bytes]
"""Writes a day's lines after an opening balance, where the standard has one; the last word tells versions apart."""


def _statement(
    day: date, lines: Sequence[Told], opening_minor: int, version: str, *, asset: str, iban: str
) -> Statement:
    booked = [
        BankLine(
            day=0,
            asset=asset,
            amount_minor=told.amount_minor,
            native_id=f"{day:%m%d}N{told.number}",
            end_to_end=told.reference,
            text=told.text,
        )
        for told in lines
    ]
    return Statement(
        statement_id=f"S-{day}",
        message_id=f"{day:%y%m%d}{version}",
        sequence_no=day.timetuple().tm_yday,
        iban=iban,
        asset=asset,
        day=day,
        created_at=f"{day}T19:00:00+01:00",
        opening_minor=opening_minor,
        closing_minor=opening_minor + sum(told.amount_minor for told in lines),
        lines=booked,
    )


def _bank(write: Callable[[io.BytesIO, Statement], None], *, asset: str = "EUR", iban: str = IBAN) -> Written:
    def written(day: date, lines: Sequence[Told], opening_minor: int, version: str) -> bytes:
        stream = io.BytesIO()
        write(stream, _statement(day, lines, opening_minor, version, asset=asset, iban=iban))
        return stream.getvalue()

    return written


def _rows(day: date, lines: Sequence[Told]) -> list[StripeRow]:
    return [
        StripeRow(
            day=0,
            asset="EUR",
            native_id=f"txn_{day:%m%d}N{told.number}",
            gross_minor=told.amount_minor,
            fee_minor=0,
            category="charge" if told.amount_minor >= 0 else "refund",
            source_id=f"ch_{day:%m%d}C{told.number}",
            created=f"{day} 10:00:00",
            order_id=told.reference,
            brand="visa",
            description=told.text,
        )
        for told in lines
    ]


def _adyen(day: date, lines: Sequence[Told], _opening_minor: int, version: str) -> bytes:
    stream = io.BytesIO()
    adyen_csv.write(stream, _rows(day, lines), day, batch=day.timetuple().tm_yday)
    return stream.getvalue() + b"\n" * len(version)


def _paypal(day: date, lines: Sequence[Told], opening_minor: int, version: str) -> bytes:
    stream = io.BytesIO()
    paypal_csv.write(stream, _rows(day, lines), day, opening_minor=opening_minor)
    return stream.getvalue().replace(b"23:59:59 +0000", f"23:59:{len(version):02d} +0000".encode(), 1)


def _ipm(day: date, lines: Sequence[Told], _opening_minor: int, version: str) -> bytes:
    (pattern,) = volume.clearing_records(1, day=day)
    records: list[ClearingRecord] = [
        replace(
            pattern,
            gross_minor=told.amount_minor,
            original_minor=told.amount_minor,
            original_asset="EUR",
            rate="1",
            fees=(),
            rrn=f"{told.number:012d}",
            message_number=number,
        )
        for number, told in enumerate(lines, start=2)
    ]
    stream = io.BytesIO()
    file = volume.clearing_file(0, day=day)
    ipm.write(stream, replace(file, records=records, encoding="latin-1" if version else "cp500"))
    return stream.getvalue()


WRITTEN: Final[Mapping[str, Written]] = MappingProxyType(
    {
        "camt.053": _bank(lambda stream, statement: camt053.write(stream, statement, "001.08")),
        "mt940": _bank(mt940.write),
        "bai2": _bank(bai2.write, asset="USD", iban=US_ACCOUNT),
        "coda": _bank(coda.write, iban=BELGIAN_IBAN),
        "ofx": _bank(ofx.write),
        "adyen.settlement_detail": _adyen,
        "paypal.stl": _paypal,
        "mastercard.ipm": _ipm,
    }
)
FORMATS: Final = tuple(WRITTEN)
PAID_OUT: Final = ("adyen.settlement_detail", "mastercard.ipm")
"""Formats that settle what they tell in the same file: their lines add up to nothing."""
_ACCOUNTS: Final[Mapping[str, dict[str, str]]] = {
    "camt.053": {"external": IBAN},
    "mt940": {"external": IBAN},
    "bai2": {"external": US_ACCOUNT, "asset": "USD"},
    "coda": {"external": BELGIAN_IBAN},
    "ofx": {"external": IBAN},
    "adyen.settlement_detail": {"external": adyen_csv.MERCHANT},
    "paypal.stl": {"external": paypal_csv.ACCOUNT},
    "mastercard.ipm": {},
}


def _source(format_name: str) -> dict[str, Any]:
    own_id = format_name.replace(".", "_")
    return {
        "id": own_id,
        "kind": "bank",
        "format": format_name,
        "start_date": "2026-11-01",
        "accounts": [{"asset": "EUR", "ledger": f"assets:{own_id}:main", **_ACCOUNTS[format_name]}],
        "match": {"references": [{"external": "ref_end_to_end", "ledger": "ref_end_to_end"}]},
    }


SOURCES: Final[Sources] = parse_sources(
    yaml.safe_dump({"version": 1, "sources": [_source(name) for name in FORMATS]})
)


def source_of(format_name: str) -> Source:
    """The source whose files are of a format."""
    return SOURCES[format_name.replace(".", "_")]


_numbers = itertools.count()


def new_source(pattern: Source, **changes: Any) -> Source:
    """A source of its own, so that many worlds live in one database."""
    return pattern.model_copy(update={"id": f"{pattern.id}_{next(_numbers)}", **changes})


def file_of(
    format_name: str,
    *lines: Told,
    day: int = 0,
    opening_minor: int = OPENING_MINOR,
    version: str = "",
) -> bytes:
    """A file of a format for the first day or one after it."""
    return WRITTEN[format_name](FIRST_DAY + timedelta(days=day), lines, opening_minor, version)


def zipped(**members: bytes) -> bytes:
    """A zip archive of files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


PACKAGINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {
        "plain": lambda content: content,
        "gzip": gzip.compress,
        "zip": lambda content: zipped(member=content),
    }
)

_AMOUNTS = """
    SELECT l.booking_date, l.amount_minor FROM recon.line AS l
    WHERE l.source_id = %s AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
    ORDER BY 1, 2
"""
_UNKEPT = """
    SELECT s.account, s.statement_ref, s.movement_minor, s.line_count, coalesce(sum(l.amount_minor), 0), count(l)
    FROM recon.statement_v1 AS s
    LEFT JOIN recon.statement AS every ON every.source_id = s.source_id AND every.account = s.account
        AND every.statement_ref = s.statement_ref AND every.to_date = s.to_date
    LEFT JOIN recon.line AS l ON l.statement_id = every.statement_id
        AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
    WHERE s.source_id = %s
    GROUP BY s.account, s.statement_ref, s.to_date, s.movement_minor, s.line_count
    HAVING coalesce(sum(l.amount_minor), 0) <> s.movement_minor OR count(l.line_id) <> s.line_count
"""


def amounts(store: psycopg.Connection[Any], source: Source) -> list[int]:
    """What counts now, in minor units, sorted."""
    return sorted(amount for _, amount in store.execute(_AMOUNTS, (source.id,)).fetchall())


def unkept_statements(store: psycopg.Connection[Any], source: Source) -> list[tuple[Any, ...]]:
    """Statements whose lines that count are not those that they told: none, if money is kept."""
    return store.execute(_UNKEPT, (source.id,)).fetchall()
