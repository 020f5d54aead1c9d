"""The faults of deliveries, in every family of standards: repeated, corrected, cut, out of order, foreign, in pages."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from psycopg import Connection, connect

from reconciliation.intake.deliveries import list_deliveries
from reconciliation.sources import Source
from tests.reconciliation.intake.builder import deliver, deliver_all, digests
from tests.reconciliation.intake.fault_files import (
    FORMATS,
    IBAN,
    OPENING_MINOR,
    PACKAGINGS,
    PAID_OUT,
    Told,
    amounts,
    file_of,
    new_source,
    source_of,
    unkept_statements,
    zipped,
)
from tests.reconciliation.intake.test_releases import release

LINES = (Told(1, 2_500), Told(2, 990), Told(3, 41))
EVERY_FORMAT = pytest.mark.parametrize("name", FORMATS)
STATEMENTS = ("camt.053", "mt940", "bai2", "coda", "ofx", "adyen.settlement_detail", "mastercard.ipm")
"""Formats whose file names its statement, so that a second one is known as its correction."""


@pytest.fixture(scope="module")
def store(make_database: Any, template: str) -> Iterator[Connection]:
    """One database for all tests of this module: each has sources of its own."""
    with make_database(template) as url, connect(url, autocommit=True) as connection:
        yield connection


def own_source(name: str) -> Source:
    """A source of a format that no other test knows."""
    return new_source(source_of(name))


def net(name: str, *lines: Told) -> list[int]:
    """What the lines of a format add up from: some settle what they tell in the same file."""
    told = [line.amount_minor for line in lines]
    return sorted([*told, -sum(told)] if name in PAID_OUT else told)


@EVERY_FORMAT
def test_a_file_delivered_again_in_any_packaging_changes_nothing(store: Connection, name: str) -> None:
    content, source = file_of(name, *LINES), own_source(name)
    first = deliver(store, content, source=source, file_name="day")
    assert first.outcome == "accepted", first.sentence
    before = digests(store)
    for packed in PACKAGINGS.values():
        again = deliver(store, packed(content), source=source, file_name="member")
        assert (again.outcome, again.same_as) == ("redelivered", first.delivery_id)
    assert digests(store) == before
    assert amounts(store, source) == net(name, *LINES)
    assert unkept_statements(store, source) == []


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_a_corrected_file_in_any_packaging_changes_what_it_touches(
    store: Connection, name: str, packaging: str
) -> None:
    source = own_source(name)
    deliver(store, file_of(name, *LINES), source=source)
    corrected = (LINES[0], Told(2, 995), Told(4, 77))
    content = PACKAGINGS[packaging](file_of(name, *corrected, version="b"))
    outcome = deliver(store, content, source=source)
    assert outcome.outcome == "corrected", outcome.sentence
    assert amounts(store, source) == net(name, *corrected)
    assert unkept_statements(store, source) == []
    again = deliver(store, content, source=source)
    assert (again.outcome, again.same_as) == ("redelivered", outcome.delivery_id)


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_first_version_delivered_once_more_does_not_undo_its_correction(
    store: Connection, name: str
) -> None:
    source, first = own_source(name), file_of(name, *LINES)
    deliver(store, first, source=source)
    deliver(store, file_of(name, *LINES[:2], version="b"), source=source)
    for packed in PACKAGINGS.values():
        assert deliver(store, packed(first), source=source).outcome == "redelivered"
    assert amounts(store, source) == net(name, *LINES[:2])


@EVERY_FORMAT
def test_a_file_cut_anywhere_is_refused_whole_or_was_whole(store: Connection, name: str) -> None:
    content, source = file_of(name, *LINES), own_source(name)
    for place in range(1, len(content), max(1, len(content) // 13)):
        outcome = deliver(store, content[:place], source=source)
        if outcome.refusal is None:  # what was cut off said nothing: an end of line, an empty block
            assert amounts(store, source) == net(name, *LINES)
    assert amounts(store, source) in ([], net(name, *LINES))
    assert deliver(store, content, source=source).outcome in ("accepted", "redelivered")
    assert amounts(store, source) == net(name, *LINES)


@EVERY_FORMAT
def test_days_that_come_in_any_order_end_as_in_order(store: Connection, name: str) -> None:
    source = own_source(name)
    days = [(Told(1, 500), Told(2, -20)), (Told(1, 60),), (Told(1, 500), Told(2, -20))]
    if name == "mastercard.ipm":
        days = [tuple(told for told in lines if told.amount_minor > 0) for lines in days]
    openings = [OPENING_MINOR]
    for lines in days:
        openings.append(openings[-1] + sum(told.amount_minor for told in lines))
    for place in (2, 0, 1):
        content = file_of(name, *days[place], day=place, opening_minor=openings[place])
        outcome = deliver(store, content, source=source)
        assert outcome.outcome == "accepted", outcome.sentence
    assert amounts(store, source) == sorted(amount for lines in days for amount in net(name, *lines))
    assert unkept_statements(store, source) == []


@EVERY_FORMAT
def test_two_truly_identical_lines_both_count(store: Connection, name: str) -> None:
    source = own_source(name)
    if name in ("adyen.settlement_detail", "paypal.stl"):
        return  # a processor's id names one movement; twins of theirs have ids of their own
    twins = (Told(7, 300), Told(7, 300), Told(8, 40))
    outcome = deliver(store, file_of(name, *twins), source=source)
    assert outcome.outcome == "accepted", outcome.sentence
    assert amounts(store, source) == net(name, *twins)
    assert deliver(store, file_of(name, *twins, version="b"), source=source).outcome == "redelivered"


@EVERY_FORMAT
def test_a_file_of_another_format_is_refused_and_named(store: Connection, name: str) -> None:
    source = own_source(name)
    for other in FORMATS:
        if other == name:
            continue
        outcome = deliver(store, file_of(other, *LINES), source=source)
        assert outcome.refusal is not None
        assert outcome.refusal.code == "not_this_format", (other, str(outcome.refusal))
        assert f"it looks like {other}" in outcome.refusal.found
    assert amounts(store, source) == []


@EVERY_FORMAT
def test_a_file_of_another_account_is_refused_by_what_it_says(store: Connection, name: str) -> None:
    source = own_source(name)
    account = source.accounts[0].model_copy(update={"external": "another", "asset": "CHF"})
    elsewhere = source.model_copy(update={"accounts": (account,)})
    outcome = deliver(store, file_of(name, *LINES), source=elsewhere)
    assert outcome.refusal is not None
    assert outcome.refusal.code == "wrong_account"
    assert "another in CHF" in outcome.refusal.expected
    assert amounts(store, source) == []


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_day_without_movements_is_not_an_empty_file(store: Connection, name: str) -> None:
    source = own_source(name)
    empty = deliver(store, b"", source=source)
    assert empty.refusal is not None
    if name in ("adyen.settlement_detail", "mastercard.ipm"):
        return  # what settles nothing sends no file
    quiet = deliver(store, file_of(name), source=source)
    assert (quiet.outcome, quiet.line_count) == ("accepted", 0), quiet.sentence


@pytest.mark.parametrize("order", list(permutations("abc")))
def test_an_archive_of_days_is_the_days_in_whatever_order(store: Connection, order: tuple[str, ...]) -> None:
    source = own_source("mt940")
    files = {
        letter: file_of("mt940", Told(1, 100 + place), day=place, opening_minor=OPENING_MINOR + 100 * place)
        for place, letter in enumerate("abc")
    }
    outcomes = deliver_all(store, zipped(**{letter: files[letter] for letter in order}), source=source)
    assert {outcome.outcome for outcome in outcomes} == {"accepted"}
    assert amounts(store, source) == [100, 101, 102]


def test_a_refused_file_between_good_ones_leaves_them_alone(store: Connection) -> None:
    source = own_source("camt.053")
    deliver(store, file_of("camt.053", *LINES), source=source)
    before = digests(store, ("statement", "line", "line_closure", "provisional_line"))
    broken = file_of("camt.053", *LINES, version="b").replace(b">25.00<", b">26.00<")
    assert deliver(store, broken, source=source).outcome == "rejected"
    assert digests(store, ("statement", "line", "line_closure", "provisional_line")) == before
    listed = list_deliveries(store, source_id=source.id).to_pylist()
    assert [row["outcome"] for row in listed] == ["accepted", "rejected"]


def ofx_source(*accounts: str) -> Source:
    """A source of several accounts whose files state no opening balance, so that ids hold beyond a statement."""
    source = own_source("ofx")
    mapped = [
        source.accounts[0].model_copy(
            update={"external": account, "ledger": f"assets:bank:{account.lower()}"}
        )
        for account in accounts
    ]
    return source.model_copy(update={"accounts": tuple(mapped)})


def of_account(content: bytes, account: str) -> bytes:
    return content.replace(IBAN.encode(), account.encode())


def test_ids_that_two_accounts_of_a_bank_share_name_two_lines(store: Connection) -> None:
    source = ofx_source("A1", "B2")
    for account, amount in (("A1", 100), ("B2", 900)):
        outcome = deliver(store, of_account(file_of("ofx", Told(1, amount)), account), source=source)
        assert outcome.outcome == "accepted", outcome.sentence
    assert amounts(store, source) == [100, 900]
    assert unkept_statements(store, source) == []
    corrected = of_account(file_of("ofx", Told(1, 901)), "B2")
    assert deliver(store, corrected, source=source).changed_count == 1
    assert amounts(store, source) == [100, 901]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("name", ["ofx", "bai2", "camt.053", "coda"])
def test_an_id_used_again_on_another_day_names_another_line(
    store: Connection, name: str, order: tuple[int, ...]
) -> None:
    source = own_source(name)
    files = [reused(name, day, Told(1, 100 + day), Told(2, 7)) for day in range(3)]
    for place in order:
        assert deliver(store, files[place], source=source).outcome == "accepted"
    assert amounts(store, source) == [7, 7, 7, 100, 101, 102]
    assert unkept_statements(store, source) == []
    outcome = deliver(store, reused(name, 1, Told(1, 555), Told(2, 7)), source=source)
    assert (outcome.outcome, outcome.unchanged_count) == ("corrected", 1)
    assert amounts(store, source) == [7, 7, 7, 100, 102, 555]
    for content in files:
        assert deliver(store, content + b"\n", source=source).outcome in ("redelivered", "corrected")
    assert amounts(store, source) == [7, 7, 7, 100, 101, 102]


def reused(name: str, day: int, *lines: Told) -> bytes:
    """A day whose ids are those of every other day."""
    content = file_of(name, *lines, day=day)
    for place in range(3):
        content = content.replace(f"11{16 + place}N".encode(), b"0000N")
    return content


def test_a_report_that_covers_a_day_changes_its_lines_by_their_ids(store: Connection) -> None:
    source = own_source("ofx")
    deliver(store, file_of("ofx", Told(1, 100)), source=source)
    wider = file_of("ofx", Told(1, 105), day=0).replace(b"<DTEND>20261116", b"<DTEND>20261120")
    outcome = deliver(store, wider, source=source)
    assert (outcome.outcome, outcome.changed_count) == ("corrected", 1)
    assert amounts(store, source) == [105]


def test_the_same_day_told_by_another_format_is_refused_and_not_counted_twice(store: Connection) -> None:
    source = own_source("camt.053")
    deliver(store, file_of("camt.053", *LINES), source=source)
    outcome = deliver(store, file_of("mt940", *LINES), source=source, format_name="mt940")
    assert outcome.refusal is not None
    assert outcome.refusal.code == "conflict"
    assert "told by camt.053" in outcome.refusal.found
    assert amounts(store, source) == net("camt.053", *LINES)
    next_day = file_of("mt940", Told(1, 5), day=1)
    assert deliver(store, next_day, source=source, format_name="mt940").outcome == "accepted"


def pages(*, last: int = 3) -> list[bytes]:
    """One statement of MT940 as pages, each a file of its own; what the page before ends with begins the next."""
    opening, files = 1_000, []
    for number in range(1, last + 1):
        begins, ends = "F" if number == 1 else "M", "F" if number == last else "M"
        closing = opening + number
        first, then = (f"C261116EUR{minor // 100},{minor % 100:02d}" for minor in (opening, closing))
        rows = (
            ":20:REF261116", f":25:{IBAN}", f":28C:7/{number}", f":60{begins}:{first}",
            f":61:2611161116C0,0{number}NTRFNONREF//B{number}", f":86:166?20SVWZ+page {number}", f":62{ends}:{then}",
            "-", "",
        )  # fmt: skip
        files.append("\r\n".join(rows).encode())
        opening = closing
    return files


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_pages_of_a_statement_in_several_files_are_one_day(store: Connection, order: tuple[int, ...]) -> None:
    source, told = own_source("mt940"), pages()
    outcomes = [deliver(store, told[place], source=source) for place in order]
    assert {outcome.outcome for outcome in outcomes} == {"accepted"}
    assert amounts(store, source) == [1, 2, 3]
    assert unkept_statements(store, source) == []


def test_a_statement_that_came_in_pages_and_comes_whole_is_not_counted_twice(store: Connection) -> None:
    source, told = own_source("mt940"), pages()
    for page in told:
        deliver(store, page, source=source)
    whole = deliver(store, b"".join(told), source=source)
    assert whole.refusal is not None
    assert whole.refusal.code == "conflict"
    assert "/page 1" in whole.refusal.found
    assert amounts(store, source) == [1, 2, 3]


def test_a_page_of_a_statement_that_came_whole_is_not_counted_twice(store: Connection) -> None:
    source, told = own_source("mt940"), pages()
    assert deliver(store, b"".join(told), source=source).line_count == 3
    for page in told:
        outcome = deliver(store, page, source=source)
        assert outcome.refusal is not None
        assert outcome.refusal.code == "conflict"
    assert amounts(store, source) == [1, 2, 3]


def untied(name: str, *lines: Told, version: str = "") -> bytes:
    """A bank's day whose closing balance is one unit off."""
    content = file_of(name, *lines, version=version)
    closing = OPENING_MINOR + sum(line.amount_minor for line in lines)
    for mark in (".", ","):
        right, wrong = (f"{minor // 100}{mark}{minor % 100:02d}".encode() for minor in (closing, closing + 1))
        content = content.replace(right, wrong)
    return content


@pytest.mark.parametrize("name", ["camt.053", "mt940"])
def test_the_right_file_replaces_the_released_one_and_the_other_way_round(
    store: Connection, name: str
) -> None:
    source = own_source(name)
    refused = deliver(store, untied(name, *LINES), source=source)
    assert refused.refusal is not None
    assert refused.refusal.code == "balance"
    release(store, refused.delivery_id)
    assert deliver(store, untied(name, *LINES), source=source).outcome == "accepted"
    right = (LINES[0], Told(2, 991), Told(4, 5))
    outcome = deliver(store, file_of(name, *right, version="b"), source=source)
    assert outcome.outcome == "corrected", outcome.sentence
    assert amounts(store, source) == net(name, *right)
    assert unkept_statements(store, source) == []
    again = deliver(store, untied(name, *LINES, version="c"), source=source)
    release(store, again.delivery_id)
    assert deliver(store, untied(name, *LINES, version="c"), source=source).outcome == "corrected"
    assert amounts(store, source) == net(name, *LINES)
    assert unkept_statements(store, source) == []
