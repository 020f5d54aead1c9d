"""The pages of people and of feedback: what auditors and rule keepers see, and who does not see it."""

from dataclasses import dataclass, field
from datetime import date

import pytest

from reconciliation.exceptions.feedback import SuggestionCount
from reconciliation.review import feedback_pages
from reconciliation.sources import Source
from tests.reconciliation.daily.desk import MONDAY, TUESDAY, Desk, movement
from tests.reconciliation.review.app_on_desk import app_on_desk


def test_auditors_see_who_came_in_who_was_refused_and_what_was_changed(desk: Desk) -> None:
    desk.enrol("otto", "auditor")
    desk.enrol("ada")
    desk.enrol("ada2", "approver", same_as="ada")
    with desk.session("tieout_doorkeeper") as connection:
        connection.execute("SELECT recon.note_attempt('mallory', 'refused', 'browser')")
        connection.execute(
            "SELECT recon.change_person('ada', NULL, ARRAY['analyst', 'approver'], NULL, NULL, NULL, 'root')"
        )
    with app_on_desk(desk) as app:
        page = app.browser("otto").get("/people")
        assert page.status_code == 200
        for said in ("same person as ada", "mallory", "roles: analyst → analyst, approver", "root", "never"):
            assert said in page.text
        assert app.browser("ada").get("/people").status_code == 403


@dataclass
class Trials:
    """The shell's trial of rules, which remembers what it was asked."""

    asked: list[tuple[int, date, date]] = field(default_factory=list)

    def __call__(self, tried: Source, first: date, last: date) -> object:
        from reconciliation.daily.backtest import PassTrial, Trial  # noqa: PLC0415 - the engine, for this test alone

        self.asked.append((tried.match.confirm_bits, first, last))
        passes = (PassTrial(match_pass="exact", history=3, trial=4, same=2, contradicting=1, gone=1),)
        return Trial(
            source_id=tried.id, first=first, last=last, rules_digest="a" * 64, history_digest="b" * 64,
            passes=passes, suggested=2, open_count={"genuine": 1},
        )  # fmt: skip


def test_a_proposed_change_of_rules_is_shown_with_a_trial_and_never_applied(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.statement(MONDAY, movement("P-1", 5_00))
    desk.run(MONDAY)
    desk.run(TUESDAY)
    desk.enrol("ada")
    desk.enrol("vera", "viewer")
    trials = Trials()
    with app_on_desk(desk, try_rules=trials) as app:
        ada = app.browser("ada")
        assert "Nothing was suggested yet" in ada.get("/feedback").text
        assert ada.get("/feedback/trial?source=bank&setting=confirm_bits").status_code == 404
        assert ada.get("/feedback/trial?source=bank&setting=amount").status_code == 400

        # Sixty verdicts take a world of weeks; what they come to is the business of the feedback's own tests.
        counts = [
            SuggestionCount(
                match_pass="amount_and_lag", rule="no reference", held_by="confirm_bits",
                accepted=60, altered=0, turned_down=0, waiting=3, gone=0,
            )
        ]  # fmt: skip
        monkeypatch.setattr(feedback_pages, "read_feedback", lambda _connection, _source: counts)
        page = ada.get("/feedback").text
        assert "confirm_bits" in page
        assert "is proposed" in page
        assert "Try it on the last 5 days" in page
        shown = ada.get("/feedback/trial?source=bank&setting=confirm_bits")
        assert shown.status_code == 200
        assert "These rules would get confirmed matches wrong" in shown.text
        assert len(trials.asked) == 1
        assert trials.asked[0][1:] == (MONDAY, TUESDAY)
        assert "Try it on" not in app.browser("vera").get("/feedback").text
