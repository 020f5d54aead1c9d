"""A file that cannot be taken in leaves a record of its refusal, one alert, and nothing else."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from io import BytesIO
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg import Connection

from reconciliation.errors import AlreadyRunning, RefusedFile, SourcesError
from reconciliation.formats import camt_053
from reconciliation.formats.canonical import LINE_SCHEMA, ParsedDelivery, read_whole
from reconciliation.intake import list_deliveries, take_in
from reconciliation.intake.checks import check_delivery
from reconciliation.intake.loading import load
from reconciliation.intake.staging import Staging, prove
from tests.reconciliation.intake.builder import (
    BANK,
    OPTIONS,
    Entry,
    bank_file,
    bank_statement,
    current_lines,
    deliver,
    digests,
)

LOADED = ("statement", "line", "line_closure")
GOOD = bank_file(bank_statement(Entry(100, "A1"), Entry(200, "A2")))
CARD = "5555555555554444"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "truncated"),
        (GOOD[:-40], "truncated"),
        (bank_file(bank_statement(Entry(100, "A1"), closing_minor=1)), "balance"),
        (bank_file(bank_statement(Entry(100), account="DE02120300000000202051")), "wrong_account"),
        (bank_file(bank_statement(Entry(100), asset="USD")), "wrong_account"),
        (bank_file(bank_statement(Entry(100)), additional="SPS/2.1/TEST"), "test_mode"),
        (bank_file(bank_statement(Entry(100), day="1889-11-16")), "date"),
    ],
)
def test_a_bad_file_leaves_its_refusal_and_nothing_else(store: Connection, content: bytes, code: str) -> None:
    deliver(store, GOOD)
    before = digests(store, LOADED)
    outcome = deliver(store, content, file_name="bad.xml", for_date=date(2026, 11, 16))
    assert outcome.outcome == "rejected"
    assert outcome.refusal is not None
    assert outcome.sentence == f"bad.xml: rejected: {outcome.refusal}"
    listed = list_deliveries(store, outcome="rejected").to_pylist()
    assert [row["refusal_code"] for row in listed] == [outcome.refusal.code]
    assert outcome.refusal.code == code
    assert digests(store, LOADED) == before


def test_a_file_refused_twice_is_told_once_and_taken_in_when_it_can_be(store: Connection) -> None:
    elsewhere = bank_file(bank_statement(Entry(100, "A1"), account="DE02120300000000202051"))
    for _ in range(2):
        assert deliver(store, elsewhere).outcome == "rejected"
    found = store.execute("SELECT title, severity, item_count FROM recon.alert").fetchall()
    assert found == [("bank: a delivery was refused (wrong_account)", "high", 1)]
    account = BANK.accounts[0].model_copy(update={"external": "DE02120300000000202051"})
    assert (
        deliver(store, elsewhere, source=BANK.model_copy(update={"accounts": (account,)})).outcome
        == "accepted"
    )


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a\\b.xml", "..", "", "a\nb", "x" * 256, "a\0b"]
)
def test_a_name_that_is_more_than_a_name_is_refused(store: Connection, name: str) -> None:
    outcome = deliver(store, GOOD, file_name=name)
    assert outcome.refusal is not None
    assert outcome.refusal.code == "unsafe"
    assert current_lines(store) == []


def test_no_card_number_reaches_any_column(store: Connection) -> None:
    entry = Entry(100, "A1", f"card {CARD} and 5555 5555 5555 4444")
    deliver(store, bank_file(bank_statement(entry)), file_name=f"{CARD}.xml")
    deliver(store, bank_file(bank_statement(entry, ref=CARD, account=CARD)), file_name=f"x {CARD}.xml")
    for table in ("delivery", "statement", "line", "alert"):
        rows = store.execute(f"SELECT to_jsonb(t)::text FROM recon.{table} AS t").fetchall()  # noqa: S608 - names of ours
        assert rows
        assert not [row for (row,) in rows if CARD in row or "5555 5555 5555 4444" in row]


def parsed(**changes: Any) -> ParsedDelivery:
    """What the bank's reader says of two good lines, then changed as a faulty reader would."""
    told = read_whole(camt_053, BytesIO(GOOD), OPTIONS).parsed
    return replace(told, statements=(replace(told.statements[0], **changes),))


def refused_by_the_store(store: Connection, lines: list[dict[str, Any]]) -> RefusedFile:
    """The refusal of two good lines with these changes."""
    first = deliver(store, bank_file(bank_statement(day="2026-11-13")))
    whole = read_whole(camt_053, BytesIO(GOOD), OPTIONS)
    rows = [row | change for row, change in zip(whole.lines.to_pylist(), lines, strict=True)]

    def take_in_rows() -> None:
        with store.transaction():
            with Staging(store, BANK.natural_key) as staging:
                staging.take(pa.RecordBatch.from_pylist(rows, schema=LINE_SCHEMA))
            statements = check_delivery(whole.parsed, BANK)
            prove(store, statements, natural_key=BANK.natural_key, ids_may_repeat=True)
            load(store, BANK.id, statements, lambda _changes: first.delivery_id)

    with pytest.raises(RefusedFile) as caught:
        take_in_rows()
    return caught.value


