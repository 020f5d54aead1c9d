"""Work on exceptions: of many each has its own outcome, of six at once one wins, and nobody acts without a session."""

import threading
from datetime import date
from typing import Any

import psycopg
import pytest

from reconciliation.errors import NoSession, NotAllowed, RefusedProposal, UnknownItem
from reconciliation.exceptions.attachments import attach, attachments_of, read_attachment
from reconciliation.exceptions.work import DEEDS, ItemSeen, Outcome, chain_problems, undo_match, work
from tests.reconciliation.daily.desk import Desk
from tests.reconciliation.exceptions.people import staff, unrecognised

COUNT = 5_000
# As a run leaves them, in numbers that no small world has.
MANY = """
INSERT INTO recon.exception (exception_key, source_id, opened_on, as_of, class, kind, severity, status, side, line_key,
    account, amount_minor, difference_minor, asset, item_date, age_business_days, factors)
SELECT 'many ' || n, 'bank', '2026-11-09', '2026-11-09', 'genuine', 'missing_in_ledger', 'low', 'open', 'external',
    'L' || n, 'assets:bank:eur', n, n, 'EUR', '2026-11-09', 0, '{}'
FROM generate_series(1, %s) AS n
RETURNING exception_id
"""


def did(
    desk: Desk, by: str, ids: list[int], deed: Any, detail: Any = None, *, seen: int | None = None
) -> list[Outcome]:
    """What became of a deed, in one transaction of a person."""
    with desk.acting(by) as connection:
        return work(connection, [ItemSeen(exception_id=one, version=seen) for one in ids], deed, detail or {})


def test_of_five_thousand_with_three_that_somebody_changed_all_others_are_done(desk: Desk) -> None:
    staff(desk)
    with desk.session(None) as connection:
        ids = [row[0] for row in connection.execute(MANY, (COUNT,))]
    changed = [ids[7], ids[70], ids[4_000]]
    assert [one.outcome for one in did(desk, "eve", changed, "take")] == ["done"] * 3

    outcomes = did(desk, "ada", ids, "assign", {"to": "bob"}, seen=1)
    assert [one.exception_id for one in outcomes] == ids
    assert sum(one.is_done for one in outcomes) == COUNT - 3
    stale = [one for one in outcomes if not one.is_done]
    assert [(one.exception_id, one.outcome) for one in stale] == [(one, "stale") for one in changed]
    assert stale[0].said is not None
    assert stale[0].said.startswith(f"exception {ids[7]}: changed since you looked: taken by eve at ")
    assert desk.ask("SELECT e.assignee, count(*) FROM recon.exception AS e GROUP BY 1 ORDER BY 1") == [
        ("bob", COUNT - 3),
        ("eve", 3),
    ]
    assert desk.ask(
        "SELECT v.event, v.actor, count(*) FROM recon.exception_event AS v GROUP BY 1, 2 ORDER BY 1"
    ) == [
        ("assigned", "ada", COUNT - 3),
        ("opened", "tieout", COUNT),
        ("taken", "eve", 3),
    ]
    with desk.session("tieout_auditor") as connection:
        assert chain_problems(connection) == []


def test_of_six_people_who_take_one_item_at_once_one_wins_and_five_see_who(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    (version,) = desk.ask("SELECT e.version FROM recon.exception AS e WHERE e.exception_id = %s", line)
    people = [f"p{number}" for number in range(6)]
    for login in people:
        desk.enrol(login)
    tokens = {login: desk.token(login) for login in people}
    ready, found = threading.Barrier(len(people)), {}

    def take(login: str) -> None:
        with desk.session("tieout_analyst") as connection:
            connection.execute("SELECT set_config('tieout.session', %s, true)", (tokens[login],))
            ready.wait()
            (found[login],) = work(connection, [ItemSeen(exception_id=line, version=version)], "take")

    threads = [threading.Thread(target=take, args=(login,)) for login in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [login for login, one in found.items() if one.is_done]
    others = [one for login, one in found.items() if login != winner]
    assert [one.outcome for one in others] == ["stale"] * 5
    assert all(f"taken by {winner}" in (one.said or "") for one in others)
    assert desk.events(line) == ["opened", "taken"]


def test_who_may_not_and_what_is_not_there_are_told_and_write_nothing(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    desk.enrol("vera", "viewer", "auditor", "admin")
    item = [ItemSeen(exception_id=line)]
    with pytest.raises(NoSession), desk.session("tieout_analyst") as connection:
        work(connection, item, "take")
    for deed in DEEDS:
        with pytest.raises(NotAllowed, match="vera may not do this"):
            did(
                desk,
                "vera",
                [line],
                deed,
                {"to": "ada", "until": date(2026, 12, 1), "note": "n", "reason": "timing"},
            )
    with pytest.raises(NotAllowed), desk.acting("vera") as connection:
        attach(connection, line, file_name="a.txt", content=b"a")
    for detail, sentence in (
        ({"until": "2026-02-30"}, "until: expected a date"),
        ({"until": "infinity"}, "until: expected a date"),
        ({}, "until: expected a date"),
    ):
        with pytest.raises(RefusedProposal, match=sentence):
            did(desk, "ada", [line], "snooze", detail)
    with pytest.raises(RefusedProposal, match="each once"):
        did(desk, "ada", [line, line], "take")
    with pytest.raises(RefusedProposal, match="at most 4000 characters"):
        did(desk, "ada", [line], "comment", {"note": "x" * 4_001})
    with pytest.raises(UnknownItem, match="match 99"), desk.acting("ada") as connection:
        undo_match(connection, 99, reason="other", note="no")
    assert desk.events(line) == ["opened"]
    assert did(desk, "ada", [999], "comment", {"note": "n"})[0].outcome == "absent"


def test_what_is_enclosed_is_kept_once_by_content_and_never_changes(desk: Desk) -> None:
    line, entry = unrecognised(desk)
    content = b"%PDF-1.7 the bank writes"
    with desk.acting("ada") as connection:
        first = attach(connection, line, file_name="../a letter.pdf", media_type="text/html", content=content)
        second = attach(connection, entry, file_name="same.pdf", content=content)
        with pytest.raises(UnknownItem), connection.transaction():
            attach(connection, 999, file_name="same.pdf", content=content)
    with desk.session("tieout_auditor") as connection:
        found, kept = read_attachment(connection, first)
        assert (found.file_name, found.media_type, found.byte_count, found.uploaded_by) == (
            "a letter.pdf",
            "application/pdf",
            len(content),
            "ada",
        )
        assert kept == content
        assert [one.attachment_id for one in attachments_of(connection, entry)] == [second]
        with pytest.raises(UnknownItem):
            read_attachment(connection, 99)
    assert desk.ask("SELECT count(*) FROM recon.attachment_content") == [1]
    assert desk.events(line) == ["opened", "attached"]
    for deed in ("DELETE FROM recon.attachment", "UPDATE recon.attachment_content SET content = 'x'"):
        with pytest.raises(psycopg.Error), desk.session(None) as connection:
            connection.execute(deed)  # type: ignore[arg-type]  # two fixed texts
