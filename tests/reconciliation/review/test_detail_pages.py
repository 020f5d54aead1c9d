"""The life of an exception over HTTP: what a person sees, what several do at once, what stays of what they typed."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from html import unescape

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.reconciliation.daily.desk import MONDAY, OPENING_MINOR, TUESDAY, WEDNESDAY, Desk, movement
from tests.reconciliation.review.counter import Counter, counter, same_desk

MakeDatabase = Callable[..., AbstractContextManager[str]]


def told(page: str) -> str:
    """The words of a page, as one line."""
    body = re.sub(r"<(script|style).*?</\1>", " ", page.partition("<main")[2], flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


def field(page: str, name: str) -> str:
    """The first value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return unescape(found[1])


def number(desk: Desk, reference: str) -> int:
    """The open exception of a reference."""
    (found,) = desk.ask(
        "SELECT e.exception_id FROM recon.exception AS e WHERE e.reference = %s AND e.cleared_on IS NULL",
        reference,
    )
    return int(found)


def begin(desk: Desk) -> None:
    """A short payment, one with two digits swapped, and a fee that nobody booked; ada and others work, bob approves."""
    desk.post("sale-1", MONDAY, 10_000, ref_end_to_end="INV-2026-4711", counterparty="Acme GmbH")
    desk.post("sale-2", MONDAY, 500_000, ref_end_to_end="INV-2026-4712")
    lines = [
        movement("INV-2026-4711", 9_963),
        movement("INV-2026-4721", 500_000),
        movement("FEE-9", -300),
    ]
    desk.statement(MONDAY)
    desk.statement(TUESDAY, *lines)
    desk.statement(WEDNESDAY, opening_minor=OPENING_MINOR + sum(line.amount_minor for line in lines))
    desk.run(WEDNESDAY)
    for login in ("ada", "eve", "kim", "lea", "mia", "zoe"):
        desk.enrol(login)
    desk.enrol("bob", "approver")
    desk.enrol("vic", "viewer")


@pytest.fixture(scope="module")
def begun(make_database: MakeDatabase, template: str) -> Iterator[str]:
    """The name of a database in which the morning has begun."""
    with make_database(template) as url:
        begin(Desk(url))
        yield str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def morning(make_database: MakeDatabase, begun: str) -> Iterator[Desk]:
    """A copy of it to do as one likes with."""
    with make_database(begun) as url:
        yield same_desk(url)


def test_the_page_shows_both_sides_what_differs_and_why_no_pass_took_it(morning: Desk) -> None:
    with counter(morning) as app:
        ada = app.browser("ada")
        short = told(ada.get(f"/exceptions/{number(morning, 'INV-2026-4711')}").text)
        assert "Amount 99.63 EUR 100.00 EUR ≠ 0.37 apart" in short
        assert "Difference 99.63 − 100.00 = -0.37 EUR ✗ must reach zero" in short
        assert "Not automatic: the amounts are 0.37 EUR apart" in short
        swapped = number(morning, "INV-2026-4721")
        page = ada.get(f"/exceptions/{swapped}?source=bank")
        assert "references are one slip apart" in told(page.text)
        pick = re.search(
            rf'href="(/exceptions/{swapped}\?source=bank&amp;pick=[^"]+)" data-key="1"', page.text
        )
        assert pick
        beside = ada.get(unescape(pick[1])).text
        assert "Difference 5,000.00 − 5,000.00 = 0.00 EUR ✓ ties out" in told(beside)
        assert "Propose this match" in told(beside)
        assert "Nothing fits" in told(ada.get(f"/exceptions/{number(morning, 'FEE-9')}").text)
        looked = told(app.browser("vic").get(f"/exceptions/{swapped}").text)
        assert "Propose" not in looked
        assert "Take" not in looked
        assert ada.get("/exceptions/999999").status_code == 404
        assert ada.get("/exceptions/none").status_code == 404


def test_the_reasons_of_every_candidate_on_the_page_add_up_to_the_score_it_shows(morning: Desk) -> None:
    with counter(morning) as app:
        ada = app.browser("ada")
        seen = 0
        for row in morning.exceptions():
            page = ada.get(f"/exceptions/{row['exception_id']}").text
            assert page == ada.get(f"/exceptions/{row['exception_id']}").text  # the same twice
            for one in re.findall(
                r'<p class="score"><strong>(.*?)</strong>.*?<ul class="reasons">(.*?)</ul>', page, re.DOTALL
            ):
                score, *reasons = (
                    int(re.sub(r"\D", "", text)) * (-1 if "−" in text else 1)
                    for part in one
                    for text in re.findall(r'<span class="amount">([^<]*)</span>', part)
                )
                assert score == sum(reasons)
                seen += 1
        assert seen >= 3