@pytest.mark.parametrize(
    ("lines", "code", "place"),
    [
        ([{"amount_minor": 101}, {}], "control_total", "statement 1"),
        ([{"asset": "USD"}, {}], "currency", "statement 1, record 1"),
        ([{}, {"booking_date": date(2020, 1, 1)}], "date", "statement 1, record 2"),
        ([{}, {"text": f"paid by {CARD}"}], "sensitive_data", "statement 1, record 2"),
        ([{}, {"counterparty": CARD}], "sensitive_data", "statement 1, record 2"),
        ([{}, {"statement_no": 7}], "structure", "statement 8, record 2"),
        ([{}, {"text": "a\0b"}], "structure", "record 2, text"),
    ],
)
def test_the_store_proves_again_what_a_reader_should_have_proved(
    store: Connection, lines: list[dict[str, Any]], code: str, place: str
) -> None:
    refusal = refused_by_the_store(store, lines)
    assert (refusal.code, refusal.place) == (code, place)
    assert CARD not in str(refusal)


def test_a_card_number_in_a_correction_is_refused_by_the_store_too(store: Connection) -> None:
    """Also where lines are compared: the refusal finds its line although the store has refused a statement."""
    deliver(store, GOOD)
    refusal = refused_by_the_store(store, [{}, {"text": f"paid by {CARD}"}])
    assert (refusal.code, refusal.place) == ("sensitive_data", "statement 1, record 2")


def test_sums_beyond_64_bits_are_compared_without_overflow(store: Connection) -> None:
    lines = [{"amount_minor": 2**63 - 1}, {"amount_minor": 2**63 - 1}]
    assert refused_by_the_store(store, lines).found == f"2 with a sum of {2**64 - 2}"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda told: replace(told, statements=()), "structure"),
        (lambda told: replace(told, statements=told.statements * 2), "conflict"),
        (lambda told: replace(told, test_mode=True), "test_mode"),
        (lambda _: parsed(closing_minor=1), "balance"),
        (lambda _: parsed(sequence_no=2**63), "amount"),
        (lambda _: parsed(from_date=date(2026, 12, 1)), "date"),
    ],
)
def test_what_a_file_says_is_checked_before_the_store_is_asked(
    spoil: Callable[[ParsedDelivery], ParsedDelivery], code: str
) -> None:
    with pytest.raises(RefusedFile) as caught:
        check_delivery(spoil(parsed()), BANK)
    assert caught.value.code == code


def test_an_unknown_format_or_key_column_is_a_mistake_of_the_settings(store: Connection) -> None:
    with pytest.raises(SourcesError, match="expected one of"):
        deliver(store, GOOD, source=BANK.model_copy(update={"format": "mt999"}))
    with pytest.raises(SourcesError, match="natural_key"):
        deliver(store, GOOD, source=BANK.model_copy(update={"natural_key": ("iban",)}))
    assert list_deliveries(store).num_rows == 0


def test_a_second_intake_of_a_source_waits_for_the_first(store: Connection, database_url: str) -> None:
    with store.transaction():
        store.execute("SET LOCAL ROLE tieout_intake")
        take_in(store, source=BANK, file_name="a.xml", stream=BytesIO(GOOD), options=OPTIONS)
        outcomes: list[str] = []

        def second() -> None:
            with psycopg.connect(database_url, autocommit=True) as other:
                outcomes.append(deliver(other, GOOD).outcome)

        waiting = threading.Thread(target=second)
        waiting.start()
        with psycopg.connect(database_url) as impatient:
            impatient.execute("SET lock_timeout = '50ms'")
            with pytest.raises(AlreadyRunning):
                take_in(impatient, source=BANK, file_name="a.xml", stream=BytesIO(GOOD), options=OPTIONS)
        assert outcomes == []
    waiting.join()
    assert outcomes == ["redelivered"]


def test_a_killed_intake_did_not_happen(store: Connection, database_url: str) -> None:
    doomed = psycopg.connect(database_url)
    doomed.execute("SET ROLE tieout_intake")
    take_in(doomed, source=BANK, file_name="a.xml", stream=BytesIO(GOOD), options=OPTIONS)
    doomed.close()
    assert current_lines(store) == []
    assert list_deliveries(store).num_rows == 0
    assert deliver(store, GOOD).outcome == "accepted"
