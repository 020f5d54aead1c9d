"""Work that dies before a chosen step: a connection that counts its exchanges with the server, and a program.

As a program it kills itself, without a word to the server: `python -m tests.reconciliation.daily.doomed URL WORK STEP`.
"""

import os
import signal
import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

import psycopg

from reconciliation.daily.reconcile import reconcile
from reconciliation.intake.delivery import take_in
from tests.reconciliation.daily.desk import MONDAY, OPTIONS, SOURCES, STARTED_AT, movement, statement_bytes


class CountingConnection(psycopg.Connection[Any]):
    """Calls ``dies`` before the exchange number ``dies_at`` with the server."""

    exchanges = 0
    dies_at = 0
    dies: Callable[[psycopg.Connection[Any]], None] = staticmethod(lambda _: None)

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Every exchange passes here."""
        self.exchanges += 1
        if self.exchanges == self.dies_at:
            self.dies(self)
        return super().wait(*args, **kwargs)


def run(connection: psycopg.Connection[Any]) -> None:
    """Reconcile the bank up to Monday, as the shell would."""
    with connection.transaction():
        connection.execute("SET LOCAL ROLE tieout_matcher")
        reconcile(
            connection, SOURCES["bank"], as_of=MONDAY, actor="tests", code_version="1", started_at=STARTED_AT
        )


def intake(connection: psycopg.Connection[Any]) -> None:
    """Take in Monday's statement in another version, as the shell would."""
    content = statement_bytes(MONDAY, [movement("INV-1", 500), movement("INV-3", 40)], version="b")
    with connection.transaction():
        connection.execute("SET LOCAL ROLE tieout_intake")
        take_in(
            connection,
            source=SOURCES["bank"],
            file_name="camt053_b.xml",
            stream=BytesIO(content),
            options=OPTIONS,
        )


WORKS: dict[str, Callable[[psycopg.Connection[Any]], None]] = {"run": run, "intake": intake}


def at_work(url: str, work: str, dies_at: int, dies: Callable[[psycopg.Connection[Any]], None]) -> int:
    """Do a work that dies at a step; how many exchanges it had. Raises what the driver raises."""
    connection = CountingConnection.connect(url, autocommit=True)
    try:
        connection.exchanges, connection.dies_at = 0, dies_at
        connection.dies = dies  # type: ignore[method-assign]
        WORKS[work](connection)
        return connection.exchanges
    finally:
        connection.dies_at = 0
        connection.close()


if __name__ == "__main__":
    at_work(sys.argv[1], sys.argv[2], int(sys.argv[3]), lambda _: os.kill(os.getpid(), signal.SIGKILL))
