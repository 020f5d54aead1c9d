"""One deed on many over HTTP: previewed by money and rows, done in one call, each that was not done with its reason."""

import re
from html import unescape

from tests.reconciliation.daily.desk import Desk
from tests.reconciliation.review.counter import counter
from tests.reconciliation.review.crowd import fill
from tests.reconciliation.review.test_detail_pages import field, told

MANY = 5_000


def selected(desk: Desk, count: int) -> list[tuple[int, int]]:
    """Open exceptions and their versions."""
    return desk.ask(
        "SELECT e.exception_id, e.version FROM recon.exception AS e WHERE e.cleared_on IS NULL ORDER BY 1 LIMIT %s",
        count,
    )


def test_five_thousand_at_once_with_three_that_changed_leave_three_with_their_reasons(desk: Desk) -> None:
    fill(desk, rows=7_500)
    desk.enrol("ada")
    desk.enrol("eve")
    desk.enrol("vic", "viewer")
    with counter(desk) as app:
        ada, eve = app.browser("ada"), app.browser("eve")
        rows = selected(desk, MANY)
        items = [f"{number}:{version}" for number, version in rows]
        preview = ada.post("/bulk", item=items, filter="severity=critical")
        assert preview.status_code == 200
        words = told(preview.text)
        assert "5,000 exceptions" in words
        assert "The first 15" in words
        (euros, count) = desk.ask(
            "SELECT sum(e.value_minor), count(*) FROM recon.exception AS e "
            "WHERE e.exception_id = ANY(%s) AND e.asset = 'EUR'",
            [number for number, _ in rows],
        )[0]
        whole, cents = divmod(int(euros), 100)
        assert f"EUR {count:,} {whole:,}.{cents:02d} EUR" in words
        assert "without money" in words
        carried = field(preview.text, "items")
        assert carried.split() == items

        changed = rows[7][0], rows[100][0], rows[4_999][0]
        for number in changed:
            assert eve.post(f"/exceptions/{number}/take", version="1").status_code == 303
        done = ada.post("/bulk/do", items=carried, deed="take", filter="severity=critical")
        words = told(done.text)
        assert done.status_code == 200
        assert "4,997 of 5,000 done: take" in words
        assert "3 changed meanwhile" in words
        listed = [int(number) for number in re.findall(r'data-href="/exceptions/(\d+)"', done.text)]
        assert listed == [number for number, _ in rows if number in changed]
        assert words.count("taken by eve") == 3
        assert 'href="/exceptions?severity=critical"' in done.text
        assert (
            desk.ask("SELECT count(*) FROM recon.exception AS e WHERE e.assignee = 'ada' AND e.version = 2")[
                0
            ]
            >= 4_900
        )
        again = told(ada.post("/bulk", item=items, filter="").text)
        assert "5,000 changed since you selected them" in again
        done = ada.post("/bulk/do", items=carried, deed="comment", note="asked the bank", filter="")
        assert "5,000 of 5,000 done" in told(done.text)  # who only says something is never too late
        assert app.browser("vic").post("/bulk", item=items[0], filter="").status_code == 403


def test_all_of_a_filter_is_taken_as_it_was_previewed_and_nothing_else(desk: Desk) -> None:
    fill(desk, rows=400)
    desk.enrol("ada")
    with counter(desk) as app:
        ada = app.browser("ada")
        wanted = desk.ask(
            "SELECT e.exception_id FROM recon.exception AS e "
            "WHERE e.cleared_on IS NULL AND e.source_id = 'stripe' ORDER BY 1"
        )
        preview = ada.post("/bulk", filter="source=stripe", whole="1").text
        items = field(preview, "items").split()
        assert sorted(int(item.partition(":")[0]) for item in items) == wanted
        assert ada.post("/bulk", filter="source=stripe&sort=sideways", whole="1").status_code == 400

        nothing = ada.post("/bulk", filter="")
        assert "Nothing is selected" in told(nothing.text)
        late = {
            "items": " ".join(items),
            "deed": "snooze",
            "until": "2020-01-01",
            "note": "<i>later</i>",
            "filter": "",
        }
        refused = ada.post("/bulk/do", **late)
        assert refused.status_code == 400
        assert "&lt;i&gt;later&lt;/i&gt;" in refused.text
        assert field(refused.text, "items").split() == items
        for wrong in ({"deed": "force_match"}, {"items": ""}, {"items": "17;DROP"}, {"items": "0:1"}):
            assert ada.post("/bulk/do", **{**late, **wrong}).status_code == 400
        done = ada.post("/bulk/do", **{**late, "until": "2026-12-24"})
        assert done.status_code == 200
        snoozed = desk.ask(
            "SELECT e.exception_id FROM recon.exception AS e WHERE e.snoozed_until = '2026-12-24' ORDER BY 1"
        )
        assert set(snoozed) <= set(wanted)
        not_done = [int(number) for number in re.findall(r'data-href="/exceptions/(\d+)"', done.text)]
        assert sorted([*snoozed, *not_done]) == wanted
        assert "<i>later</i>" in desk.ask(
            "SELECT v.note FROM recon.exception_event AS v WHERE v.event = 'snoozed'"
        )
        assert unescape(done.text).count("expected one without a proposal at work") == len(not_done)
