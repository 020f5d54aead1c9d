"""Entries are found by reference, metadata, key and account, by an index; refused keys say what became of them."""

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

import ledger_core.search
from ledger_core.errors import AccountError
from ledger_core.posting import EntryLine, post
from ledger_core.read_port import REFERENCE_COLUMNS
from ledger_core.reversal import reverse
from ledger_core.search import find_lines, find_refusal
from ledger_core.sql import queries
from tests.ledger_core.books import BANK, SALES, WALLET, request
from tests.ledger_core.large_book import LINES, write_large_book

Connection = psycopg.Connection[Any]
MakeDatabase = Callable[..., contextlib.AbstractContextManager[str]]


@pytest.fixture(scope="module")
def large_url(make_database: MakeDatabase, template: str) -> Iterator[str]:
    with make_database(template) as url:
        with contextlib.closing(psycopg.connect(url)) as connection:
            write_large_book(connection)
        yield url


@pytest.fixture
def large(large_url: str) -> Iterator[Connection]:
    with contextlib.closing(psycopg.connect(large_url)) as connection:
        yield connection


def keys(found: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["entry_key"] for row in found))


def plan_of(connection: Connection, **wanted: Any) -> str:
    """The plan of the search itself, as the reader's role gets it."""
    nothing = dict.fromkeys(("reference", "metadata", "entry_key", "codes", "from_day", "to_day"))
    query = queries(Path(ledger_core.search.__file__).with_suffix(".sql"))["find"]
    connection.execute("SET LOCAL ROLE tieout_ledger_reader")
    rows = connection.execute("EXPLAIN " + query, nothing | {"limit": 100} | wanted).fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"reference": "ref_psp-7"}, "journal_line_detail_ref_psp_idx"),
        ({"reference": "ref_psp-7"}, "journal_line_detail_batch_ref_idx"),
        ({"metadata": json.dumps({"order": 7})}, "journal_line_detail_metadata_idx"),
        ({"entry_key": "k7"}, "journal_entry_key_key"),
    ],
)
def test_a_search_reads_an_index_and_never_the_whole_journal(
    large: Connection, wanted: dict[str, Any], index: str
) -> None:
    plan = plan_of(large, **wanted)
    assert index in plan, plan
    assert "Seq Scan on journal_line" not in plan, plan
    assert "Seq Scan on journal_entry" not in plan, plan


def test_an_entry_is_found_whole_by_a_reference_of_one_line(large: Connection) -> None:
    for reference in ("ref_psp-7", "ref_end_to_end-7", "ref_arn-7"):
        found = find_lines(large, reference=reference)
        assert [(row["entry_key"], row["line_no"], row["account"], row["amount_minor"]) for row in found] == [
            ("k7", 1, BANK, 1),
            ("k7", 2, SALES, -1),
        ]
    assert find_lines(large, reference="ref_auth_code-7") == []  # not unique enough to be worth an index
    assert find_lines(large, reference="ref_psp-") == []


def test_every_reference_but_the_authorisation_code_is_searched(own_book: Connection) -> None:
    requests = [
        request(
            name,
            EntryLine(account=BANK, amount_minor=1, asset="EUR", detail={name: f"r {name}"}),
            (SALES, -1),
        )
        for name in REFERENCE_COLUMNS
    ]
    post(own_book, requests)
    found = {
        name for name in REFERENCE_COLUMNS if keys(find_lines(own_book, reference=f"r {name}")) == [name]
    }
    assert found == {*REFERENCE_COLUMNS} - {"ref_auth_code"}


def test_metadata_must_contain_all_that_is_asked_for_with_its_type(large: Connection) -> None:
    assert keys(find_lines(large, metadata={"order": 7})) == ["k7"]
    assert keys(find_lines(large, metadata={"order": 7, "rail": "swift"})) == ["k7"]
    assert find_lines(large, metadata={"order": 7, "rail": "sepa"}) == []
    assert find_lines(large, metadata={"order": "7"}) == []


def test_conditions_meet_on_one_line_and_the_newest_come_first(large: Connection) -> None:
    assert len(keys(find_lines(large, reference="batch-3"))) == 100
    assert keys(find_lines(large, reference="batch-3", limit=2)) == ["k399", "k398"]
    assert keys(find_lines(large, reference="batch-3", account="income", metadata={"rail": "sepa"})) == []
    assert (
        len(
            keys(
                find_lines(
                    large, account="assets", from_day=date(2026, 1, 2), to_day=date(2026, 1, 2), limit=LINES
                )
            )
        )
        == 1440
    )
    with pytest.raises(AccountError, match="'asset': expected an account of the chart"):
        find_lines(large, account="asset")


def test_a_refused_key_says_what_it_was_told_and_a_reversal_what_it_reverses(own_book: Connection) -> None:
    post(own_book, [request("sale", (BANK, 5), (SALES, -5)), request("payment", (WALLET, 99), (BANK, -99))])
    reverse(own_book, "sale", reason="twice", authoriser="Ada")
    assert find_lines(own_book, entry_key="payment") == []
    refusal = find_refusal(own_book, "payment")
    assert refusal is not None
    assert (refusal["code"], WALLET in refusal["detail"]) == ("overdrawn", True)
    assert find_refusal(own_book, "sale") is None
    found = find_lines(own_book, entry_key="reversal:sale")
    assert {(row["reverses_entry_key"], row["reason"], row["authoriser"]) for row in found} == {
        ("sale", "twice", "Ada")
    }
