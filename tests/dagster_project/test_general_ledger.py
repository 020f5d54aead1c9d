"""The general ledger as a file: random books through the real database, read and checked by beancount and hledger.

The oracles do their own parsing and their own sums; what they find is compared with `ledger.balances`. A file changed
by one minor unit must not pass either of them.
"""

import contextlib
import csv
import io
import re
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from beancount import loader
from beancount.core import data, realization
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dagster_project.books.general_ledger import DAY_COLUMNS, LINE_COLUMNS, Form, write_general_ledger
from dagster_project.books.plain_text import ELSEWHERE, commodity, journal_account
from ledger_core.errors import AccountError, OutOfRangeError, RequestError, StoreError
from ledger_core.posting import EntryLine, EntryRequest, post, post_lines
from ledger_core.reversal import reverse
from tests.ledger_core.books import BANK, NOON, SALES, WALLET, fund, hold, lines, outcomes, request, sale
from tests.ledger_core.large_book import LINES, write_large_book

Connection = psycopg.Connection[Any]
MakeDatabase = Callable[..., contextlib.AbstractContextManager[str]]

ASSETS = {"JPY": 0, "EUR": 2, "PTS": 9, "1INCH": 18, "A-": 2, "TRUE": 3, "V": 0}
TYPES = ("asset", "liability", "equity", "income", "expense")
ENTITIES = ("main", "Main", "Ж; 'x' \"y\", 1:2\nz")
TWINS = (
    "a:b-c",
    "a:b_c",
    "A:b-c",
    "a.b:c",
    "a-b:c",
    "1:2",
    "x",
    "X",
    "x---a:b-c",
    "-:_",
    "Assets:Bank--2d-",
    "2x-.-y",
)
FIRST_DAY = date(2024, 1, 1)

