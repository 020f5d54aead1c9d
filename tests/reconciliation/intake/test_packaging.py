"""What is inside an archive counts, not the archive; an odd one is refused; nothing grows without end."""

import gzip
import io
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import Connection

from reconciliation.errors import RefusedFile
from reconciliation.intake import packaging
from reconciliation.intake.packaging import unpacked
from tests.reconciliation.intake.builder import (
    Entry,
    bank_file,
    bank_statement,
    current_lines,
    deliver,
    deliver_all,
    digests,
    keys_and_amounts,
)

MONDAY = bank_file(bank_statement(Entry(100, "A1"), day="2026-11-16"))
TUESDAY = bank_file(bank_statement(Entry(200, "A2"), day="2026-11-17"), message_id="M2")
UNTIED = bank_file(bank_statement(Entry(300, "A3"), day="2026-11-18", closing_minor=1), message_id="M3")


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_xml", ".xml"), content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("packed", "name"), [(gzip.compress(MONDAY), "monday.xml.gz"), (zipped(monday_xml=MONDAY), "monday.zip")]
)
def test_the_same_file_in_any_packaging_is_a_redelivery(store: Connection, packed: bytes, name: str) -> None:
    first = deliver(store, MONDAY, file_name="monday.xml")
    before = digests(store)
    again = deliver(store, packed, file_name=name)
    assert (again.outcome, again.same_as, again.file_name) == ("redelivered", first.delivery_id, "monday.xml")
    assert digests(store) == before
    found = store.execute("SELECT package_name FROM recon.delivery ORDER BY delivery_id").fetchall()
    assert found == [(None,), (name,)]


def test_an_archive_of_several_days_is_taken_in_day_by_day(store: Connection) -> None:
    outcomes = deliver_all(store, zipped(monday_xml=MONDAY, tuesday_xml=TUESDAY), file_name="week.zip")
    assert [outcome.sentence for outcome in outcomes] == [
        "monday.xml: accepted: 1 line in 1 statement",
        "tuesday.xml: accepted: 1 line in 1 statement",
    ]
    assert keys_and_amounts(store) == {"A1": (1, 100), "A2": (1, 200)}


def test_one_bad_file_keeps_its_whole_archive_out(store: Connection) -> None:
    (refused,) = deliver_all(
        store, zipped(monday_xml=MONDAY, wednesday_xml=UNTIED, tuesday_xml=TUESDAY), file_name="week.zip"
    )
    assert refused.refusal is not None
    assert (refused.file_name, refused.refusal.code) == ("wednesday.xml", "balance")
    assert current_lines(store) == []
    assert store.execute("SELECT outcome, package_name FROM recon.delivery").fetchall() == [
        ("rejected", "week.zip")
    ]
    assert deliver(store, MONDAY).outcome == "accepted"


def test_a_file_that_an_archive_holds_twice_is_taken_in_once(store: Connection) -> None:
    outcomes = deliver_all(store, zipped(a_xml=MONDAY, b_xml=MONDAY), file_name="twice.zip")
    assert [outcome.outcome for outcome in outcomes] == ["accepted", "redelivered"]


def encrypted() -> bytes:
    """A zip whose member says that it is encrypted, as its flag bits do."""
    packed = bytearray(zipped(a_xml=MONDAY))
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def damaged() -> bytes:
    packed = bytearray(gzip.compress(MONDAY))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


@pytest.mark.parametrize(
    ("packed", "code"),
    [
        (zipped(), "not_this_format"),
        (zipped(a_xml=zipped(b_xml=MONDAY)), "unsafe"),
        (zipped(a_xml=gzip.compress(MONDAY)), "unsafe"),
        (gzip.compress(gzip.compress(MONDAY)), "unsafe"),
        (encrypted(), "unsafe"),
        (zipped(a_xml=MONDAY)[:-30], "truncated"),
        (gzip.compress(MONDAY)[:-9], "truncated"),
        (damaged(), "structure"),
        (gzip.compress(MONDAY)[:3], "truncated"),
    ],
    ids=[
        "empty",
        "zip in zip",
        "gzip in zip",
        "gzip in gzip",
        "encrypted",
        "cut zip",
        "cut gzip",
        "damaged",
        "stump",
    ],
)
def test_an_archive_that_is_odd_is_refused_with_the_reason(
    store: Connection, packed: bytes, code: str
) -> None:
    outcome = deliver(store, packed, file_name="odd.zip")
    assert outcome.refusal is not None
    assert outcome.refusal.code == code
    assert current_lines(store) == []


def test_an_archive_that_grows_beyond_its_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaging, "RATIO_COUNTS_FROM_BYTES", 100_000)
    bomb = gzip.compress(b"\0" * 20_000_000)
    assert len(bomb) < 40_000
    with pytest.raises(RefusedFile) as caught:
        next(unpacked(io.BytesIO(bomb), "bomb.gz", bytes_max=2**40)).stream.read()
    assert caught.value.code == "limit"
    with pytest.raises(RefusedFile) as caught:
        next(unpacked(io.BytesIO(gzip.compress(b"a" * 5_000)), "a.gz", bytes_max=1_000)).stream.read()
    assert caught.value.code == "limit"


def test_an_archive_of_too_many_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaging, "MEMBERS_MAX", 2)
    packed = zipped(a=b"1", b=b"2", c=b"3")
    with pytest.raises(RefusedFile) as caught:
        list(unpacked(io.BytesIO(packed), "a.zip", bytes_max=1_000))
    assert caught.value.code == "limit"


def test_names_inside_an_archive_lose_their_folders(store: Connection) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../etc/monday.xml", MONDAY)
        archive.writestr("__MACOSX/._monday.xml", b"not ours")
        archive.writestr("folder/", b"")
    (outcome,) = deliver_all(store, packed.getvalue(), file_name="mac.zip")
    assert (outcome.file_name, outcome.outcome) == ("monday.xml", "accepted")


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\0", b"PK\x03\x04"]))
def test_whatever_the_bytes_they_are_unpacked_or_refused(rest: bytes, mark: bytes) -> None:
    try:
        for content in unpacked(io.BytesIO(mark + rest), "any", bytes_max=10_000):
            content.stream.read()
    except RefusedFile as refusal:
        assert refusal.code in {"unsafe", "truncated", "structure", "limit"}  # noqa: PT017 - either outcome is right


@given(st.integers(0, 5_000), st.integers(0, 255))
def test_a_changed_byte_of_an_archive_never_gives_other_content(place: int, value: int) -> None:
    packed = bytearray(gzip.compress(MONDAY, mtime=0))
    packed[place % len(packed)] = value
    try:
        (content,) = unpacked(io.BytesIO(bytes(packed)), "a.gz", bytes_max=100_000)
        read = content.stream.read()
    except RefusedFile:
        return
    assert zlib.crc32(read) == zlib.crc32(MONDAY) or not bytes(packed).startswith(b"\x1f\x8b")
