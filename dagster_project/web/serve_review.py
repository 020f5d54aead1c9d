"""Runs the analysts' app on the loopback address: the one place where it gets a clock, chance and a database.

Laws: a configuration that is weak or contradicts itself does not start. Nobody's word is taken about where a request
came from. What two people approved is carried out after the answer is sent; where that fails, the daily run does it.

python -m dagster_project.web.serve_review --port 8600
"""

import contextlib
import importlib.metadata
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import click
import psycopg
import uvicorn
from psycopg_pool import ConnectionPool

from dagster_project.errors import ShellError
from dagster_project.project import Project, open_project
from dagster_project.settings import read_settings
from dagster_project.web.oidc import OpenIdConnect
from dagster_project.web.review_settings import LOOPBACK, REVIEW_PORT, ReviewSettings, review_settings
from ledger_core.errors import LedgerError
from reconciliation.errors import ReconciliationError
from reconciliation.people.passwords import SALT_BYTES
from reconciliation.review.app import create_app
from reconciliation.review.web import ReviewConfig
from reconciliation.sources import Source

LOGGER: Final = logging.getLogger(__name__)
CONNECTIONS_MAX: Final = 10
CLOSING_SECONDS: Final = 5


def new_token() -> str:
    """A token that nobody guesses: 256 bits."""
    return secrets.token_urlsafe(32)


def now() -> datetime:
    """The clock of the app."""
    return datetime.now(UTC)


@contextlib.contextmanager
def review_config(project: Project, told: ReviewSettings) -> Iterator[ReviewConfig]:
    """What the app needs, with its connections open as long as the block lasts."""
    with contextlib.ExitStack() as stack:
        pool: ConnectionPool[Any] = stack.enter_context(
            ConnectionPool(
                project.database.url,
                kwargs={"autocommit": True, "application_name": "tieout review"},
                min_size=1,
                max_size=CONNECTIONS_MAX,
                check=ConnectionPool.check_connection,
                open=False,
            )
        )
        oidc = None
        if told.oidc is not None:
            oidc = OpenIdConnect(told.oidc, base_url=told.base_url, now=now, token=new_token)
            stack.callback(oidc.close)
        yield ReviewConfig(
            pool=pool,
            sources=project.sources,
            now=now,
            token=new_token,
            salt=lambda: secrets.token_bytes(SALT_BYTES),
            base_url=told.base_url,
            dagster_url=told.dagster_url,
            identity=told.identity,
            proxy_header=told.proxy_header,
            proxy_secret=told.proxy_secret,
            oidc=oidc,
            after_approval=OneAtATime(lambda source_id: carry_out_approved(project, source_id)),
            try_rules=lambda tried, first, last: tried_rules(project, tried, first, last),
            code_version=importlib.metadata.version("tieout"),
        )


class OneAtATime:
    """Calls for one thing while it is being done are one more time afterwards, however many they are: a hundred
    approvals in a row reconcile a source twice.
    """

    def __init__(self, do: Callable[[str], None]) -> None:
        self._do = do
        self._lock = threading.Lock()
        self._again: dict[str, bool] = {}

    def __call__(self, name: str) -> None:
        """Do it, or leave it to whoever is at it."""
        with self._lock:
            if name in self._again:
                self._again[name] = True
                return
            self._again[name] = False
        while True:
            try:
                self._do(name)
            finally:
                with self._lock:
                    more = self._again.pop(name)
                    if more:
                        self._again[name] = False
            if not more:
                return


def carry_out_approved(project: Project, source_id: str) -> None:
    """Post what was approved for a source and reconcile it with what people decided.

    What fails is written down and left to the next run.
    """
    from dagster_project.carrying_out import carry_out  # noqa: PLC0415 - the engine takes 90 MB

    try:
        carry_out(project, source_id=source_id)
    except (ShellError, LedgerError, ReconciliationError, psycopg.Error) as error:
        said = (
            type(error).__name__ if isinstance(error, psycopg.Error) else error
        )  # a driver's words may quote a row
        LOGGER.warning("carrying out what was approved for %s waits for the next run: %s", source_id, said)


def tried_rules(project: Project, tried: Source, first: date, last: date) -> Any:
    """What other rules of a source would do to past days; what the trial writes is rolled back."""
    from reconciliation.daily.backtest import backtest  # noqa: PLC0415 - the engine takes 90 MB

    session = project.database.session("tieout_matcher")
    with session as connection, connection.transaction(force_rollback=True):
        return backtest(connection, tried, project.sources[tried.id], first=first, last=last)


def server(config: ReviewConfig, port: int) -> uvicorn.Server:
    """What serves the app."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            host=LOOPBACK,
            port=port,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=CLOSING_SECONDS,
        )
    )


@click.command()
@click.option(
    "--port", default=REVIEW_PORT, show_default=True, type=click.IntRange(1, 65_535), help="Where to listen."
)
def main(port: int) -> None:
    """Serve the analysts' app until told to stop."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        settings = read_settings(os.environ, Path.cwd())
        told = review_settings(settings, review_port=port)
        with review_config(open_project(settings), told) as config:
            server(config, port).run()
    except (ShellError, ReconciliationError) as refusal:
        click.echo(f"tieout review: {refusal}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