codes = st.from_regex(r"[A-Za-z0-9._-]{1,5}(:[A-Za-z0-9._-]{1,5}){0,2}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
TRAPS = (
    '"',
    "\\",
    "\n",
    "\r\n",
    "; x",
    "a|b",
    " date:2020-99-99, [2020-13-01] ",
    "(1) x",
    "%41",
    "=1+1",
    "  ",
    "\x85\u2028",
)
saids = st.one_of(texts, st.sampled_from(TRAPS))
details = st.none() | st.fixed_dictionaries(
    {"metadata": st.dictionaries(texts, saids, max_size=2)},
    optional=dict.fromkeys(("description", "counterparty", "ref_psp", "kind"), saids),
)


@dataclass(frozen=True)
class RandomBook:
    """Accounts as (code, type, asset, entity), and requests; every third is reversed, some are only planned."""

    accounts: list[tuple[str, str, str, str]]
    requests: list[EntryRequest]


@st.composite
def books(draw: st.DrawFn) -> RandomBook:
    chosen = draw(st.lists(st.one_of(st.sampled_from(TWINS), codes), min_size=4, max_size=14, unique=True))
    leaves = [code for code in chosen if not any(other.startswith(f"{code}:") for other in chosen)]
    kinds = st.tuples(
        st.sampled_from(TYPES), st.sampled_from(sorted(ASSETS)[:3]), st.sampled_from(ENTITIES[:2])
    )
    wide = st.tuples(st.sampled_from(TYPES), st.sampled_from(sorted(ASSETS)), st.sampled_from(ENTITIES))
    accounts = [(code, *draw(st.one_of(kinds, wide))) for code in leaves]
    # Each has a partner, so that everything can be posted to.
    accounts += [
        (f"partner:{place}", draw(st.sampled_from(TYPES)), asset, entity)
        for place, (asset, entity) in enumerate(sorted({(asset, entity) for _, _, asset, entity in accounts}))
    ]
    groups = st.sampled_from(sorted({account[2:] for account in accounts}))
    midnight = datetime.combine(FIRST_DAY, datetime.min.time(), UTC)
    requests = []
    for number in range(draw(st.integers(0, 12))):
        layer = draw(st.sampled_from(("posted", "posted", "posted", "planned")))
        moved: list[EntryLine] = []
        for asset, entity in draw(st.lists(groups, min_size=1, max_size=2, unique=True)):
            here = st.sampled_from([account[0] for account in accounts if account[2:] == (asset, entity)])
            amounts = draw(st.lists(st.integers(-(10**12), 10**12).filter(bool), min_size=1, max_size=3))
            amounts += [-sum(amounts)] if sum(amounts) else [7, -7]
            moved += [
                EntryLine(
                    account=draw(here), amount_minor=minor, asset=asset, layer=layer, detail=draw(details)
                )
                for minor in amounts
            ]
        at = midnight + timedelta(seconds=draw(st.integers(0, 40 * 86_400)))
        requests.append(EntryRequest(entry_key=f"{number} {draw(saids)}", effective_at=at, lines=moved))
    return RandomBook(accounts, requests)


def write_book(connection: Connection, book: RandomBook) -> None:
    connection.execute("SELECT ledger.define_assets(%s, %s)", (list(ASSETS), list(ASSETS.values())))
    codes, types, assets, entities = map(list, zip(*book.accounts, strict=True))
    opening = "SELECT ledger.open_accounts(%s, %s, %s, %s, array_fill(true, ARRAY[%s]), %s)"
    connection.execute(opening, (codes, codes, types, assets, len(codes), entities))
    for place, wanted in enumerate(book.requests):
        (answer,) = post(connection, [wanted])
        assert answer.outcome == "posted", answer
        if place % 3 == 2:
            reverse(
                connection,
                wanted.entry_key,
                reason="typo",
                authoriser="Ada",
                effective_at=wanted.effective_at + timedelta(days=2),
            )
        if place == 5:
            connection.commit()
            connection.execute("SELECT ledger.fold(1)")
            connection.commit()
    connection.commit()


def written(connection: Connection, form: Form, **bounds: Any) -> str:
    out = io.StringIO(newline="")
    write_general_ledger(connection, out, form, **bounds)
    return out.getvalue()


def posted_balances(
    connection: Connection, prefix: str = "", to_day: date | None = None
) -> dict[str, Decimal]:
    """What the ledger itself says, by account, in major units."""
    rows = connection.execute(
        "SELECT a.account, b.posted, b.exponent FROM ledger.account_v1 AS a "
        "CROSS JOIN LATERAL ledger.balances(a.account, (%s::date + 1)::timestamp AT TIME ZONE 'UTC') AS b "
        "WHERE a.is_leaf",
        (to_day,),
    ).fetchall()
    return {
        row[0]: row[1].scaleb(-row[2])
        for row in rows
        if not prefix or row[0] == prefix or row[0].startswith(f"{prefix}:")
    }


def beancount_balances(text: str) -> dict[str, Decimal]:
    """What beancount computes, by account code; it must find nothing to complain about."""
    entries, errors, _ = loader.load_string(text)
    assert not errors, errors
    tree = realization.realize(entries)
    return {
        entry.meta["code"]: sum(
            (position.units.number for position in realization.get(tree, entry.account).balance), Decimal(0)
        )
        for entry in entries
        if isinstance(entry, data.Open) and entry.account != ELSEWHERE
    }


@pytest.fixture(scope="session")
def hledger() -> str:
    """Debian's hledger. tests/conftest.py names the tests that ask for it where there is none."""
    found = shutil.which("hledger")
    assert found, "expected hledger, found none; on Debian: apt install hledger"
    return found


def ask_hledger(program: str, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    command, environment = [program, "-f", "-", *words], {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        command, input=text, env=environment, capture_output=True, encoding="utf-8", check=False
    )


def hledger_balances(program: str, text: str) -> dict[str, Decimal]:
    """What hledger computes, by the name of the account; its strict check must pass."""
    checked = ask_hledger(program, text, "check", "--strict")
    assert checked.returncode == 0, checked.stderr
    told = ask_hledger(program, text, "balance", "--flat", "--empty", "--no-total", "--output-format=csv")
    assert told.returncode == 0, told.stderr
    rows = list(csv.reader(io.StringIO(told.stdout)))[1:]
    return {name: Decimal(amount.split(" ")[0]) for name, amount in rows if name != ELSEWHERE}


def names(connection: Connection) -> dict[str, str]:
    rows = connection.execute("SELECT type, entity, account FROM ledger.account_v1 WHERE is_leaf").fetchall()
    return {code: journal_account(kind, entity, code) for kind, entity, code in rows}


def decoded(component: str) -> str:
    """The mapping of names backwards, written from its description alone."""
    held = component.removeprefix("X---")
    text, place = "", 0
    while place < len(held):
        if held.startswith("--", place):
            end = held.index("-", place + 2)
            text += chr(int(held[place + 2 : end], 16))
            place = end + 1
        else:
            text += held[place]
            place += 1
    return text if held != component else text[0].lower() + text[1:]


@given(
    st.sampled_from(TYPES),
    st.one_of(texts, st.sampled_from(ENTITIES)),
    st.one_of(codes, st.sampled_from(TWINS)),
)
@example("asset", "x", "X---:x:X")
@example("asset", "-", "a--2d-:--:-a-")
def test_an_account_s_name_in_a_journal_is_legal_and_leads_back_to_the_account(
    kind: str, entity: str, code: str
) -> None:
    name = journal_account(kind, entity, code)
    assert re.fullmatch(r"(Assets|Liabilities|Equity|Income|Expenses)(:[A-Z0-9][A-Za-z0-9-]*){2,}", name)
    _, *components = name.split(":")
    assert [decoded(part) for part in components] == [entity, *code.split(":")]


@given(st.lists(st.from_regex(r"[A-Z0-9][A-Z0-9._-]{0,15}", fullmatch=True), unique=True, max_size=30))
@example([*ASSETS, "FALSE", "NULL", "X", "X.X", "0", "12", "E.", "A_", "T-1"])
def test_an_asset_s_name_in_beancount_is_legal_and_its_own(assets: list[str]) -> None:
    text = "".join(f"2024-01-01 commodity {commodity(asset)}\n" for asset in assets)
    entries, errors, _ = loader.load_string(text)
    assert not errors
    assert len({entry.currency for entry in entries}) == len(assets)


random_books = given(
    book=books(), part=st.integers(0, 20), days=st.tuples(st.integers(0, 45), st.integers(0, 45))
)
some = settings(max_examples=10, suppress_health_check=[*HealthCheck])


@contextlib.contextmanager
def kept(make: MakeDatabase, template: str, book: RandomBook) -> Iterator[Connection]:
    with make(template) as url, contextlib.closing(psycopg.connect(url)) as connection:
        write_book(connection, book)
        yield connection


def part_of(book: RandomBook, part: int, days: tuple[int, int]) -> dict[str, Any]:
    """Bounds of an export: some account or summary path, and some days."""
    from_day, to_day = (FIRST_DAY + timedelta(days=day) for day in sorted(days))
    prefix = book.accounts[part % len(book.accounts)][0].split(":")[0]
    return {"account": prefix, "from_day": from_day, "to_day": to_day}


@some
@random_books
def test_beancount_and_csv_show_the_ledger_s_own_balances_in_random_books(
    make_database: MakeDatabase, template: str, *, book: RandomBook, part: int, days: tuple[int, int]
) -> None:
    with kept(make_database, template, book) as connection:
        expected = posted_balances(connection)
        whole = written(connection, Form.BEANCOUNT)
        assert beancount_balances(whole) == expected
        assert said_in(whole) == said_in_the_ledger(connection)
        assert csv_balances(written(connection, Form.CSV)) == expected

        bounds = part_of(book, part, days)
        expected = posted_balances(connection, bounds["account"], bounds["to_day"])
        assert beancount_balances(written(connection, Form.BEANCOUNT, **bounds)) == expected
        assert csv_balances(written(connection, Form.CSV, **bounds)) == expected
        by_day = csv.DictReader(io.StringIO(written(connection, Form.CSV_BY_DAY, **bounds), newline=""))
        assert {row["account"]: Decimal(row["closing"]) for row in by_day} == expected


@some
@random_books
def test_hledger_shows_the_ledger_s_own_balances_in_random_books(
    make_database: MakeDatabase,
    template: str,
    hledger: str,
    *,
    book: RandomBook,
    part: int,
    days: tuple[int, int],
) -> None:
    with kept(make_database, template, book) as connection:
        name_of = names(connection)
        assert len(set(name_of.values())) == len(name_of)
        for bounds in ({}, part_of(book, part, days)):
            expected = posted_balances(connection, bounds.get("account", ""), bounds.get("to_day"))
            found = hledger_balances(hledger, written(connection, Form.HLEDGER, **bounds))
            assert found == {name_of[code]: amount for code, amount in expected.items()}


def said_in(text: str) -> list[tuple[str, list[tuple[str, ...]]]]:
    """What beancount reads of each entry: its key, and the texts of its lines."""
    entries, _, _ = loader.load_string(text)
    told = ("description", "counterparty", "ref_psp", "kind", "metadata")
    return sorted(
        (
            entry.meta["entry_key"],
            [tuple((posting.meta or {}).get(name, "") for name in told) for posting in entry.postings],
        )
        for entry in entries
        if isinstance(entry, data.Transaction)
    )


def said_in_the_ledger(connection: Connection) -> list[tuple[str, list[tuple[str, ...]]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    rows = connection.execute(
        "SELECT entry_key, coalesce(description, ''), coalesce(counterparty, ''), coalesce(ref_psp, ''), "
        "coalesce(kind, ''), coalesce(metadata::text, '') FROM ledger.journal_line_v1 WHERE layer = 'posted' "
        "ORDER BY entry_key, line_no"
    )
    for key, *told in rows:
        found.setdefault(key, []).append(tuple(told))
    return sorted(found.items())


def csv_balances(text: str) -> dict[str, Decimal]:
    """The last running balance of each account; every row is checked against the one before."""
    balance_minor: dict[str, int] = {}
    last: dict[str, Decimal] = {}
    for row in csv.DictReader(io.StringIO(text, newline="")):
        if row["row"] == "opening":
            assert row["account"] not in balance_minor
            balance_minor[row["account"]] = int(row["balance_minor"])
        else:
            balance_minor[row["account"]] += int(row["debit_minor"] or 0) - int(row["credit_minor"] or 0)
        assert balance_minor[row["account"]] == int(row["balance_minor"])
        last[row["account"]] = Decimal(row["balance"])
    return last


@pytest.fixture
def small_book(own_book: Connection) -> Connection:
    """Three days: a deposit, a sale of which much is said, its reversal, a hold, and a payment that was refused."""
    fund(own_book, 10_000)
    said = {
        "description": '=SUM("a")',
        "counterparty": "Ж & Co",
        "ref_psp": "ch_1",
        "metadata": {"rail": "sepa", "n": 5},
    }
    day = timedelta(days=1)
    line = EntryLine(account=BANK, amount_minor=250, asset="EUR", detail=said)
    requests = [
        request("sale-1", line, (SALES, -250), at=NOON + day),
        request("too-much", (WALLET, 99_999), (BANK, -99_999)),
    ]
    assert outcomes(post(own_book, requests)) == ["posted", "refused"]
    hold(own_book, "hold-1", (WALLET, 40), (BANK, -40))
    reverse(own_book, "sale-1", reason="twice", authoriser="Ada", effective_at=NOON + 2 * day)
    own_book.commit()
    return own_book


def test_csv_has_an_opening_row_and_running_balances_by_account(small_book: Connection) -> None:
    text = written(small_book, Form.CSV, account=BANK, from_day=date(2026, 1, 16))
    assert tuple(text.split("\r\n", 1)[0].split(",")) == LINE_COLUMNS
    opening, sold, reversed_sale = csv.DictReader(io.StringIO(text))
    assert {name: value for name, value in opening.items() if value} == {
        "row": "opening", "account": BANK, "entity": "main", "asset": "EUR", "effective_at": "2026-01-16T00:00:00Z",
        "balance_minor": "10000", "balance": "100.00",
    }  # fmt: skip
    assert {name: value for name, value in sold.items() if value} == {
        "row": "line", "account": BANK, "entity": "main", "asset": "EUR", "effective_at": "2026-01-16T12:00:00Z",
        "balance_minor": "10250", "balance": "102.50", "entry_key": "sale-1", "line_no": "1", "debit_minor": "250",
        "amount": "2.50", "description": """'=SUM("a")""", "counterparty": "Ж & Co", "ref_psp": "ch_1",
        "metadata": '{"n": 5, "rail": "sepa"}',
    }  # fmt: skip
    assert (reversed_sale["credit_minor"], reversed_sale["amount"], reversed_sale["balance"]) == (
        "250",
        "-2.50",
        "100.00",
    )
    assert reversed_sale["reverses_entry_key"] == "sale-1"


def test_by_day_each_account_opens_where_it_closed(small_book: Connection) -> None:
    text = written(small_book, Form.CSV_BY_DAY)
    assert tuple(text.split("\r\n", 1)[0].split(",")) == DAY_COLUMNS
    found = {
        (row["account"], row["day"]): [row[n] for n in DAY_COLUMNS[4:8]]
        for row in csv.DictReader(io.StringIO(text))
    }
    assert found == {
        (BANK, "2026-01-15"): ["0", "10000", "0", "10000"],
        (BANK, "2026-01-16"): ["10000", "250", "0", "10250"],
        (BANK, "2026-01-17"): ["10250", "0", "250", "10000"],
        (SALES, "2026-01-16"): ["0", "0", "250", "-250"],
        (SALES, "2026-01-17"): ["-250", "250", "0", "0"],
        (WALLET, "2026-01-15"): ["0", "0", "10000", "-10000"],
        ("assets:yen", ""): ["0", "0", "0", "0"],
        ("assets:old", ""): ["0", "0", "0", "0"],
    }


def test_bean_check_accepts_the_file_and_notices_one_minor_unit(
    small_book: Connection, tmp_path: Path
) -> None:
    text = written(small_book, Form.BEANCOUNT)
    for name, content, wrong in (
        ("as written", text, False),
        ("a line", text.replace("  2.50 EUR", "  2.51 EUR", 1), True),
        ("a balance", re.sub(r"(balance Assets:Main:Assets:Bank  )100\.00", r"\g<1>100.01", text), True),
    ):
        assert wrong == (content != text)
        path = tmp_path / f"{name}.beancount"
        path.write_text(content, encoding="utf-8")
        command = [sys.executable, "-m", "beancount.scripts.check", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == wrong, done.stderr


def test_hledger_accepts_the_file_and_notices_one_minor_unit(small_book: Connection, hledger: str) -> None:
    text = written(small_book, Form.HLEDGER)
    assert ask_hledger(hledger, text, "check", "--strict").returncode == 0
    wrong_line = text.replace('  2.50 "EUR"', '  2.51 "EUR"', 1)
    wrong_balance = text.replace('= 100.00 "EUR"', '= 100.01 "EUR"', 1)
    for wrong in (wrong_line, wrong_balance):
        assert wrong != text
        assert ask_hledger(hledger, wrong, "check", "--strict").returncode != 0
    # The entry's key is its code, and what was said of a line can be asked for.
    told = ask_hledger(hledger, text, "register", "code:^sale-1$", "tag:ref_psp=ch_1", "--output-format=csv")
    assert len(told.stdout.splitlines()) == 2


def test_holds_and_plans_are_not_in_the_general_ledger(small_book: Connection) -> None:
    for form in Form:
        text = written(small_book, form)
        assert "hold-1" not in text
        assert "too-much" not in text


def test_a_part_of_the_chart_balances_against_one_account_elsewhere(small_book: Connection) -> None:
    text = written(small_book, Form.BEANCOUNT, account=BANK, to_day=date(2026, 1, 16))
    assert beancount_balances(text) == {BANK: Decimal("102.50")}
    assert f"2026-01-17 balance {ELSEWHERE}  -102.50 ~ 0 EUR\n" in text
    assert ELSEWHERE not in re.sub(r"(?m)^.* open .*$", "", written(small_book, Form.BEANCOUNT))


def test_the_snapshot_of_an_export_writes_the_same_bytes_again(small_book: Connection) -> None:
    for form in Form:
        out = io.StringIO(newline="")
        seen_by = write_general_ledger(small_book, out, form).seen_by
        small_book.commit()
        post_lines(small_book, sale(f"late-{form}", 5))
        small_book.commit()
        small_book.execute("SELECT ledger.fold(1)")
        small_book.commit()
        assert written(small_book, form, seen_by=seen_by) == out.getvalue()
        assert written(small_book, form) != out.getvalue()


def test_one_entity_is_exported_alone_and_balances_alone(small_book: Connection) -> None:
    small_book.execute(
        "SELECT ledger.open_accounts(ARRAY['o:a', 'o:b'], ARRAY['a', 'b'], ARRAY['asset', 'income'], "
        "ARRAY['EUR', 'EUR'], ARRAY[true, true], ARRAY['other', 'other'])"
    )
    post_lines(
        small_book, lines(("both", "o:a", 7), ("both", "o:b", -7), ("both", BANK, 9), ("both", SALES, -9))
    )
    small_book.commit()
    text = written(small_book, Form.BEANCOUNT, entity="other")
    assert beancount_balances(text) == {"o:a": Decimal("0.07"), "o:b": Decimal("-0.07")}
    assert f"balance {ELSEWHERE}" not in text


def test_lines_that_do_not_add_up_to_the_balance_are_not_passed_off(small_book: Connection) -> None:
    small_book.execute("SELECT ledger.fold(1)")
    small_book.commit()
    small_book.execute("SET ROLE tieout_owner")
    small_book.execute(
        "UPDATE ledger.balance SET posted = posted + 1 "
        "WHERE account_id = (SELECT account_id FROM ledger.account WHERE code = %s)",
        (BANK,),
    )
    for form in Form:
        with pytest.raises(
            StoreError,
            match=r"assets:bank: expected lines that add up to its balance of 10001 .*, found 10000",
        ):
            written(small_book, form)


@pytest.mark.parametrize(
    ("bounds", "error", "sentence"),
    [
        (
            {"account": "assets:nowhere"},
            AccountError,
            "'assets:nowhere': expected an account of the chart, found none",
        ),
        ({"account": "assets:ban"}, AccountError, "found none"),
        ({"entity": "nobody"}, AccountError, "of entity 'nobody'"),
        ({"seen_by": "888888888888:888888888888:"}, RequestError, "ahead of it"),
    ],
)
def test_what_is_not_there_is_said(
    small_book: Connection, bounds: Mapping[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        written(small_book, Form.CSV, **bounds)


def test_a_year_that_journals_cannot_say_is_refused_and_csv_says_it(small_book: Connection) -> None:
    small_book.execute(
        "SELECT ledger.post_entries(ARRAY['far', 'far'], ARRAY['12026-01-01Z', '12026-01-01Z']::timestamptz[], "
        "ARRAY[%s, %s], ARRAY[1, -1], ARRAY['EUR', 'EUR'])",
        (BANK, SALES),
    )
    small_book.commit()
    for form in (Form.BEANCOUNT, Form.HLEDGER):
        with pytest.raises(OutOfRangeError, match="day 12026-01-01"):
            written(small_book, form)
    assert "12026-01-01T00:00:00Z" in written(small_book, Form.CSV)
    assert "12026-01-01" in written(small_book, Form.CSV_BY_DAY)


def test_memory_does_not_grow_with_the_lines(connection: Connection) -> None:
    class Sink(io.StringIO):
        def write(self, text: str) -> int:
            return len(text)

    write_large_book(connection)
    peaks = []
    for form in Form:
        write_general_ledger(connection, Sink(), form, to_day=date(2026, 1, 1))
        tracemalloc.start()
        exported = write_general_ledger(connection, Sink(), form)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert exported.rows == (14 if form is Form.CSV_BY_DAY else LINES)
    assert max(peaks) < 400_000, peaks
