"""A person may take in a file whose proof failed: it is recorded, the file is flagged, and nothing else is waived."""

import hashlib
import uuid

import psycopg
import pytest
from psycopg import Connection

from reconciliation.intake.deliveries import list_deliveries, release_delivery
from reconciliation.intake.delivery import DeliveryOutcome
from tests.reconciliation.intake.builder import (
    Entry,
    bank_file,
    bank_statement,
    current_lines,
    deliver,
    keys_and_amounts,
)

UNTIED = bank_file(bank_statement(Entry(100, "A1"), Entry(200, "A2"), closing_minor=1))


def release(
    store: Connection,
    delivery_id: int,
    *,
    reason: str = "the bank confirmed it",
    role: str = "tieout_analyst",
) -> None:
    with store.transaction():
        store.execute(
            "SELECT recon.enrol('ada', 'Ada', '{analyst}', 'users')"
            " WHERE NOT EXISTS (SELECT FROM recon.person AS p WHERE p.login = 'ada')"
        )
        token = str(uuid.uuid4())
        store.execute(
            "SELECT recon.open_session('ada', %s, 'command line', 5, 5)",
            (hashlib.sha256(token.encode()).digest(),),
        )
        store.execute("SELECT set_config('tieout.session', %s, true)", (token,))
        store.execute(f"SET LOCAL ROLE {role}")
        release_delivery(store, delivery_id, reason=reason)


def refused(store: Connection, content: bytes = UNTIED) -> DeliveryOutcome:
    outcome = deliver(store, content)
    assert outcome.outcome == "rejected"
    return outcome


def test_a_released_file_is_taken_in_and_flagged_for_ever(store: Connection) -> None:
    first = refused(store)
    release(store, first.delivery_id)
    outcome = deliver(store, UNTIED)
    assert outcome.outcome == "accepted"
    assert keys_and_amounts(store) == {"A1": (1, 100), "A2": (1, 200)}
    assert "released by ada in spite of balance: the bank confirmed it" in outcome.notes
    (statement,) = store.execute("SELECT opening_minor, closing_minor, flags FROM recon.statement").fetchall()
    assert statement[0] is None or statement[1] is None
    assert statement[2]
    assert statement[2][0].startswith("waived: balance: ")
    listed = list_deliveries(store).to_pylist()
    assert [row["outcome"] for row in listed] == ["rejected", "accepted"]


def test_a_release_is_for_these_bytes_alone(store: Connection) -> None:
    release(store, refused(store).delivery_id)
    refused(store, bank_file(bank_statement(Entry(100, "A1"), Entry(201, "A2"), closing_minor=1)))
    assert current_lines(store) == []


def test_the_same_release_twice_is_one_decision(store: Connection) -> None:
    first = refused(store)
    for _ in range(2):
        release(store, first.delivery_id)
    assert store.execute("SELECT code, actor, reason FROM recon.release").fetchall() == [
        ("balance", "ada", "the bank confirmed it")
    ]


@pytest.mark.parametrize(
    "content", [b"", bank_file(bank_statement(Entry(100), account="DE02120300000000202051"))]
)
def test_what_cannot_be_read_or_belongs_elsewhere_cannot_be_released(
    store: Connection, content: bytes
) -> None:
    with pytest.raises(psycopg.Error, match="expected a refusal for want of proof"):
        release(store, refused(store, content).delivery_id)


def test_only_a_refused_delivery_can_be_released(store: Connection) -> None:
    good = deliver(store, bank_file(bank_statement(Entry(100, "A1"))))
    for delivery_id in (good.delivery_id, 999):
        with pytest.raises(psycopg.Error, match="expected one that was refused"):
            release(store, delivery_id)


def test_a_release_needs_a_reason_and_an_analyst(store: Connection) -> None:
    first = refused(store)
    with pytest.raises(psycopg.errors.CheckViolation):
        release(store, first.delivery_id, reason="")
    for role in ("tieout_intake", "tieout_matcher", "tieout_auditor"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            release(store, first.delivery_id, role=role)
    assert store.execute("SELECT count(*) FROM recon.release").fetchone() == (0,)
