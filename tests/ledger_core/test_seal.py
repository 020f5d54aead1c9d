"""Seals: what they are made of, when one is refused, and that no row of a sealed period changes unnoticed."""

import contextlib
import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger_core.errors import PeriodError
from ledger_core.feed import relay
from ledger_core.posting import EntryLine, post, post_lines
from ledger_core.reversal import reverse
from ledger_core.seal import close_period, seal_periods, seals
from ledger_core.verify import Check, CheckOutcome, verify
from tests.ledger_core.books import BANK, SALES, WALLET, lines, open_chart, request, sale
from tests.ledger_core.test_verify import PLANT, Fault, faults, past_the_triggers

Connection = psycopg.Connection

ENDS = [
    datetime(2026, 1, day, tzinfo=UTC) for day in (1, 11, 12, 16)
]  # the first and the third period are empty
SAID = {
    "kind": 'fée\n"x"\\\t\x01\x7f',
    "fx_rate": "1.10",
    "fx_asset": "USD",
    "fx_amount_minor": -7,
    "metadata": {"rail": "sepa", "n": 1.50, "deep": {"b": [1, None, True], "a": "ü\u2028"}},
}


@pytest.fixture(scope="module")
def sealed_url(
    make_database: Callable[..., contextlib.AbstractContextManager[str]], template: str
) -> Iterator[str]:
    """Four sealed periods of 0, 7, 0 and 6 entries, and an open one."""
    with make_database(template) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            open_chart(connection)
            connection.execute(PLANT)
            for number in range(7):
                post_lines(
                    connection, lines(*sale_rows(f"early-{number}"), at=ENDS[1] - timedelta(hours=number + 1))
                )
            said = EntryLine(account=BANK, amount_minor=8, asset="EUR", detail=SAID)
            post(connection, [request("said", said, (SALES, -8), corrects="early-1")])
            post(connection, [request("refused", (WALLET, 9), (BANK, -9))])
            for number in range(4):
                post_lines(connection, sale(f"middle-{number}"))
            reverse(
                connection,
                "said",
                reason="booked twice",
                authoriser="Ada",
                effective_at=ENDS[3] - timedelta(seconds=1),
            )
            for ends_at in ENDS:
                close_period(connection, ends_at, reason="reported", authoriser="Ada")
            relay(connection)
            assert seal_periods(connection) == len(ENDS)
            post_lines(connection, lines(*sale_rows("open"), at=ENDS[3]))
        yield url


@pytest.fixture
def sealed(sealed_url: str) -> Iterator[Connection]:
    """A connection to it; whatever the test does is rolled back."""
    with contextlib.closing(psycopg.connect(sealed_url)) as opened:
        yield opened
        opened.rollback()


def sale_rows(key: str) -> tuple[tuple[str, str, int], ...]:
    return (key, BANK, 5), (key, SALES, -5)


def kept(connection: Connection) -> dict[datetime, str]:
    return {seal.ends_at: seal.seal for seal in seals(connection)}


def check(connection: Connection, code: str = "period_seals", **options: Any) -> Check:
    (found,) = [check for check in verify(connection, **options) if check.code == code]
    return found


# The format once more, from its description alone.


def micros(instant: datetime) -> bytes:
    return struct.pack(">q", (instant - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))


def json_line(values: list[Any]) -> str:
    return (
        "["
        + ", ".join(v["raw"] if isinstance(v, dict) else json.dumps(v, ensure_ascii=False) for v in values)
        + "]"
    )


def merkle_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, by its own recursion: the left side is the largest power of two below the number of leaves."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + merkle_root(leaves[:left]) + merkle_root(leaves[left:])).digest()


