"""The pack for a regulator: the same bytes for the same knowledge, each file proved by itself, each question answered
by files that are there.
"""

import csv
import hashlib
import io
import json
import zipfile
from typing import Any

import pytest

from reconciliation.errors import UnknownItem
from reconciliation.evidence import independent
from reconciliation.evidence.differences import changed
from reconciliation.evidence.pack import PackRequest, write_pack
from reconciliation.evidence.pack_archive import Archive, CardNumberFound, holds_card
from reconciliation.evidence.pack_questions import QUESTIONS, answered
from reconciliation.evidence.sign_off import prepare, review
from tests.reconciliation.daily.desk import MONDAY, OPENING_MINOR, SOURCES, TUESDAY, WEDNESDAY, Desk, movement
from tests.reconciliation.exceptions.people import approved, proposed, unrecognised

COMPONENTS = ({"name": "numpy", "version": "2.0"},)
CARD = "4111111111111111"


def packed(desk: Desk, **words: Any) -> tuple[bytes, dict[str, Any]]:
    """A pack of Monday to Wednesday of both sources, and its manifest."""
    given: dict[str, Any] = {
        "first": MONDAY,
        "last": WEDNESDAY,
        "sources": SOURCES.sources,
        "known_at": None,
    } | words
    out = io.BytesIO()
    with desk.session("tieout_auditor") as connection:
        manifest = write_pack(out, connection, PackRequest(system="tieout 1", components=COMPONENTS, **given))
    return out.getvalue(), manifest


def rows_of(pack: zipfile.ZipFile, path: str) -> list[dict[str, str]]:
    """The rows of a table in a pack."""
    body = pack.read(path).decode().rpartition("# footer: ")[0]
    return list(csv.DictReader(io.StringIO(body, newline="")))


@pytest.fixture
def busy_desk(desk: Desk) -> Desk:
    """Two days with a forced match of two people, a write-off that waits, comments, a missing file, a signed Monday."""
    external, _ = unrecognised(desk)
    with desk.acting("carl") as connection:
        connection.execute(
            "SELECT FROM recon.work(%s, %s, 'comment', %s)",
            ([external], [None], json.dumps({"note": "=HYPERLINK(1)\r\nZürich"})),
        )
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(TUESDAY)
    desk.enrol("cora", "controller")
    desk.enrol("cleo", "controller")
    with desk.acting("cora") as connection:
        sign_off = prepare(connection, SOURCES["bank"], MONDAY, "as every day")
    with desk.acting("cleo") as connection:
        review(connection, SOURCES["bank"], sign_off.sign_off_id, "signed")
    proposal = proposed(desk, external, "exclude", reason="paid elsewhere")
    approved(desk, proposal, note="seen")
    return desk


