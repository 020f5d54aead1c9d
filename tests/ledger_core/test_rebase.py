"""A ledger that came in a dump: exact at once, and this server's own after one command."""

from typing import Any

import psycopg
import pytest

from ledger_core.balance import fold, rebase
from ledger_core.errors import RequestError
from ledger_core.feed import newest, relay
from ledger_core.posting import post_lines
from ledger_core.verify import CheckOutcome, verify
from tests.ledger_core.books import BANK, WALLET, balance, fund, lines, outcomes, sale

Connection = psycopg.Connection[Any]

# What a dump from a server further on in its numbers leaves behind, written past the triggers as a restore does.
AS_RESTORED = """
SET LOCAL session_replication_role = replica;
UPDATE ledger.journal_entry SET xid = (xid::text::bigint + 1000000000)::text::xid8;
UPDATE ledger.journal_line SET xid = (xid::text::bigint + 1000000000)::text::xid8;
UPDATE ledger.balance SET snap = '2000000000:2000000000:';
UPDATE ledger.fold_mark SET snap = '2000000000:2000000000:', thorough_snap = '2000000000:2000000000:';
UPDATE ledger.feed_batch SET snap = '2000000000:2000000000:';
SET LOCAL session_replication_role = origin;
"""


@pytest.fixture
def restored(own_book: Connection) -> Connection:
    """Two entries folded and in the feed, a third in neither; then the numbers of another server."""
    fund(own_book, 100)
    post_lines(own_book, sale("sale"))
    own_book.commit()
    fold(own_book, 1)
    own_book.commit()
    relay(own_book)
    own_book.commit()
    post_lines(own_book, sale("late", 7))
    own_book.execute(AS_RESTORED)
    own_book.commit()
    return own_book


def failed(connection: Connection) -> set[str]:
    return {check.code for check in verify(connection) if check.outcome is not CheckOutcome.OK}


def test_a_restored_ledger_is_exact_before_anything_is_done(restored: Connection) -> None:
    assert balance(restored, BANK).balance_minor == 207
    spend = lines(("spend", BANK, -100), ("spend", WALLET, 100))
    more = lines(("more", BANK, -1), ("more", WALLET, 1))
    assert outcomes(post_lines(restored, spend)) == ["posted"]
    assert outcomes(post_lines(restored, more)) == ["refused"]
    assert balance(restored, WALLET).available_minor == 0
    assert "xid_current" in failed(restored)


def test_nothing_is_folded_into_the_sums_of_another_server(restored: Connection) -> None:
    with pytest.raises(RequestError, match="rebase"):
        fold(restored, 1)


def test_after_the_rebase_it_is_this_servers_own(restored: Connection) -> None:
    positions = newest(restored)
    assert rebase(restored) == 3
    restored.commit()
    assert failed(restored) == set()
    assert balance(restored, BANK).balance_minor == 207
    assert newest(restored) == positions + 1
    restored.commit()
    fund(restored, 5, "next")
    restored.commit()
    assert relay(restored) == positions + 2
    restored.commit()
    fold(restored, 1)
    restored.commit()
    assert balance(restored, WALLET).available_minor == -105
    assert failed(restored) == set()
    with pytest.raises(psycopg.DatabaseError, match="only ever added"):
        restored.execute("UPDATE ledger.journal_line SET xid = '4'")