HEADER = """
SELECT entry_id, entry_key, effective_at, recorded_at, line_count, hash_version, request_hash, posted_by,
       reverses_entry_id, corrects_entry_id, reason, authoriser
FROM ledger.journal_entry WHERE entry_id = %s
"""
LINES = """
SELECT l.line_no, l.account_id, a.code, a.asset, a.entity, l.layer::text, l.amount_minor, l.effective_at,
       d.entry_id IS NOT NULL, d.kind, d.description, d.counterparty, d.batch_ref, d.ref_end_to_end, d.ref_uetr,
       d.ref_servicer, d.ref_psp, d.ref_merchant, d.ref_payout, d.ref_arn, d.ref_rrn, d.ref_auth_code,
       d.fx_rate::text, d.fx_asset, d.fx_amount_minor, d.metadata::text
FROM ledger.journal_line AS l
JOIN ledger.account AS a USING (account_id)
LEFT JOIN ledger.journal_line_detail AS d ON d.entry_id = l.entry_id AND d.line_no = l.line_no
WHERE l.entry_id = %s ORDER BY l.line_no
"""


def leaf(connection: Connection, entry_id: int) -> bytes:
    header = connection.execute(HEADER, (entry_id,)).fetchone()
    assert header is not None
    plain = [
        micros(v).hex() if isinstance(v, datetime) else v.hex() if isinstance(v, bytes) else v for v in header
    ]
    text = [json_line(plain)]
    for row in connection.execute(LINES, (entry_id,)):
        detail: list[Any] = list(row[9:])
        for place in (13, 16):
            detail[place] = None if detail[place] is None else {"raw": detail[place]}
        said = {"raw": json_line(detail)} if row[8] else None
        text.append(json_line([*row[:7], micros(row[7]).hex(), said]))
    return hashlib.sha256(b"\x00" + "\n".join(text).encode()).digest()


def test_another_program_gets_the_same_roots_and_seals(sealed: Connection) -> None:
    previous, starts_at = bytes(32), datetime(1, 1, 1, tzinfo=UTC)
    for seal in seals(sealed):
        ids = sealed.execute(
            "SELECT e.entry_id FROM ledger.journal_entry AS e JOIN ledger.feed AS f USING (entry_id) "
            "WHERE e.effective_at >= %s AND e.effective_at < %s ORDER BY f.position", (starts_at, seal.ends_at)
        ).fetchall()  # fmt: skip
        root = merkle_root([leaf(sealed, entry_id) for (entry_id,) in ids])
        assert (seal.format_version, seal.entry_count, seal.root) == (1, len(ids), root.hex())
        previous = hashlib.sha256(
            previous + micros(seal.ends_at) + struct.pack(">hq", 1, len(ids)) + root
        ).digest()
        assert seal.seal == previous.hex()
        starts_at = seal.ends_at
    assert [seal.entry_count for seal in seals(sealed)] == [0, 7, 0, 6]


@pytest.mark.parametrize("setting", ["TimeZone = 'Asia/Kolkata'", "DateStyle = 'SQL, DMY'", "extra_float_digits = 0",
                                     "bytea_output = 'escape'", "IntervalStyle = 'iso_8601'"])  # fmt: skip
def test_no_setting_of_a_session_changes_a_seal(sealed: Connection, setting: str) -> None:
    sealed.execute(f"SET LOCAL {setting}")
    assert check(sealed).outcome is CheckOutcome.OK


def test_the_tree_is_that_of_the_standard_for_any_number_of_entries(own_book: Connection) -> None:
    sizes = [*range(1, 10), 16, 17, 0]
    for number, size in enumerate(sizes):
        rows = [row for key in range(size) for row in sale_rows(f"{number}-{key}")]
        if rows:
            post_lines(own_book, lines(*rows, at=ENDS[0] + timedelta(days=number)))
        close_period(own_book, ENDS[0] + timedelta(days=number + 1), reason="reported", authoriser="Ada")
    own_book.commit()
    relay(own_book)
    own_book.commit()
    seal_periods(own_book)
    ids = [row[0] for row in own_book.execute("SELECT entry_id FROM ledger.feed ORDER BY position")]
    for seal, size in zip(seals(own_book), sizes, strict=True):
        assert seal.root == merkle_root([leaf(own_book, entry_id) for entry_id in ids[:size]]).hex()
        del ids[:size]