def test_an_exception_lives_from_taken_to_approved_and_nobody_approves_their_own(morning: Desk) -> None:
    about = number(morning, "INV-2026-4721")
    with counter(morning) as app:
        ada, bob = app.browser("ada"), app.browser("bob")
        page = ada.get(f"/exceptions/{about}").text
        taken = ada.post(f"/exceptions/{about}/take?source=bank", version=field(page, "version"))
        assert (taken.status_code, taken.headers["location"]) == (303, f"/exceptions/{about}?source=bank")
        pick = re.search(r"pick=(match-\d+)", page)
        assert pick
        version = field(ada.get(f"/exceptions/{about}").text, "version")
        form = {"action": "force_match", "pick": pick[1], "version": version, "reason": "data_correction"}
        assert ada.post(f"/exceptions/{about}/propose", **form, note="digits swapped").status_code == 303
        (proposal,) = morning.ask("SELECT p.proposal_id FROM recon.proposal AS p")

        own = ada.get(f"/proposals/{proposal}").text
        assert "You proposed this. Nobody approves their own proposal" in told(own)
        assert f"/proposals/{proposal}/approve" not in own
        assert ada.post(f"/proposals/{proposal}/approve").status_code == 403

        waiting = told(bob.get("/proposals").text)
        assert "Waiting for you 1" in waiting
        assert "digits swapped" in waiting
        assert "Nothing has changed." in told(bob.get(f"/proposals/{proposal}").text)
        assert bob.post(f"/proposals/{proposal}/approve").status_code == 303
        again = bob.post(f"/proposals/{proposal}/approve")
        assert again.status_code == 409
        assert "approved by bob" in told(again.text)
        morning.run(WEDNESDAY)
        closed = told(ada.get(f"/exceptions/{about}").text)
        assert "Nothing is to be done here" in closed
        assert "Difference 5,000.00 − 5,000.00 = 0.00 EUR ✓ ties out" in closed  # the match that closed it
        history = morning.events(about)
        assert [event for event in history if event != "changed"] == [
            "opened",
            "taken",
            "proposed",
            "approved",
            "resolved",
        ]
        late = ada.post(f"/exceptions/{about}/take", version=version)
        assert late.status_code == 409
    assert morning.ask("SELECT v.problem FROM recon.verify_chains() AS v") == []


def test_who_proposed_cannot_approve_with_an_approvers_roles_either(morning: Desk) -> None:
    morning.enrol("bobs-other", "analyst", "approver", same_as="bob")
    about = number(morning, "FEE-9")
    with counter(morning) as app:
        bob, other = app.browser("bob"), app.browser("bobs-other")
        version = field(bob.get(f"/exceptions/{about}").text, "version")
        form = {"action": "exclude", "version": version, "reason": "other", "note": "not ours"}
        assert bob.post(f"/exceptions/{about}/propose", **form).status_code == 303
        (proposal,) = morning.ask("SELECT p.proposal_id FROM recon.proposal AS p")
        for browser in (bob, other):
            refused = browser.post(f"/proposals/{proposal}/approve")
            assert refused.status_code == 403
            assert "expected the approval of another person" in told(refused.text)
        assert bob.post(f"/proposals/{proposal}/reject", note="").status_code == 400
        assert bob.post(f"/proposals/{proposal}/reject", note="my mistake").status_code == 303
        assert morning.ask("SELECT p.state FROM recon.proposal_v1 AS p") == ["withdrawn"]


def test_of_six_who_take_one_at_once_one_wins_and_five_see_who_did(morning: Desk) -> None:
    about = number(morning, "FEE-9")
    with counter(morning) as app:
        people = [app.browser(login) for login in ("ada", "eve", "kim", "lea", "mia", "zoe")]
        pages = [person.get(f"/exceptions/{about}").text for person in people]
        with ThreadPoolExecutor(6) as pool:
            answers = list(
                pool.map(
                    lambda one: one[0].post(
                        f"/exceptions/{about}/take",
                        version=field(one[1], "version"),
                        seen_event=field(one[1], "seen_event"),
                    ),
                    zip(people, pages, strict=True),
                )
            )
        assert sorted(answer.status_code for answer in answers) == [303, 409, 409, 409, 409, 409]
        (winner,) = morning.ask(
            "SELECT e.assignee FROM recon.exception AS e WHERE e.exception_id = %s", about
        )
        for answer in answers:
            if answer.status_code == 409:
                assert f"taken by {winner}" in told(answer.text)
                assert f"{winner} : taken at" in told(answer.text)


