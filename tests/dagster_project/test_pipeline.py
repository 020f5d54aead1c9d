"""The shared steps at their edge: what a failed run leaves, and a database that came from another server."""

from collections.abc import Callable

import psycopg
import pytest

from dagster_project.pipeline import reconcile_source
from dagster_project.project import Project
from dagster_project.receiving import ingest_landed
from ledger_core.errors import LedgerError
from reconciliation.errors import AlreadyRunning, ReconciliationError
from tests.dagster_project.conftest import MONDAY

RUNS = "SELECT state, counts ->> 'failure', business_date FROM recon.run ORDER BY run_id"


def runs(project: Project) -> list[tuple[str, str, object]]:
    with psycopg.connect(project.database.url) as connection:
        return connection.execute(RUNS).fetchall()


def test_a_failed_run_changes_nothing_and_is_on_record(project: Project, arrive: Callable[..., None]) -> None:
    arrive(MONDAY)
    bank = project.sources["bank"]
    list(ingest_landed(project, bank))
    with psycopg.connect(project.database.url) as breaker:
        breaker.execute("SET ROLE tieout_owner")
        breaker.execute("ALTER TABLE recon.balance_proof ADD CONSTRAINT nothing_is_proved CHECK (false) NOT VALID")
    with pytest.raises(LedgerError, match="nothing_is_proved"):
        reconcile_source(project, bank, MONDAY)
    assert runs(project) == [("failed", "RequestError", MONDAY)]
    with psycopg.connect(project.database.url) as mender:
        assert mender.execute("SELECT count(*) FROM recon.match_group").fetchone() == (0,)
        mender.execute("SET ROLE tieout_owner")
        mender.execute("ALTER TABLE recon.balance_proof DROP CONSTRAINT nothing_is_proved")
    assert reconcile_source(project, bank, MONDAY).groups_made > 0
    assert [state for state, _, _ in runs(project)] == ["failed", "succeeded"]


def test_a_run_that_finds_another_at_work_is_no_failure(project: Project) -> None:
    bank = project.sources["bank"]
    with psycopg.connect(project.database.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('source:bank', 0))")
        with pytest.raises(AlreadyRunning):
            reconcile_source(project, bank, MONDAY, wait=False)
    assert runs(project) == []


def test_a_journal_from_another_servers_dump_is_refused_and_not_misread(
    project: Project, arrive: Callable[..., None]
) -> None:
    arrive(MONDAY)
    with psycopg.connect(project.database.url) as restorer:
        restorer.execute("SET ROLE tieout_owner")
        restorer.execute("ALTER TABLE ledger.journal_line DISABLE TRIGGER USER")
        restorer.execute("UPDATE ledger.journal_line SET xid = '99999999999'")
        restorer.execute("ALTER TABLE ledger.journal_line ENABLE TRIGGER USER")
    with pytest.raises(ReconciliationError, match="restored from another server's dump"):
        reconcile_source(project, project.sources["bank"], MONDAY)
    assert [(state, failure) for state, failure, _ in runs(project)] == [("failed", "ReconciliationError")]