def test_a_pack_holds_what_is_asked_and_is_made_again_to_the_byte_when_more_is_known(busy_desk: Desk) -> None:
    before, manifest = packed(busy_desk)
    again, _ = packed(busy_desk, known_at=manifest["inputs"]["known_at"])
    assert before == again
    assert independent.check_pack(io.BytesIO(before)) == []

    pack = zipfile.ZipFile(io.BytesIO(before))
    names = pack.namelist()
    assert names[:-2] == sorted(names[:-2])
    assert names[-2:] == ["card_sweep.json", "manifest.json"]
    assert {info.date_time for info in pack.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert json.loads(pack.read("card_sweep.json"))["found"] == 0
    assert json.loads(pack.read("chain/verification.json"))["sound"]

    (signed,) = rows_of(pack, "sign_offs/sign_offs.csv")
    assert (signed["prepared_by"], signed["reviewed_by"], signed["state"]) == ("cora", "cleo", "signed")
    content = pack.read(f"sign_offs/bank/{MONDAY}-{signed['sign_off_id']}.json")
    assert hashlib.sha256(content).hexdigest() == signed["content_sha256"]
    index = {(row["source"], row["business_date"]): row for row in rows_of(pack, "statements_index.csv")}
    assert sorted(day for source, day in index if source == "bank") == [str(MONDAY), str(TUESDAY)]
    monday = index["bank", str(MONDAY)]
    statement = pack.read(f"statements/bank/{MONDAY}.json")
    assert hashlib.sha256(statement).hexdigest() == monday["sha256"]
    assert monday["signed_books_sha256"] == signed["books_sha256"]
    assert monday["same_books"] == "true"
    assert b"<!doctype html>" in pack.read(f"statements/bank/{MONDAY}.html").lower()

    (proposal,) = rows_of(pack, "decisions/proposals.csv")
    assert (proposal["proposed_by"], proposal["judged_by"], proposal["verdict"]) == ("ada", "bob", "approved")
    (decision,) = rows_of(pack, "decisions/decisions.csv")
    assert (decision["proposed_by"], decision["approved_by"]) == ("ada", "bob")
    assert {row["login"] for row in rows_of(pack, "access/people.csv")} == {
        "ada",
        "bob",
        "carl",
        "cleo",
        "cora",
        "eve",
    }
    could = {
        (row["login"], row["deed"]): row["could"] for row in rows_of(pack, "access/who_could_do_what.csv")
    }
    assert (could["carl", "work"], could["carl", "judge"], could["cora", "review"]) == (
        "true",
        "false",
        "true",
    )
    grants = {
        (row["grantee"], row["object"], row["privilege"])
        for row in rows_of(pack, "access/database_grants.csv")
    }
    assert ("tieout_auditor", "recon.exception_event", "SELECT") in grants
    assert not any(
        who == "tieout_auditor" and what in ("INSERT", "UPDATE", "DELETE") for who, _, what in grants
    )
    assert {row["counts_hold"] for row in rows_of(pack, "reconciliation/balances.csv")} == {"true"}

    comments = [row["note"] for row in rows_of(pack, "exceptions/events.csv") if row["event"] == "commented"]
    assert comments == ["'=HYPERLINK(1)\r\nZürich"]
    listed = {row["path"]: row for row in manifest["files"]}
    assert {path for path, row in listed.items() if row["knowledge"] != "known_at"} == {
        "access/database_grants.csv", "access/database_roles.csv", "access/permissions.csv",
        "access/server_settings.csv", "check.py", "software/components.csv",
    }  # fmt: skip

    busy_desk.statement(WEDNESDAY, movement("LATE", 7), opening_minor=OPENING_MINOR + 500)
    busy_desk.run(WEDNESDAY)
    busy_desk.enrol("dora", "auditor")
    later, _ = packed(busy_desk)
    assert later != before
    assert packed(busy_desk, known_at=manifest["inputs"]["known_at"])[0] == before

    one, alone = packed(busy_desk, sources=[SOURCES["stripe"]], last=MONDAY)
    assert not [name for name in zipfile.ZipFile(io.BytesIO(one)).namelist() if "/bank" in name]
    assert alone["inputs"]["sources"] == ["stripe"]
    for words, sentence in (
        ({"first": WEDNESDAY, "last": MONDAY}, "expected a first day up to"),
        ({"known_at": "1:99999999:"}, "expected a moment that is over"),
        ({"known_at": "3:3:@yesterday"}, "expected an instant with its zone"),
        ({"known_at": "then"}, "known at"),
    ):
        with pytest.raises(UnknownItem, match=sentence):
            packed(busy_desk, **words)


def rewritten(pack: bytes, changes: dict[str, bytes | None], *, signed_anew: bool = False) -> io.BytesIO:
    """The pack with files replaced, left out (None) or added; the manifest made to fit if ``signed_anew``."""
    with zipfile.ZipFile(io.BytesIO(pack)) as old:
        files: dict[str, bytes] = {name: old.read(name) for name in old.namelist()}
    for name, content in changes.items():
        if content is None:
            del files[name]
        else:
            files[name] = content
    if signed_anew:
        manifest = json.loads(files["manifest.json"])
        for row in manifest["files"]:
            row["sha256"] = hashlib.sha256(files[row["path"]]).hexdigest()
            row["bytes"] = len(files[row["path"]])
        files["manifest.json"] = json.dumps(manifest).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
    return out


def test_a_pack_that_was_tampered_with_is_found_out_also_where_the_manifest_was_made_to_fit(
    busy_desk: Desk,
) -> None:
    pack, _ = packed(busy_desk)
    assert independent.check_pack(rewritten(pack, {})) == []
    events = zipfile.ZipFile(io.BytesIO(pack)).read("exceptions/events.csv")
    told = independent.check_pack(rewritten(pack, {"exceptions/events.csv": events + b"\n"}))
    assert told == ["exceptions/events.csv: changed since the manifest was written"]
    assert independent.check_pack(rewritten(pack, {"README.md": None})) == [
        "README.md: in the manifest, not in the pack"
    ]
    assert independent.check_pack(rewritten(pack, {"extra.txt": b"x"})) == [
        "extra.txt: in the pack, not in the manifest"
    ]
    assert independent.check_pack(rewritten(pack, {"manifest.json": None})) == [
        "expected manifest.json in it, found none"
    ]

    forged = events.replace(b'"carl","","\'=HYPER', b'"eve","","\'=HYPER').replace(
        b'"carl",,"\'=HYPER', b'"eve",,"\'=HYPER'
    )
    assert forged != events
    problems = independent.check_pack(rewritten(pack, {"exceptions/events.csv": forged}, signed_anew=True))
    assert any(problem.startswith("exceptions/events.csv: sha256: the footer says") for problem in problems)
    assert any("is not what the chain linked" in problem for problem in problems)

    manifest = json.loads(zipfile.ZipFile(io.BytesIO(pack)).read("manifest.json"))
    manifest["inputs"]["to"] = "2030-01-01"
    told = independent.check_pack(rewritten(pack, {"manifest.json": json.dumps(manifest).encode()}))
    assert told == ["manifest.json: its inputs are not those of its digest"]


def test_what_reads_as_a_card_number_ends_the_work_wherever_it_stands() -> None:
    with Archive(io.BytesIO()) as archive, pytest.raises(CardNumberFound) as found:
        archive.text("notes.txt", "x" * 3_000_000 + "\none\npaid with 4111 1111 1111 1111\n")
    assert "notes.txt, line 3" in str(found.value)
    assert "1111" not in str(found.value)

    for text in (
        CARD,
        f'"{CARD}"',
        "4111-1111-1111-1111",
        f"note,{CARD},EUR",
        "CVV2: 123",
        "3782 822463 10005",
    ):
        assert holds_card(text), text
        with pytest.raises(CardNumberFound), Archive(io.BytesIO()) as archive:
            archive.text("a.txt", text)
    for text in (
        "4111111111111112", "411111******1111", hashlib.sha256(b"5").hexdigest(), "2026-11-09T10:00:00.000001Z",
        "9007199254740993", "74537604221431003881865", "4111111111111111a1",
    ):  # fmt: skip
        assert not holds_card(text), text


def test_an_archive_takes_files_in_order_alone() -> None:
    with Archive(io.BytesIO()) as archive:
        archive.text("b", "2")
        with pytest.raises(ValueError, match="expected a name behind b"):
            archive.text("a", "1")
        with pytest.raises(ValueError, match="expected a name"):
            archive.text("manifest.json", "{}")


def test_every_question_says_where_it_is_answered_or_that_it_is_not() -> None:
    assert {question.asker for question in QUESTIONS} == {"FCA CASS 15", "PCI DSS 4.0.1", "SOC 2"}
    assert all(question.files or question.open for question in QUESTIONS)
    (first, *_) = answered({"reconciliation/runs.csv", "statements/bank/2026-11-09.html"})
    assert first["files"] == ["reconciliation/runs.csv", "statements/bank/2026-11-09.html"]


def test_changes_of_rules_are_told_place_by_place() -> None:
    before = {"lag": {"latest": 2}, "accounts": [{"ledger": "a"}], "gone": 1, "same": [1]}
    after = {"lag": {"latest": 3}, "accounts": [{"ledger": "b"}], "new": [1, 2], "same": [1]}
    assert changed(before, after) == [
        {"place": "accounts[0].ledger", "before": "a", "after": "b"},
        {"place": "gone", "before": 1, "after": None},
        {"place": "lag.latest", "before": 2, "after": 3},
        {"place": "new", "before": None, "after": [1, 2]},
    ]