def test_a_seal_waits_for_the_relay_and_says_so(own_book: Connection) -> None:
    post_lines(own_book, sale("unnumbered"))
    close_period(own_book, ENDS[3], reason="reported", authoriser="Ada")
    own_book.commit()
    with pytest.raises(PeriodError, match="has not numbered entry 'unnumbered'"):
        seal_periods(own_book)
    own_book.rollback()
    relay(own_book)
    own_book.commit()
    assert seal_periods(own_book) == 1
    assert seal_periods(own_book) == 0


def test_what_is_not_closed_cannot_be_sealed(own_book: Connection) -> None:
    with pytest.raises(PeriodError, match="expected the end of a closed period"):
        seal_periods(own_book, ENDS[0])


def test_periods_are_sealed_in_order_up_to_the_one_asked_for(own_book: Connection) -> None:
    for ends_at in ENDS:
        assert close_period(own_book, ends_at, reason="reported", authoriser="Ada")
    assert not close_period(own_book, ENDS[0], reason="again", authoriser="Bo")
    assert seal_periods(own_book, ENDS[2]) == 3
    assert list(kept(own_book)) == ENDS[:3]
    assert check(own_book).outcome is CheckOutcome.OK


def test_what_is_refused_in_a_sealed_period_and_posted_after_it_leaves_the_seal_as_it_is(
    sealed: Connection,
) -> None:
    (late,) = post(sealed, [request("too late", (BANK, 1), (SALES, -1))])
    assert (late.outcome, late.code) == ("refused", "period_closed")
    post_lines(sealed, lines(*sale_rows("after"), at=ENDS[3]))
    assert check(sealed).outcome is CheckOutcome.OK


CHANGES = faults(Path(__file__).with_name("sealed_changes.sql"))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_superuser_cannot_change_what_was_sealed_unnoticed(sealed: Connection, change: Fault) -> None:
    past_the_triggers(sealed, change.statement)
    assert check(sealed).outcome is CheckOutcome.FAILED


@pytest.mark.parametrize(
    "cut", ["DELETE FROM ledger.period_seal WHERE ends_at = '2026-01-16Z'", "DELETE FROM ledger.period_seal"]
)
def test_seals_cut_off_are_found_with_what_was_kept_outside(sealed: Connection, cut: str) -> None:
    outside = kept(sealed)
    assert check(sealed, "seals_kept", kept_seals=outside).outcome is CheckOutcome.OK
    past_the_triggers(sealed, cut)
    assert check(sealed).outcome is CheckOutcome.OK
    found = check(sealed, "seals_kept", kept_seals=outside)
    assert found.outcome is CheckOutcome.FAILED
    assert "its seal is gone" in found.detail


def test_a_forger_who_seals_anew_is_found_with_one_seal_kept_outside(sealed: Connection) -> None:
    outside = {ENDS[3]: kept(sealed)[ENDS[3]].upper()}
    past_the_triggers(
        sealed, "UPDATE ledger.journal_entry SET posted_by = 'mallory' WHERE entry_key = 'early-3'"
    )
    past_the_triggers(sealed, "DELETE FROM ledger.period_seal")
    past_the_triggers(
        sealed,
        "INSERT INTO ledger.feed SELECT 99, entry_id FROM ledger.journal_entry WHERE entry_key = 'open' AND false",
    )
    seal_periods(sealed)
    assert check(sealed).outcome is CheckOutcome.OK
    found = check(sealed, "seals_kept", kept_seals=outside)
    assert (found.outcome, found.offences) == (CheckOutcome.FAILED, 1)
    assert "its seal is another" in found.detail


def test_seals_that_cannot_be_compared_are_not_clean(sealed: Connection) -> None:
    sealed.execute("ALTER VIEW ledger.period_v1 RENAME TO period_away")
    assert check(sealed, "seals_kept", kept_seals={}).outcome is CheckOutcome.NOT_RUN