def test_a_stale_form_keeps_what_was_typed_and_shows_the_case_as_it_is_now(morning: Desk) -> None:
    about = number(morning, "INV-2026-4721")
    with counter(morning) as app:
        ada, eve = app.browser("ada"), app.browser("eve")
        page = ada.get(f"/exceptions/{about}").text
        seen = {"version": field(page, "version"), "seen_event": field(page, "seen_event")}
        assert eve.post(f"/exceptions/{about}/take", version=seen["version"]).status_code == 303
        typed = {"until": "2026-12-24", "note": "<b>the bank</b> answers by then", "part": "snooze"}
        answer = ada.post(f"/exceptions/{about}/snooze", **seen, **typed)
        assert answer.status_code == 409
        assert "eve : taken" in told(answer.text)
        assert "&lt;b&gt;the bank&lt;/b&gt; answers by then" in answer.text
        assert 'value="2026-12-24"' in answer.text
        assert field(answer.text, "version") != seen["version"]  # so that sending it again is enough
        fresh = {"version": field(answer.text, "version"), "seen_event": field(answer.text, "seen_event")}
        assert ada.post(f"/exceptions/{about}/snooze", **fresh, **typed).status_code == 303
        for wrong in ({"until": "yesterday"}, {"until": "2026-11-01"}, {"until": ""}):
            assert ada.post(f"/exceptions/{about}/snooze", **{**typed, **wrong}).status_code == 400
        lines = re.findall(
            r'name="line"[^>]*value="([^"]+)" checked', ada.get(f"/exceptions/{about}/group").text
        )
        group = {
            "action": "force_match",
            "reason": "timing",
            "note": "by hand",
            "part": "group",
            "built": "1",
        }
        stale = ada.post(f"/exceptions/{about}/propose", **group, **seen, line=lines[0])
        assert stale.status_code == 409
        assert 'value="by hand"' in stale.text
        assert re.findall(r'name="line"[^>]*value="([^"]+)" checked', stale.text) == lines


def test_a_group_is_built_by_hand_and_the_server_says_what_is_left(morning: Desk) -> None:
    about = number(morning, "INV-2026-4711")
    with counter(morning) as app:
        ada = app.browser("ada")
        page = ada.get(f"/exceptions/{about}/group").text
        assert "1 line of theirs with 1 line of ours" in told(page)
        assert "-0.37 EUR ✗ must reach zero" in told(page)
        found = ada.get(f"/exceptions/{about}/group?find=FEE-9").text
        assert "N-FEE-9" in found
        lines = {"line": ["external:N-INV-2026-4711/1", "ledger:sale-1/1"]}
        form = {"built": "1", "role:ledger:sale-1/1": "rounding", "amount": "many", "action": "force_match",
                "version": field(page, "version"), "reason": "data_correction", "part": "group"}  # fmt: skip
        sums = ada.post(f"/exceptions/{about}/group", **form, **lines)
        assert "◐ a line owns it" in told(sums.text)
        assert "amount: expected digits" in told(sums.text)
        bare = {name: value for name, value in form.items() if not name.startswith("role:")}
        refused = ada.post(f"/exceptions/{about}/propose", **bare, **lines)
        assert refused.status_code == 422
        assert "no line says why" in told(refused.text)
        assert ada.post(f"/exceptions/{about}/propose", **form, **lines).status_code == 303
        (members,) = morning.ask("SELECT p.members FROM recon.proposal AS p")
        assert [(one["side"], one["role"]) for one in members] == [
            ("external", "principal"),
            ("ledger", "rounding"),
        ]


def test_files_are_enclosed_and_only_ever_saved(morning: Desk) -> None:
    about = number(morning, "FEE-9")
    path = f"/exceptions/{about}/attach"
    with counter(morning) as app:
        assert app.upload("ada", path, "letter.txt", b"the bank's letter", "text/plain") == 303
        assert app.upload("ada", path, "page.html", b"<script>alert(1)</script>", "text/html") == 422
        assert app.upload("vic", path, "letter.txt", b"no", "text/plain") == 403
        ada = app.browser("ada")
        link = re.search(r"/attachments/\d+", ada.get(f"/exceptions/{about}").text)
        assert link
        got = ada.get(link[0])
        assert got.content == b"the bank's letter"
        assert got.headers["content-disposition"].startswith("attachment;")
        assert got.headers["x-content-type-options"] == "nosniff"
        assert ada.get("/attachments/999").status_code == 404


def test_the_way_through_the_list_is_kept(morning: Desk) -> None:
    with counter(morning) as app:
        ada = app.browser("ada")
        walked, address = [], f"/exceptions/{first_of(app)}?sort=value"
        while address:
            page = ada.get(address).text
            walked.append(int(re.findall(r"/exceptions/(\d+)", address)[0]))
            onward = re.search(r'href="([^"]+)" rel="next"', page)
            address = unescape(onward[1]) if onward else ""
        expected = morning.ask(
            "SELECT e.exception_id FROM recon.exception AS e WHERE e.cleared_on IS NULL ORDER BY e.value_minor DESC, 1"
        )
        assert walked == expected
        assert 'rel="prev"' not in ada.get(f"/exceptions/{walked[0]}?sort=value").text
        assert f"/exceptions/{walked[0]}?sort=value" in ada.get(f"/exceptions/{walked[1]}?sort=value").text
        assert ada.get(f"/exceptions/{walked[0]}?sort=sideways").status_code == 200  # no list, no neighbours


def first_of(app: Counter) -> int:
    """The exception with the most money."""
    return int(
        app.desk.ask("SELECT e.exception_id FROM recon.exception AS e WHERE e.cleared_on IS NULL "
                     "ORDER BY e.value_minor DESC, 1 LIMIT 1")[0]
    )  # fmt: skip
