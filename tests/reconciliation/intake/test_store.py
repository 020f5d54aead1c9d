"""What was delivered is kept byte for byte, card numbers excepted, and a line's place in it finds its record."""

import hashlib
from pathlib import Path

import fsspec
import pytest
from psycopg import Connection

from reconciliation.errors import StoreUnavailable, UnknownItem
from reconciliation.intake.deliveries import find_line_record
from reconciliation.intake.store import DeliveryStore
from tests.reconciliation.intake.builder import (
    BANK,
    Entry,
    bank_file,
    bank_statement,
    current_lines,
    deliver,
)

CARD = "5555555555554444"


@pytest.fixture(params=["folder", "object store"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> DeliveryStore:
    if request.param == "folder":
        return DeliveryStore(filesystem=fsspec.filesystem("file"), folder=str(tmp_path / "kept"))
    name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    return DeliveryStore(filesystem=fsspec.filesystem("memory"), folder=f"/{name}")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_delivery_is_kept_as_it_was(store: Connection, kept: DeliveryStore) -> None:
    content = bank_file(bank_statement(Entry(100, "A1", "rent")))
    deliver(store, content, store=kept)
    whole = kept.whole(digest(content))
    assert whole is not None
    assert whole.read() == content


def test_the_place_of_a_line_finds_the_bytes_it_was_read_from(store: Connection, kept: DeliveryStore) -> None:
    entries = [Entry(100 * number, f"A{number}", f"rent {number}") for number in range(1, 4)]
    deliver(store, bank_file(bank_statement(*entries)), store=kept)
    for entry in entries:
        row = find_line_record(store, BANK.id, entry.ref)
        record = kept.record(
            row["content_sha256"], byte_offset=row["byte_offset"], byte_length=row["byte_length"]
        )
        assert record.decode() == entry.xml("2026-11-16", "EUR")


def test_card_numbers_are_masked_in_place_in_what_is_kept(
    store: Connection, kept: DeliveryStore, tmp_path: Path
) -> None:
    entry = Entry(100, "A1", f"card {CARD} and 5555 5555 5555 4444")
    content = bank_file(bank_statement(entry))
    deliver(store, content, store=kept)
    row = find_line_record(store, BANK.id, "A1")
    record = kept.record(
        row["content_sha256"], byte_offset=row["byte_offset"], byte_length=row["byte_length"]
    )
    assert len(record) == len(entry.xml("2026-11-16", "EUR"))
    assert b"card 555555******4444 and 5555 55** **** 4444" in record
    assert kept.whole(digest(content)) is None
    for path in (tmp_path / "kept").rglob("*") if (tmp_path / "kept").exists() else ():
        assert CARD.encode() not in (path.read_bytes() if path.is_file() else b"")


def test_a_refused_file_is_kept_too_so_that_it_can_be_looked_at(
    store: Connection, kept: DeliveryStore
) -> None:
    content = bank_file(bank_statement(Entry(100, "A1"), closing_minor=1))
    assert deliver(store, content, store=kept).outcome == "rejected"
    assert kept.holds(digest(content))


def test_what_could_harm_is_not_kept(store: Connection, kept: DeliveryStore) -> None:
    content = b"<!DOCTYPE x>" + bank_file(bank_statement(Entry(100, "A1")))
    assert deliver(store, content, store=kept).outcome == "rejected"
    assert not kept.holds(digest(content))


def test_what_is_kept_is_never_written_again(store: Connection, kept: DeliveryStore) -> None:
    content = bank_file(bank_statement(Entry(100, "A1")))
    deliver(store, content, store=kept)
    path = f"{kept.folder}/{digest(content)[:2]}/{digest(content)}"
    before = kept.filesystem.info(path)
    deliver(store, content, store=kept)
    assert kept.filesystem.info(path) == before
    assert kept.filesystem.ls(path.rpartition("/")[0], detail=False) == [path]


def test_a_record_of_a_content_that_is_not_kept_is_a_clear_answer(kept: DeliveryStore) -> None:
    with pytest.raises(UnknownItem, match="expected it in the store"):
        kept.record("0" * 64, byte_offset=0, byte_length=1)


def test_a_store_that_cannot_be_written_keeps_the_delivery_out(store: Connection, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    shut = DeliveryStore(filesystem=fsspec.filesystem("file"), folder=str(tmp_path / "kept"))
    with pytest.raises(StoreUnavailable, match="nothing was taken in"):
        deliver(store, bank_file(bank_statement(Entry(100, "A1"))), store=shut)
    assert current_lines(store) == []
