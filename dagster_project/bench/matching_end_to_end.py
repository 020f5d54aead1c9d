"""Reconciling a day from database to database, beside the least that could do: COPY out of both sides, a join of two
columns, COPY in of the pairs.

The day is an invented one of a bank, taken in by the commands people use; only what follows is measured, in wall
seconds, for the server works too. `reconcile` does more than join: it classifies what stays open and proves the day.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa

from dagster_project.bench.figures import Figure, at_most_times
from dagster_project.bench.measure import run_command, timed
from dagster_project.bench.scratch import DAY, Scratch, scratch
from dagster_project.database import Database
from dagster_project.pipeline import reconcile_source
from ledger_core.sql import copy_in, copy_out, queries
from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA

SQL: Final = queries(Path(__file__).with_name("bench.sql"))
SOURCE: Final = "bank"
TIMES: Final = 1.5
LINES_MAX: Final = 1_000_000  # a larger day says nothing new and takes an hour to invent

_EXTERNAL: Final = pa.schema([field for field in EXTERNAL_ITEM_SCHEMA if field.name != "business_date"])
_LEDGER: Final = pa.schema([field for field in LEDGER_ITEM_SCHEMA if field.name != "business_date"])


def measure_end_to_end(server: Database, lines: int) -> list[Figure]:
    """Seconds of reconciling one day of ``lines``, from open lines in the database to groups in the database."""
    lines = min(lines, LINES_MAX)
    with scratch(server, SOURCE, lines) as place:
        run_command(
            ["ledger", "post", str(place.entries)], environment=place.environment, folder=place.folder
        )
        files = map(str, place.deliveries)
        run_command(
            ["ingest", *files, "--source", SOURCE], environment=place.environment, folder=place.folder
        )
        bare = timed(lambda: _bare(place))
        ours = timed(lambda: reconcile_source(place.project, place.source, DAY))
    figure = at_most_times(
        area="matching",
        name=f"end to end, a day of {lines:,}: wall",
        unit="s",
        measured=ours.wall_seconds,
        reference=bare.wall_seconds,
        of="COPY out, two-column join, COPY in",
        times=TIMES,
    )
    return [
        figure,
        replace(figure, name=f"end to end, a day of {lines:,}: our processor", **_cpu(ours, bare)),
    ]


def _cpu(ours: Any, bare: Any) -> dict[str, Any]:
    """The server's part is in the wall time alone."""
    return {
        "measured": ours.cpu_seconds,
        "reference": bare.cpu_seconds,
        "kept": None,
        "of": "the same, our process",
    }


def _bare(place: Scratch) -> None:
    accounts = [account.ledger for account in place.source.accounts]
    with place.project.database.session("tieout_matcher") as connection:
        external = copy_out(connection, SQL["lines_out"], {"source": place.source.id}, _EXTERNAL)
        ledger = copy_out(connection, SQL["journal_out"], {"accounts": accounts}, _LEDGER)
        pairs = external.select(["ref_end_to_end", "line_id"]).join(
            ledger.select(["ref_end_to_end", "entry_id"]), "ref_end_to_end", join_type="inner"
        )
        _write(connection, pairs.select(["line_id", "entry_id"]))


def _write(connection: psycopg.Connection[Any], pairs: pa.Table) -> None:
    connection.execute(SQL["make_bare_pairs"])
    if not copy_in(connection, pairs, "pg_temp.bare_pair"):
        raise RuntimeError("bench: expected pairs, found none")
