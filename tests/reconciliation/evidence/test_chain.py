"""The chain of events outside the database: golden links, and every way of tampering named by its first bad event."""

import hashlib
import json
from typing import Any

import psycopg
import pytest

from reconciliation.evidence.chain import START, Head, event_text, next_hash, read_heads, verify_chains

EVENT = ["7", "3", "commented", "ada", "2026-11-09", None, None, None, "Zürich: asked",
    "2026-11-10T08:00:00.000001Z"]  # fmt: skip
TEXT = "1:1,1:7,1:3,9:commented,3:ada,10:2026-11-09,-,-,-,14:Zürich: asked,27:2026-11-10T08:00:00.000001Z"

OPEN = """
INSERT INTO recon.exception (exception_key, source_id, opened_on, as_of, class, kind, severity, status, side,
    amount_minor, difference_minor, asset, item_date, age_business_days, factors)
SELECT %(prefix)s || n, CASE mod(n, 2) WHEN 0 THEN 'bank' ELSE 'card' END, '2026-11-09', '2026-11-09', 'genuine',
    'missing_in_ledger', 'low', 'open', 'external', n, 0, 'EUR', '2026-11-09', 0, '{}'
FROM generate_series(1, %(count)s) AS n
"""
PUT_IN = """
INSERT INTO recon.exception_event (exception_id, event, actor, as_of) VALUES (5, 'taken', 'eve', '2026-11-10')
"""
TAMPERING = {
    "changed": ("UPDATE recon.exception_event SET actor = 'nobody' WHERE event_id = 5",
        (3, 5, "its event is not what was linked")),
    "taken out": ("DELETE FROM recon.exception_event WHERE event_id = 5", (3, 5, "its event is gone")),
    "taken out with its link": (
        "DELETE FROM recon.event_link WHERE event_id = 5; DELETE FROM recon.exception_event WHERE event_id = 5",
        (4, 7, "expected link 3, found the links before it gone")),
    "another link": ("UPDATE recon.event_link SET hash = sha256('') WHERE event_id = 5",
        (3, 5, "its event is not what was linked, or the link was changed")),
    "moved to another source": (
        "UPDATE recon.exception SET source_id = 'bank' WHERE exception_id = 5",
        (3, 5, "its event is of source bank")),
    "put in": (PUT_IN, (None, 11, "it is in no chain")),
    "tail cut off": (
        "DELETE FROM recon.event_link WHERE source_id = 'card' AND chain_no > 3",
        (None, 7, "it is in no chain")),
    "head moved": ("UPDATE recon.event_chain SET length = 4 WHERE source_id = 'card'",
        (4, None, "the head that is kept")),
}  # fmt: skip
SIGN = """
INSERT INTO recon.sign_off (source_id, business_date, known_at, content, content_sha256, books_sha256, prepared_by)
SELECT 'card', '2026-11-09', pg_current_snapshot(), %s, encode(sha256(convert_to(%s, 'UTF8')), 'hex'), repeat('0', 64),
    'ada'
"""
CUT_WITHOUT_A_TRACE = """
CREATE TEMP TABLE cut AS SELECT l.event_id FROM recon.event_link AS l WHERE l.source_id = 'card' AND l.chain_no > 3;
DELETE FROM recon.event_link WHERE event_id IN (SELECT event_id FROM cut);
DELETE FROM recon.exception_event WHERE event_id IN (SELECT event_id FROM cut);
UPDATE recon.event_chain AS c SET length = l.chain_no, head = l.hash FROM recon.event_link AS l
WHERE c.source_id = 'card' AND l.source_id = 'card' AND l.chain_no = 3
"""


def test_a_link_is_what_the_words_say() -> None:
    assert event_text(EVENT) == TEXT
    by_hand = hashlib.sha256(START + hashlib.sha256(TEXT.encode()).digest())
    assert next_hash(START, TEXT) == by_hand.digest()
    assert START.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert next_hash(START, TEXT).hex() == "0f2e0db330e251098179c69d4d096171a414bfd95b1f93611a0f80b9ac8c91ad"


@pytest.fixture
def chained(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Ten events of the engine, five in each of two sources; the tests' login may pull the laws' teeth."""
    connection.execute(OPEN, {"prefix": "k", "count": 10})
    return connection


def test_the_chain_is_computed_again_outside_the_database_and_every_tampering_names_its_first_bad_event(
    chained: psycopg.Connection[Any],
) -> None:
    whole = verify_chains(chained)
    assert whole.sound
    assert (whole.event_count, [(head.source, head.origin, head.length) for head in whole.heads]) == (
        10,
        [("bank", "engine", 5), ("card", "engine", 5)],
    )
    assert whole.heads == read_heads(chained)
    assert read_heads(chained, source_id="card") == verify_chains(chained, source_id="card").heads
    assert chained.execute("SELECT FROM recon.verify_chains()").fetchall() == []

    for name, (deed, first) in TAMPERING.items():
        with chained.transaction(force_rollback=True):
            chained.execute("SET LOCAL session_replication_role = replica")
            chained.execute(deed)
            proof = verify_chains(chained)
            assert not proof.sound, name
            found = [(fault.chain_no, fault.event_id, fault.problem) for fault in proof.faults]
            assert any(fault[:2] == first[:2] and first[2] in fault[2] for fault in found), (name, found)
            assert {fault.source for fault in proof.faults} == {"card"}, name
            assert chained.execute("SELECT FROM recon.verify_chains()").fetchall() != [], name
    assert verify_chains(chained).sound


def test_a_tail_that_was_cut_off_without_a_trace_is_told_by_a_witness_alone(
    chained: psycopg.Connection[Any],
) -> None:
    witnesses = read_heads(chained)
    (card,) = read_heads(chained, source_id="card")
    content = json.dumps({"record": {"chains": [{"origin": "engine", "length": 5, "head": card.hash}]}})
    chained.execute("SET LOCAL session_replication_role = replica")
    chained.execute(CUT_WITHOUT_A_TRACE)
    chained.execute("SET LOCAL session_replication_role = origin")
    assert verify_chains(chained).sound, "a chain cannot know its end"
    (fault,) = verify_chains(chained, witnesses=witnesses).faults
    assert (fault.source, fault.chain_no) == ("card", 4)
    assert fault.problem == "the end was cut off: a witness says that it had 5 links"
    chained.execute(SIGN, (content, content))
    assert verify_chains(chained).faults == (fault,), "a sign-off is a witness by itself"
    assert verify_chains(chained, source_id="bank").sound

    chained.execute(OPEN, {"prefix": "l", "count": 4})
    (fault,) = verify_chains(chained, witnesses=witnesses).faults
    assert (fault.chain_no, fault.problem) == (5, "a witness says that another link was here")
    gone = Head(source="desk", origin="people", length=2, hash="00")
    assert [fault.source for fault in verify_chains(chained, witnesses=[gone]).faults] == ["card", "desk"]
