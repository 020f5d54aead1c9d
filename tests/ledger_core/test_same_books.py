"""The same requests give the same answers and the same books, one by one or in batches, in any order of their lines."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_core.posting import EntryLine, EntryRequest, post, post_lines
from ledger_core.verify import CheckOutcome, verify
from tests.ledger_core.books import BANK, NOON, SALES, WALLET, balance, lines

Connection = psycopg.Connection[Any]
Answers = list[tuple[str, str, str | None]]
PLACES = (BANK, SALES, WALLET)
KEYS = [f"k{number}" for number in range(8)]


@st.composite
def batches(draw: Callable[[Any], Any]) -> list[EntryRequest]:
    """Requests that all raise the wallet or all lower it, so that their order decides nothing but who is refused."""
    direction = draw(st.sampled_from([1, -1]))
    made = []
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True, min_size=1, max_size=6)):
        amounts = draw(st.lists(st.integers(1, 50), min_size=1, max_size=3))
        legs = [EntryLine(account=WALLET, amount_minor=direction * amount, asset="EUR") for amount in amounts]
        rest = -direction * sum(amounts) + draw(st.sampled_from([0, 0, 0, 0, 1]))
        if draw(st.booleans()):
            legs.append(EntryLine(account=SALES, amount_minor=7, asset="EUR", detail={"kind": "fee"}))
            rest -= 7
        if rest:
            legs.append(EntryLine(account=BANK, amount_minor=rest, asset="EUR"))
        at = NOON + timedelta(days=draw(st.integers(0, 2)))
        made.append(EntryRequest(entry_key=key, effective_at=at, lines=legs))
    return made


def one_by_one(connection: Connection, batch: Sequence[EntryRequest]) -> Answers:
    return [answer for item in batch for answer in together(connection, [item])]


def together(connection: Connection, batch: Sequence[EntryRequest]) -> Answers:
    return [(answer.entry_key, answer.outcome, answer.code) for answer in post(connection, batch)]


def as_a_table(connection: Connection, batch: Sequence[EntryRequest]) -> Answers:
    """All lines in one table, each with every column."""
    tables = [
        lines(
            *((item.entry_key, line.account, line.amount_minor) for line in item.lines),
            at=item.effective_at,
            kind=pa.array([(line.detail or {}).get("kind") for line in item.lines], pa.string()),
            layer=["posted"] * len(item.lines),
        )
        for item in batch
    ]
    answer = post_lines(connection, pa.concat_tables(tables))
    columns = [answer[name].to_pylist() for name in ("entry_key", "outcome", "code")]
    return list(zip(*columns, strict=True))


WAYS = (one_by_one, together, as_a_table)


def books(connection: Connection) -> list[Any]:
    """What is on record, whoever wrote it down first."""
    posted = connection.execute(
        "SELECT entry_key, line_no, account, amount_minor, effective_at, kind FROM ledger.journal_line_v1 ORDER BY 1, 2"
    ).fetchall()
    refused = connection.execute("SELECT entry_key, code FROM ledger.refusal_v1 ORDER BY 1").fetchall()
    return [posted, refused, [balance(connection, account).balance_minor for account in PLACES]]


@given(sent=st.lists(batches(), min_size=1, max_size=4), again=st.permutations(WAYS))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_by_one_together_or_as_a_table_the_answers_and_the_books_are_the_same(
    book: Connection, sent: list[list[EntryRequest]], again: Sequence[Any]
) -> None:
    found = []
    for way in WAYS:
        with book.transaction(force_rollback=True):
            answers = [way(book, batch) for batch in sent]
            kept = books(book)
            for other in again:  # what one way posted or refused, every other knows
                assert [known(replies) for replies in (other(book, batch) for batch in sent)] == [
                    known(replies) for replies in answers
                ]
            assert books(book) == kept
            assert balance(book, WALLET).balance_minor <= 0
            assert [check for check in verify(book) if check.outcome is not CheckOutcome.OK] == []
            found.append((answers, kept))
    assert found[0] == found[1] == found[2]


def known(answers: Answers) -> Answers:
    """The answers to give when they are asked for again."""
    return [(key, "replayed" if outcome == "posted" else outcome, code) for key, outcome, code in answers]


@given(sent=st.lists(batches(), min_size=1, max_size=4), chance=st.randoms(use_true_random=False))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_shuffled_among_each_other_are_the_same_entries(
    book: Connection, sent: list[list[EntryRequest]], chance: random.Random
) -> None:
    with book.transaction(force_rollback=True):
        for batch in sent:
            answers = {key: outcome for key, outcome, _ in together(book, batch)}
            mixed = [replace(item, lines=chance.sample(list(item.lines), len(item.lines))) for item in batch]
            chance.shuffle(mixed)
            for key, outcome, _ in together(book, mixed):
                # Of a refused request the ledger keeps a fingerprint only, which knows the order of its lines.
                allowed = {"refused", "conflict"} if answers[key] == "refused" else set()
                assert outcome in (allowed or {known([(key, answers[key], None)])[0][1]})


@given(sent=st.lists(batches(), min_size=1, max_size=4))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_balances_equal_what_was_posted(
    book: Connection, sent: list[list[EntryRequest]]
) -> None:
    model: dict[str, tuple[Any, ...]] = {}
    wallet = 0
    with book.transaction(force_rollback=True):
        for batch in sent:
            for (key, outcome, code), item in zip(together(book, batch), batch, strict=True):
                content = (
                    item.effective_at,
                    sorted((ln.account, ln.amount_minor, repr(ln.detail)) for ln in item.lines),
                )
                change = sum(line.amount_minor for line in item.lines if line.account == WALLET)
                if key in model:
                    same = model[key][0] == content
                    assert outcome == (model[key][1] if same else "conflict")
                    continue
                expected = (
                    "unbalanced"
                    if sum(line.amount_minor for line in item.lines)
                    else "overdrawn"
                    if wallet + change > max(0, wallet)
                    else None
                )
                expected = "too_few_lines" if len(item.lines) < 2 else expected
                assert (outcome, code) == ("refused" if expected else "posted", expected)
                model[key] = (content, "refused" if expected else "replayed")
                wallet += 0 if expected else change
        assert balance(book, WALLET).balance_minor == wallet
