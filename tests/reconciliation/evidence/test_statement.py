"""The statement of a day, its identities and its forms; two signatures under it."""

import csv
import io
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import openpyxl
import psycopg
import pytest

from reconciliation.errors import NoSession, NotTheirs, RefusedSignOff
from reconciliation.evidence.canonical_json import canonical_bytes, sha256_of
from reconciliation.evidence.sign_off import (
    changes_since,
    check,
    find_sign_off,
    prepare,
    review,
    signed_content,
)
from reconciliation.evidence.statement import DayStatement, day_statement
from reconciliation.evidence.statement_changes import changes_between
from reconciliation.evidence.statement_page import statement_html, statement_html_parts
from reconciliation.evidence.statement_sheets import statement_csv, statement_xlsx
from reconciliation.evidence.statement_text import statement_text
from tests.reconciliation.daily.desk import (
    BANK_ACCOUNT,
    IBAN,
    MONDAY,
    OPENING_MINOR,
    SOURCES,
    TUESDAY,
    Desk,
    movement,
)

BANK = SOURCES["bank"]
FORMULA, MARKUP = "=1+1", "<script>alert('x')</script>"


def statement_of(desk: Desk, day: Any = MONDAY) -> DayStatement:
    with desk.session("tieout_auditor") as connection:
        return day_statement(connection, BANK, day)


def failing(statement: DayStatement) -> set[str]:
    return {identity["name"] for identity in statement.failing}


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_day_is_told_whole_and_in_every_form_alike(desk: Desk) -> None:
    desk.post("paid", MONDAY, 500, ref_end_to_end="A")
    desk.post(FORMULA, MONDAY, 700, ref_end_to_end=MARKUP, counterparty=MARKUP)
    desk.post("off", MONDAY, 905, ref_end_to_end="OFF")
    desk.statement(MONDAY, movement("A", 500), movement("C", -300, native_id=FORMULA), movement("OFF", 900))
    desk.run(MONDAY)
    statement = statement_of(desk)

    (account,) = statement.accounts
    assert (account["account"], account["external_account"], account["basis"]) == (
        BANK_ACCOUNT,
        IBAN,
        "stated",
    )
    assert (account["opening_minor"], account["movement_minor"], account["closing_minor"]) == (
        100_000,
        1_100,
        101_100,
    )
    assert (account["ledger_opening_minor"], account["ledger_closing_minor"]) == (100_000, 102_105)
    told = [
        (item["side"], item["bucket"], item["kind"], item["amount_minor"]) for item in account["open_items"]
    ]
    assert told == [
        ("external", "timing", "missing_in_ledger", -300),
        ("external", "genuine", "amount_mismatch", 900),
        ("ledger", "timing", "missing_at_source", 700),
        ("ledger", "genuine", "amount_mismatch", 905),
    ]
    assert account["counts"] == {"lines": 6, "matched": 2, "timing": 2, "genuine": 2, "excluded": 0}
    assert (statement.tied_out, statement.obstacles, statement.failing) == (True, (), ())
    assert statement.canonical_bytes() == statement_of(desk).canonical_bytes()
    assert DayStatement.from_text(statement.canonical_bytes().decode()) == statement
    assert not re.search(rb"_id\"|surrogate", canonical_bytes(statement.books))

    page = Page(statement_html(statement))
    assert not page.elements & {"script", "img", "link", "iframe"}
    assert MARKUP in page.text
    parts = statement_html_parts(statement, items_max=0)
    assert "1 more are in the CSV" in "".join(part.html for part in parts)
    assert not Page("".join(part.html for part in parts)).attributes - {"class"}
    table = list(csv.DictReader(io.StringIO(statement_csv(statement).decode())))
    items = sorted((row["key"], row["amount_minor"]) for row in table if row["table"] == "open_items")
    assert items == [("'=1+1", "-300"), ("'=1+1", "700"), ("N-OFF", "900"), ("off", "905")]
    assert [row["amount_minor"] for row in table if row["table"] == "bridge"][-1] == "101100"
    assert not any(cell.startswith(("=", "+", "@")) for row in table for cell in row.values())
    book = openpyxl.load_workbook(io.BytesIO(statement_xlsx(statement)))
    assert {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row} <= {"s", "n"}
    bridge = book["bridge"]
    assert (bridge.cell(bridge.max_row, 4).value, bridge.cell(bridge.max_row, 4).number_format) == (
        1011,
        "#,##0.00",
    )
    assert "assets:bank:eur: source 1011.00 (stated), ledger 1021.05" in statement_text(statement)
    assert "open genuine amount_mismatch" in statement_text(statement)


def test_what_no_run_has_judged_is_said_and_stands_against_signing(desk: Desk) -> None:
    assert failing(statement_of(desk)) == {"proved"}
    desk.post("a", MONDAY, 500, ref_end_to_end="A")
    desk.statement(MONDAY, movement("A", 500))
    desk.run(MONDAY)
    assert statement_of(desk).obstacles == ()

    desk.post("late", MONDAY, 40)
    late = statement_of(desk)
    assert {"ledger balance", "lines accounted for", "open ledger lines"} <= failing(late)
    assert any("expected 1005.00 EUR, found 1005.40 EUR" in said for said in late.obstacles)
    desk.run(MONDAY)
    assert statement_of(desk).obstacles == ()

    desk.enrol("ada", "controller")
    (group,) = desk.live_groups().values()
    with desk.acting("ada") as connection:
        connection.execute("SELECT recon.undo_match(%s, 'data_correction', 'another customer')", (group[0],))
    undone = statement_of(desk)
    assert {"lines accounted for", "matched lines"} <= failing(undone)
    assert [row["actor"] for row in undone.record["undone_matches"]] == ["ada"]
    with desk.acting("ada") as connection, pytest.raises(RefusedSignOff, match="no run has judged yet"):
        prepare(connection, BANK, MONDAY)
    desk.run(MONDAY)
    desk.run(TUESDAY)
    missing = statement_of(desk, TUESDAY)
    assert missing.obstacles == (f"{BANK_ACCOUNT}: no file for {TUESDAY}",)
    with desk.acting("ada") as connection, pytest.raises(RefusedSignOff, match=f"no file for {TUESDAY}"):
        prepare(connection, BANK, TUESDAY)


