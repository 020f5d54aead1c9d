"""Running again changes nothing, and nothing that is said twice is written twice."""

from shutil import copyfile

import psycopg

from tests.reconciliation.daily.office import Finished, Office
from tests.reconciliation.daily.stored import assert_same, every_row, history


def test_a_run_with_nothing_new_writes_no_row_at_all(finished: Finished, finished_office: Office) -> None:
    before = _everything(finished_office)

    outcomes = [run for day in finished.world.days for run in finished_office.reconcile_all(day)]

    assert all(outcome.unchanged for outcome in outcomes)
    assert_same(before, _everything(finished_office))


def test_every_file_delivered_again_changes_nothing_but_the_list_of_deliveries(
    finished: Finished, finished_office: Office
) -> None:
    before = _everything(finished_office)
    arrivals = list(finished_office.arrivals())

    outcomes = [finished_office.ingest(source_id, path).outcome for source_id, path in arrivals]
    runs = finished_office.reconcile_all(finished.world.days[-1])

    after = _everything(finished_office)
    deliveries = len(after.pop("delivery")) - len(before.pop("delivery"))
    assert (deliveries, outcomes.count("redelivered"), outcomes.count("rejected")) == (
        len(arrivals),
        len(arrivals) - 1,
        1,
    )
    assert len(after.pop("run")) == len(before.pop("run"))
    assert_same(before, after)
    assert [(run.groups_made, run.groups_revoked, run.legs_made, run.alerts_written) for run in runs] == [
        (0, 0, 0, 0)
    ] * 3


def test_the_same_file_under_another_name_changes_nothing(
    finished: Finished, finished_office: Office
) -> None:
    source_id, path = next(iter(finished_office.arrivals()))
    renamed = path.with_name(f"copy_of_{path.name}")
    copyfile(path, renamed)
    before = _told(finished_office)

    assert finished_office.ingest(source_id, renamed).outcome == "redelivered"
    assert all(run.unchanged for run in finished_office.reconcile_all(finished.world.days[-1]))

    after = _told(finished_office)
    assert len(after.pop("deliveries")) == len(before.pop("deliveries")) + 1
    assert_same(before, after)
    renamed.unlink()


def _everything(office: Office) -> dict[str, list[str]]:
    with psycopg.connect(office.url) as connection:
        return every_row(connection)


def _told(office: Office) -> dict[str, list[str]]:
    with psycopg.connect(office.url) as connection:
        return history(connection)
