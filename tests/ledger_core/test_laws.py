"""Each law of the ledger is kept by a named object of the database, and removing that object is noticed.

Every case breaks one law past the posting function, by hand, as the owner. With the object in place the row is refused
by that object's name; with it removed the row goes in, and where posted money is wrong `verify` raises the alarm.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ledger_core.errors import AppendOnlyError
from ledger_core.posting import post_lines
from ledger_core.reversal import reverse
from ledger_core.sql import translated_errors
from ledger_core.verify import CheckOutcome, verify
from tests.ledger_core.books import BANK, OLD, SALES, WALLET, YEN, raw_entry, sale

Connection = psycopg.Connection[Any]
GOOD = ({"account": BANK, "amount_minor": 5}, {"account": SALES, "amount_minor": -5})


@dataclass(frozen=True, kw_only=True)
class Case:
    """Breaks one law. `constraint` is what refuses; `remove` takes it away; `alarm` is the check that then fails."""

    constraint: str
    remove: str
    do: Callable[[Connection], object]
    alarm: str | None = None
    name: str = field(default="")

    def __str__(self) -> str:
        return self.name or self.constraint


def checked(table: str, constraint: str, do: Callable[[Connection], object], name: str = "") -> Case:
    """A case kept by a table constraint."""
    return Case(
        constraint=constraint,
        remove=f"ALTER TABLE ledger.{table} DROP CONSTRAINT {constraint} CASCADE",
        do=do,
        name=name,
    )


def line(constraint: str, **columns: Any) -> Case:
    """A case kept by a constraint on one column of a line."""
    return checked("journal_line", constraint, lambda c: raw_entry(c, [GOOD[0] | columns, GOOD[1]]))


def header(constraint: str, **columns: Any) -> Case:
    """A case kept by a constraint on one column of a header."""
    return checked("journal_entry", constraint, lambda c: raw_entry(c, GOOD, **columns))


def by_trigger(constraint: str, rows: Any, *, alarm: str | None, name: str, **columns: Any) -> Case:
    """A case kept by the statement trigger over lines."""
    remove = "DROP TRIGGER journal_line_laws ON ledger.journal_line"
    return Case(
        constraint=constraint,
        remove=remove,
        do=lambda c: raw_entry(c, rows, **columns),
        alarm=alarm,
        name=name,
    )


def entry_id(connection: Connection, key: str) -> int:
    """The id of a posted entry."""
    row = connection.execute(
        "SELECT entry_id FROM ledger.journal_entry WHERE entry_key = %s", (key,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def reversal_of_sale(
    connection: Connection, amounts: tuple[int, ...], accounts: tuple[str, ...] = (BANK, SALES)
) -> None:
    """A hand-made reversal of the sale that every case starts with."""
    rows = [
        {"account": account, "amount_minor": amount}
        for account, amount in zip(accounts, amounts, strict=True)
    ]
    raw_entry(
        connection, rows, reverses_entry_id=entry_id(connection, "sale"), reason="typo", authoriser="Ada"
    )


def second_reversal(connection: Connection) -> None:
    """The same entry reversed twice, under another key."""
    reverse(connection, "sale", reason="typo", authoriser="Ada")
    reversal_of_sale(connection, (-100, 100))


def two_more_lines(connection: Connection) -> None:
    """A balanced pair joins an entry posted before, in the same transaction."""
    connection.execute(
        "INSERT INTO ledger.journal_line (entry_id, line_no, account_id, asset_id, amount_minor, effective_at) "
        "SELECT entry_id, line_no + 2, account_id, asset_id, amount_minor, effective_at FROM ledger.journal_line "
        "WHERE entry_id = %s",
        (entry_id(connection, "sale"),),
    )


def asset(code: str = "USD", exponent: int = 2) -> Callable[[Connection], object]:
    return lambda c: c.execute("INSERT INTO ledger.asset (code, exponent) VALUES (%s, %s)", (code, exponent))


def account(**columns: Any) -> Callable[[Connection], object]:
    row = {
        "code": "assets:new",
        "name": "New",
        "type": "asset",
        "asset_id": 1,
        "may_overdraw": True,
    } | columns
    names, values = (
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Literal, row.values())),
    )
    return lambda c: c.execute(sql.SQL("INSERT INTO ledger.account ({}) VALUES ({})").format(names, values))


def closure(
    code: str = SALES, reason: str = "r", authoriser: str = "a", account_id: int | None = None
) -> Callable[[Connection], object]:
    return lambda c: c.execute(
        "INSERT INTO ledger.account_closure (account_id, reason, authoriser) "
        "SELECT coalesce(%s, (SELECT account_id FROM ledger.account WHERE code = %s)), %s, %s",
        (account_id, code, reason, authoriser),
    )


YEN_PAIR = ({"account": YEN, "amount_minor": 3}, {"account": YEN, "amount_minor": -3})
CASES = [
    checked(
        "asset",
        "asset_pkey",
        lambda c: c.execute(
            "INSERT INTO ledger.asset (asset_id, code, exponent) OVERRIDING SYSTEM VALUE VALUES (1, 'USD', 2)"
        ),
    ),
    checked("asset", "asset_code_key", asset("EUR", 3)),
    checked("asset", "asset_code_form", asset("eur")),
    checked("asset", "asset_exponent_range", asset(exponent=19)),
    checked(
        "account",
        "account_pkey",
        lambda c: c.execute(
            "INSERT INTO ledger.account (account_id, code, name, type, asset_id, may_overdraw) "
            "OVERRIDING SYSTEM VALUE VALUES (1, 'x', 'X', 'asset', 1, true)"
        ),
    ),
    checked("account", "account_code_key", account(code=BANK)),
    checked("account", "account_asset_fkey", account(asset_id=99)),
    checked("account", "account_code_form", account(code="assets::bank")),
    checked("account", "account_name_length", account(name="")),
    checked("account", "account_type_known", account(type="cash")),
    checked("account_closure", "account_closure_pkey", closure(OLD)),
    checked("account_closure", "account_closure_account_fkey", closure(account_id=99)),
    checked("account_closure", "account_closure_reason_length", closure(reason="")),
    checked("account_closure", "account_closure_authoriser_length", closure(authoriser="")),
    checked(
        "journal_entry",
        "journal_entry_pkey",
        lambda c: c.execute(
            "INSERT INTO ledger.journal_entry (entry_id, entry_key, request_hash, effective_at, line_count) "
            "OVERRIDING SYSTEM VALUE "
            "SELECT entry_id, 'again', request_hash, effective_at, line_count FROM ledger.journal_entry"
        ),
    ),
    header("journal_entry_key_key", entry_key="sale"),
    header("journal_entry_key_length", entry_key=""),
    header("journal_entry_hash_length", request_hash=b"short"),
    header("journal_entry_effective_finite", effective_at="infinity"),
    checked(
        "journal_entry",
        "journal_entry_reversal_complete",
        lambda c: raw_entry(
            c,
            [{"account": BANK, "amount_minor": -100}, {"account": SALES, "amount_minor": 100}],
            reverses_entry_id=entry_id(c, "sale"),
        ),
    ),
    header("journal_entry_reversal_complete", reason="only a reason"),
    checked(
        "journal_entry",
        "journal_entry_reason_length",
        lambda c: raw_entry(
            c,
            [{"account": BANK, "amount_minor": -100}, {"account": SALES, "amount_minor": 100}],
            reverses_entry_id=entry_id(c, "sale"),
            reason="",
            authoriser="Ada",
        ),
    ),
    checked(
        "journal_entry",
        "journal_entry_authoriser_length",
        lambda c: raw_entry(
            c,
            [{"account": BANK, "amount_minor": -100}, {"account": SALES, "amount_minor": 100}],
            reverses_entry_id=entry_id(c, "sale"),
            reason="typo",
            authoriser="",
        ),
    ),
    checked("journal_entry", "journal_entry_reverses_key", second_reversal),
    checked(
        "journal_line",
        "journal_line_amount_not_zero",
        lambda c: raw_entry(c, [row | {"amount_minor": 0} for row in GOOD]),
    ),
    line("journal_line_kind_length", kind=""),
    line("journal_line_description_length", description=""),
    line("journal_line_counterparty_length", counterparty=""),
    line("journal_line_fx_pair", fx_asset="USD"),
    line("journal_line_fx_asset_form", fx_asset="dollar", fx_amount_minor=1),
    line("journal_line_fx_rate_exact", fx_rate="1e-19"),
    line("journal_line_metadata_object", metadata="[1]"),
    line("journal_line_amount_negatable", fx_asset="USD", fx_amount_minor=-(2**63)),
    by_trigger(
        "journal_line_zero_sum",
        [GOOD[0], GOOD[1] | {"amount_minor": -4}],
        alarm="entry_zero_sum",
        name="unbalanced",
    ),
    by_trigger(
        "journal_line_zero_sum",
        [GOOD[0], {"account": YEN, "amount_minor": -5}],
        alarm="asset_zero_sum",
        name="zero over all but not per asset",
    ),
    by_trigger(
        "journal_line_entry_closed",
        [*GOOD, *GOOD],
        alarm="entry_complete",
        name="more lines than the header says",
        line_count=2,
    ),
    by_trigger(
        "journal_line_entry_closed",
        [GOOD[0] | {"line_no": 0}, GOOD[1]],
        alarm="entry_complete",
        name="lines not numbered from 1",
    ),
    by_trigger(
        "journal_line_entry_closed",
        [GOOD[0], GOOD[1] | {"effective_at": "2026-02-01Z"}],
        alarm="entry_complete",
        name="a line at another time than its header",
    ),
    by_trigger(
        "journal_line_account_exists",
        [GOOD[0], GOOD[1] | {"account_id": 99}],
        alarm="line_account",
        name="unknown account",
    ),
    by_trigger(
        "journal_line_account_open", [GOOD[0], GOOD[1] | {"account": OLD}], alarm=None, name="closed account"
    ),
    by_trigger(
        "journal_line_account_asset",
        [row | {"asset_id": 1} for row in YEN_PAIR],
        alarm="line_account",
        name="wrong asset",
    ),
    by_trigger(
        "journal_line_not_overdrawn",
        [{"account": BANK, "amount_minor": -5}, {"account": WALLET, "amount_minor": 5}],
        alarm="not_overdrawn",
        name="overdrawn",
    ),
    Case(
        constraint="journal_line_entry_closed",
        remove="DROP TRIGGER journal_line_laws ON ledger.journal_line",
        do=two_more_lines,
        alarm="entry_complete",
        name="a pair joins a posted entry",
    ),
    Case(
        constraint="journal_entry_has_lines",
        remove="DROP TRIGGER journal_entry_laws ON ledger.journal_entry",
        do=lambda c: raw_entry(c, [], line_count=2),
        alarm="entry_complete",
        name="entry without lines",
    ),
    Case(
        constraint="journal_entry_reversal_mirrors",
        remove="DROP TRIGGER journal_entry_laws ON ledger.journal_entry",
        do=lambda c: reversal_of_sale(c, (-99, 99)),
        alarm="reversal_mirror",
        name="reversal of another amount",
    ),
    Case(
        constraint="journal_entry_reversal_mirrors",
        remove="DROP TRIGGER journal_entry_laws ON ledger.journal_entry",
        do=lambda c: reversal_of_sale(c, (100, -100), (SALES, BANK)),
        alarm="reversal_mirror",
        name="reversal with lines swapped",
    ),
    Case(
        constraint="journal_entry_reversal_mirrors",
        remove="DROP TRIGGER journal_entry_laws ON ledger.journal_entry",
        do=lambda c: reversal_of_sale(c, (-100, 100, 7, -7), (BANK, SALES, BANK, SALES)),
        alarm="reversal_mirror",
        name="reversal with more lines",
    ),
    Case(
        constraint="reference_length",
        remove="ALTER DOMAIN ledger.reference DROP CONSTRAINT reference_length",
        do=lambda c: raw_entry(c, [GOOD[0] | {"ref_psp": ""}, GOOD[1]]),
    ),
]
# Kept by something else as well, so that removing them alone lets nothing in. Tested for refusing below.
HELD_TWICE = {
    "journal_line_pkey",
    "journal_entry_line_count_min",
    "journal_entry_not_own_reversal",
    "journal_entry_reverses_fkey",
}


def attempt(connection: Connection, do: Callable[[Connection], object]) -> psycopg.Error | None:
    """What refuses it; None when it goes in."""
    try:
        with connection.transaction():
            do(connection)
    except psycopg.Error as error:
        return error
    return None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_law_has_teeth_and_pulling_them_is_noticed(book: Connection, case: Case) -> None:
    post_lines(book, sale("sale"))
    refused = attempt(book, case.do)
    assert refused is not None
    assert refused.diag.constraint_name == case.constraint
    book.execute(case.remove)
    assert attempt(book, case.do) is None
    if case.alarm:
        assert case.alarm in [check.code for check in verify(book) if check.outcome is CheckOutcome.FAILED]


def test_no_constraint_is_without_a_case(book: Connection) -> None:
    rows = book.execute(
        "SELECT conname FROM pg_constraint WHERE connamespace = 'ledger'::regnamespace AND contype <> 'n' "
        "AND conname <> 'alembic_version_pkc'"
    )
    assert {row[0] for row in rows} == {
        case.constraint for case in CASES if "CONSTRAINT" in case.remove
    } | HELD_TWICE


@pytest.mark.parametrize(
    ("columns", "header_columns"),
    [
        ([{"line_no": 1}, {"line_no": 1}], {}),
        ([{}], {}),
        ([{"amount_minor": -(2**63)}, {"amount_minor": 2**63 - 1}], {}),
        ([{}, {}], {"reverses_entry_id": 4711, "reason": "r", "authoriser": "a"}),
    ],
    ids=["one line number twice", "one line only", "an amount without a negative", "reversal of nothing"],
)
def test_what_two_objects_hold_is_refused(
    book: Connection, columns: list[dict[str, Any]], header_columns: dict[str, Any]
) -> None:
    rows = [GOOD[index] | extra for index, extra in enumerate(columns)]
    assert attempt(book, lambda c: raw_entry(c, rows, **header_columns)) is not None


def test_an_entry_of_an_earlier_transaction_takes_no_more_lines(own_book: Connection) -> None:
    post_lines(own_book, sale("sale"))
    own_book.commit()
    refused = attempt(own_book, two_more_lines)
    assert refused is not None
    assert refused.diag.constraint_name == "journal_line_entry_closed"


@pytest.mark.parametrize("role", ["tieout_owner", None], ids=["owner", "login"])
@pytest.mark.parametrize("table", ["asset", "account", "account_closure", "journal_entry", "journal_line"])
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
def test_posted_rows_never_change_by_anybodys_hand(
    book: Connection, role: str | None, table: str, verb: str
) -> None:
    post_lines(book, sale("sale"))
    column = "xid" if table == "journal_line" else "recorded_at"
    statement = {
        "UPDATE": sql.SQL("UPDATE ledger.{table} SET {column} = {column}"),
        "DELETE": sql.SQL("DELETE FROM ledger.{table}"),
        "TRUNCATE": sql.SQL("TRUNCATE ledger.{table} CASCADE"),
    }[verb].format(table=sql.Identifier(table), column=sql.Identifier(column))
    if role:
        book.execute(f"SET LOCAL ROLE {role}")
    with pytest.raises(AppendOnlyError, match=f"ledger.{table}: {verb} is refused"), translated_errors():
        book.execute(statement)


@pytest.mark.parametrize("table", ["asset", "account", "account_closure", "journal_entry", "journal_line"])
def test_without_its_trigger_a_table_could_be_emptied(book: Connection, table: str) -> None:
    post_lines(book, sale("sale"))
    book.execute("SET CONSTRAINTS ALL DEFERRED")
    for name in ("asset", "account", "account_closure", "journal_entry", "journal_line"):
        if name != table:
            book.execute(f"ALTER TABLE ledger.{name} DISABLE TRIGGER {name}_append_only")
    assert attempt(book, lambda c: c.execute(f"TRUNCATE ledger.{table} CASCADE")) is not None
    book.execute(f"DROP TRIGGER {table}_append_only ON ledger.{table}")
    assert attempt(book, lambda c: c.execute(f"TRUNCATE ledger.{table} CASCADE")) is None


def test_the_hole_that_remains_raises_the_alarm(book: Connection) -> None:
    book.execute("SET LOCAL session_replication_role = replica")
    raw_entry(book, [GOOD[0], GOOD[1] | {"amount_minor": -4}])
    assert [check.code for check in verify(book) if check.outcome is CheckOutcome.FAILED] == [
        "entry_zero_sum",
        "asset_zero_sum",
    ]
