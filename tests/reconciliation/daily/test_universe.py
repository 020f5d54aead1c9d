"""What a run reads: all that is in play, and nothing of the history that is settled."""

from datetime import date

import pytest

from ledger_core.read_port import current_snapshot
from reconciliation.classification import BusinessCalendar
from reconciliation.daily.universe import Universe, read_universe
from reconciliation.daily.window import window_of
from tests.reconciliation.daily.office import FIRST_DAY, SOURCE_IDS, SOURCES, Office

LAST_DAY = date(2026, 11, 13)


def read(office: Office, source_id: str, first: date, *, same_rules: bool) -> Universe:
    source = SOURCES[source_id]
    calendar = BusinessCalendar.of(source.calendars)
    window = window_of(
        start_date=source.start_date, as_of=LAST_DAY, done_to=LAST_DAY, changed_from=first, calendar=calendar
    )
    assert window is not None
    with office.project.database.session("tieout_matcher") as connection:
        snapshot = current_snapshot(connection)
        return read_universe(connection, source, calendar, window, snapshot, same_rules=same_rules)


@pytest.mark.parametrize("source_id", SOURCE_IDS)
@pytest.mark.parametrize("first", [FIRST_DAY, date(2026, 11, 11), LAST_DAY])
def test_what_is_on_record_as_open_is_all_that_a_search_of_the_whole_history_finds(
    finished_office: Office, source_id: str, first: date
) -> None:
    recorded = read(finished_office, source_id, first, same_rules=True)
    searched = read(finished_office, source_id, first, same_rules=False)
    assert recorded.external.num_rows > 0
    assert recorded.external.sort_by("line_id") == searched.external.sort_by("line_id")
    order = [("entry_id", "ascending"), ("line_no", "ascending")]
    assert recorded.ledger.sort_by(order) == searched.ledger.sort_by(order)


def test_settled_history_is_not_read_again(finished_office: Office) -> None:
    whole = read(finished_office, "bank", FIRST_DAY, same_rules=True)
    last = read(finished_office, "bank", LAST_DAY, same_rules=True)
    assert last.external.num_rows < whole.external.num_rows / 2
    assert last.ledger.num_rows < whole.ledger.num_rows / 2
