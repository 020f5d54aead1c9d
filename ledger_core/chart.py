"""The chart of accounts: load it from a file, define assets, close accounts and periods.

Laws: a definition never changes - loading the same chart again does nothing, another definition of a known account or
asset is refused; a file is taken whole or not at all. Which source reconciles an account is not said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa

from ledger_core.errors import ChartError
from ledger_core.input_file import Column, Kind, arrow, nearest, read_table, refuse_problems, row_problems
from ledger_core.money import ISO_4217_EXPONENTS
from ledger_core.sql import copy_out, queries, savepoint, translated_errors

ACCOUNT_TYPES: Final = ("asset", "liability", "equity", "income", "expense")

ACCOUNT_COLUMNS: Final = (
    Column(
        name="code",
        required=True,
        max_length=200,
        pattern="[A-Za-z0-9._-]+(:[A-Za-z0-9._-]+)*",
        expected="a colon path such as assets:bank:main-eur",
    ),
    Column(name="name", required=True),
    Column(
        name="type",
        required=True,
        pattern="|".join(ACCOUNT_TYPES),
        expected="one of " + ", ".join(ACCOUNT_TYPES),
    ),
    Column(
        name="asset", required=True, pattern="[A-Z0-9][A-Z0-9._-]{0,15}", expected="an asset code such as EUR"
    ),
    Column(name="may_overdraw", kind=Kind.BOOLEAN, required=True),
    Column(name="entity", max_length=64),
    Column(name="leaf", kind=Kind.BOOLEAN),
)

OPENED_SCHEMA: Final = pa.schema([("code", pa.string()), ("outcome", pa.string())])

_SQL: Final = queries(Path(__file__).with_suffix(".sql"))


def load_accounts(connection: psycopg.Connection[Any], path: Path) -> pa.Table:
    """Open every account of a CSV or Parquet file (ACCOUNT_COLUMNS); returns code and outcome (opened, unchanged).

    An account with others of the file below it is a summary account and takes no lines, unless `leaf` says otherwise.
    Assets new to the ledger are defined with their ISO 4217 exponent; any other asset must have been defined before.
    Raises InputFileError with every bad row, ChartError where the ledger holds another definition.
    """
    accounts = read_table(path, ACCOUNT_COLUMNS)
    with translated_errors(), savepoint(connection):
        exponents = _known_exponents(connection)
        refuse_problems(path, _duplicates(accounts) + _unknown_assets(accounts, exponents))
        used: list[Any] = arrow.unique(accounts["asset"]).to_pylist()
        define_assets(connection, {asset: exponents[asset] for asset in used})
        return copy_out(
            connection,
            _SQL["open_accounts"],
            {"entity": None, "leaf": None}
            | {name: accounts[name].to_pylist() for name in accounts.column_names},
            OPENED_SCHEMA,
        )


def define_assets(connection: psycopg.Connection[Any], exponents: Mapping[str, int]) -> None:
    """Define assets by code and number of minor digits (0 to 18). Raises ChartError for another exponent."""
    with translated_errors():
        wanted = {"codes": list(exponents), "exponents": list(exponents.values())}
        connection.execute(_SQL["define_assets"], wanted)


def close_account(connection: psycopg.Connection[Any], account: str, *, reason: str, authoriser: str) -> bool:
    """Close an account with a zero balance for ever; False when it was closed before.

    Waits for postings under way and holds new ones back until the transaction ends. Raises AccountError.
    """
    with translated_errors():
        wanted = {"account": account, "reason": reason, "authoriser": authoriser}
        row = connection.execute(_SQL["close_account"], wanted).fetchone()
    return row is not None and row[0] == "closed"


def close_period(
    connection: psycopg.Connection[Any], ends_at: datetime, *, reason: str, authoriser: str
) -> bool:
    """Close the time before `ends_at` for ever; False when exactly this was done before.

    Nothing may take effect in it any more. Waits for postings under way. Raises PeriodError for an end that is in the
    future or before a closed one.
    """
    with translated_errors():
        wanted = {"ends_at": ends_at, "reason": reason, "authoriser": authoriser}
        row = connection.execute(_SQL["close_period"], wanted).fetchone()
    return row is not None and row[0] == "closed"


def _known_exponents(connection: psycopg.Connection[Any]) -> dict[str, int]:
    held = dict(connection.execute(_SQL["assets"]).fetchall())
    for asset, exponent in held.items():
        if ISO_4217_EXPONENTS.get(asset, exponent) != exponent:
            raise ChartError(
                f"asset {asset}: the ledger holds exponent {exponent}, ISO 4217 says {ISO_4217_EXPONENTS[asset]}"
            )
    return dict(ISO_4217_EXPONENTS) | held


def _duplicates(accounts: pa.Table) -> list[str]:
    first: dict[Any, int] = {}
    problems = []
    for row, code in enumerate(accounts["code"].to_pylist(), start=1):
        if first.setdefault(code, row) != row:
            problems.append(
                f"row {row}, column code: expected each account once, found {code!r} of row {first[code]} again"
            )
    return problems


def _unknown_assets(accounts: pa.Table, exponents: Mapping[str, int]) -> list[str]:
    unknown = arrow.invert(arrow.is_in(accounts["asset"], value_set=pa.array(list(exponents))))
    assets: list[Any] = accounts["asset"].filter(unknown).to_pylist()
    hints = {asset: nearest(asset, list(exponents)) for asset in set(assets)}
    problems = row_problems(
        accounts["asset"], unknown, column="asset", expected="an ISO 4217 currency or an asset defined before"
    )
    return [problem + hints[asset] for problem, asset in zip(problems, assets, strict=True)]