def test_a_day_needs_two_people_and_says_what_changed_after_them(desk: Desk) -> None:
    for login in ("ada", "ben"):
        desk.enrol(login, "controller")
    desk.enrol("ada.two", "controller", same_as="ada")
    desk.statement(MONDAY, movement("A", 500))
    desk.run(MONDAY)
    with desk.session("tieout_analyst") as connection, pytest.raises(NoSession):
        prepare(connection, BANK, MONDAY)
    with desk.acting("ada") as connection:
        prepared = prepare(connection, BANK, MONDAY, "one item, in time")
    for login in ("ada", "ada.two"):
        with desk.acting(login) as connection, pytest.raises(NotTheirs):
            review(connection, BANK, prepared.sign_off_id, "signed")
        with desk.acting(login) as connection, pytest.raises(psycopg.DatabaseError, match="another person"):
            connection.execute(
                "SELECT recon.review_sign_off(%s, 'signed', %s)",
                (prepared.sign_off_id, prepared.books_sha256),
            )
    (item,) = desk.exceptions()
    with desk.acting(
        "ben"
    ) as connection:  # what people say of an item explains the books and does not change them
        connection.execute(
            "SELECT recon.work(ARRAY[%s]::bigint[], ARRAY[NULL]::integer[], 'carry', %s)",
            (item["exception_id"], json.dumps({"until": "2026-12-01", "reason": "timing"})),
        )
        assert review(connection, BANK, prepared.sign_off_id, "signed").state == "signed"
    (explained,) = statement_of(desk).record["explanations"].values()
    assert explained == {"reason": "timing", "carried_until": "2026-12-01"}

    desk.post("a", MONDAY, 500, ref_end_to_end="A")
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(TUESDAY)
    with desk.session("tieout_auditor") as connection:
        signed = find_sign_off(connection, prepared.sign_off_id)
        told = changes_since(connection, BANK, signed)
        assert check(connection, BANK, signed).problems == ()
        kept = DayStatement.from_text(signed_content(connection, signed.sign_off_id))
    assert f"{BANK_ACCOUNT}: Balance of the ledger: 1005.00 EUR, was 1000.00 EUR" in told
    assert f"{BANK_ACCOUNT}: no longer open: external N-A (5.00 EUR)" in told
    assert kept.sha256 == signed.content_sha256
    assert kept.books_sha256 == signed.books_sha256 != statement_of(desk).books_sha256


def test_a_signed_day_whose_bytes_were_exchanged_is_found_out(desk: Desk) -> None:
    desk.enrol("ada", "controller")
    desk.statement(MONDAY, movement("A", 500))
    desk.run(MONDAY)
    with desk.acting("ada") as connection:
        prepared = prepare(connection, BANK, MONDAY)
    with desk.session(None) as connection:  # whoever can do this can do anything, and is noticed
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("SET LOCAL ROLE tieout_owner")
        connection.execute(
            "UPDATE recon.sign_off SET content = replace(content, '100500', '100600'),"
            " content_sha256 = encode(sha256(convert_to(replace(content, '100500', '100600'), 'UTF8')), 'hex')"
        )
    with desk.session("tieout_auditor") as connection:
        found = check(connection, BANK, find_sign_off(connection, prepared.sign_off_id))
    assert "the books in the bytes that were kept have another digest than was signed" in found.problems
    assert any("1005.00 EUR, was 1006.00 EUR" in problem for problem in found.problems)


def test_canonical_json_has_one_form_and_refuses_what_has_none() -> None:
    value: Mapping[str, Any] = {"b": [MONDAY, True, None], "a": "ü\u2028", "B": -(2**63)}
    expected = '{"B":-9223372036854775808,"a":"ü\u2028","b":["2026-11-09",true,null]}'
    assert canonical_bytes(value).decode() == expected
    assert sha256_of(dict(reversed(value.items()))) == sha256_of(value)
    for wrong in ({"a": 0.5}, {1: "a"}, {"a": b"b"}, {"a": {"b": float("nan")}}):
        with pytest.raises(TypeError, match="canonical JSON"):
            canonical_bytes(wrong)


def test_books_that_differ_in_anything_are_told_to(desk: Desk) -> None:
    desk.statement(MONDAY, movement("A", 500))
    desk.run(MONDAY)
    books = statement_of(desk).books
    assert changes_between(books, books) == ()
    for name in books:
        if isinstance(books[name], list):
            altered = {**books, name: [*books[name], *books[name]][1:] if books[name] else []}
            assert bool(changes_between(books, altered)) == (altered != books)
    assert changes_between(books, {**books, "business_day_before": "2026-11-05"})
