"""Runs the guard before Dagster's UI on this machine's loopback address; sessions are looked up in the database.

python -m dagster_project.web.serve_guard --port 3000 --socket dagster/ui.sock
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import psycopg
import uvicorn
from psycopg_pool import ConnectionPool, PoolTimeout

from dagster_project.database import reach
from dagster_project.settings import read_settings
from dagster_project.web.guard import Guard, GuardConfig, SessionsUnreachable
from dagster_project.web.review_settings import DAGSTER_PORT, LOOPBACK, review_settings
from ledger_core.errors import LedgerError
from reconciliation.people.sessions import Visitor, enter, touch

CONNECTIONS_MAX: Final = 4
WAIT_SECONDS: Final = 10.0
CLIENT_FRAME_BYTES_MAX: Final = 1_000_000  # a question of the UI has some thousand
CLOSING_SECONDS: Final = 2


def visitors(pool: ConnectionPool[Any]) -> Callable[[str, bool], Visitor | None]:
    """Looks up live sessions; asked to, it keeps one open by moving on the moment when it is idle for too long."""

    def visitor(token: str, keep_open: bool) -> Visitor | None:
        try:
            with pool.connection(timeout=WAIT_SECONDS) as connection, connection.transaction():
                connection.execute("SET LOCAL ROLE tieout_auditor")
                connection.execute("SET LOCAL statement_timeout = '5s'")
                found = enter(connection, token)
                if found is not None and keep_open:
                    touch(connection)
                return found
        except (psycopg.OperationalError, PoolTimeout, LedgerError) as error:
            raise SessionsUnreachable(type(error).__name__) from None

    return visitor


def server(guard: Guard, port: int) -> uvicorn.Server:
    """What serves the guard; it takes nobody's word about where a request came from."""
    return uvicorn.Server(
        uvicorn.Config(
            guard,
            host=LOOPBACK,
            port=port,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            lifespan="on",
            ws="websockets-sansio",
            ws_max_size=CLIENT_FRAME_BYTES_MAX,
            timeout_graceful_shutdown=CLOSING_SECONDS,  # an open websocket would hold it up
        )
    )


@click.command()
@click.option(
    "--port", default=DAGSTER_PORT, show_default=True, type=click.IntRange(1, 65_535), help="Where to listen."
)
@click.option(
    "--socket",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    help="Where Dagster's webserver listens.",
)
def main(port: int, path: Path) -> None:
    """Serve the guard until told to stop."""
    settings = read_settings(os.environ, Path.cwd())
    told = review_settings(settings, dagster_port=port)
    with ConnectionPool(
        reach(settings).url,
        kwargs={"autocommit": True, "application_name": "tieout guard"},
        min_size=1,
        max_size=CONNECTIONS_MAX,
        check=ConnectionPool.check_connection,
        open=False,
    ) as pool:
        config = GuardConfig(
            base_url=told.dagster_url, review_url=told.base_url, socket=path, visitor=visitors(pool)
        )
        server(Guard(config), port).run()


if __name__ == "__main__":
    main()
