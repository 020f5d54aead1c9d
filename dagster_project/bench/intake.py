"""Taking in one file of each format, beside its digest and a bare COPY of the same lines."""

import hashlib
from pathlib import Path

from dagster_project.bench.figures import Figure
from dagster_project.bench.measure import median_seconds
from dagster_project.bench.scratch import Scratch, scratch
from dagster_project.database import Database
from ledger_core.sql import copy_in, queries
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.registry import FORMATS
from reconciliation.intake.delivery import take_in

SQL = queries(Path(__file__).with_name("bench.sql"))
SOURCES = ("bank", "stripe", "mastercard")


def measure_intake(server: Database, lines: int) -> list[Figure]:
    """Seconds to take in a day's file of ``lines`` lines. Both sides are rolled back: each round is the first."""
    found = []
    for source_id in SOURCES:
        with scratch(server, source_id, lines) as place:
            found.append(_figure(place))
    return found


def _figure(place: Scratch) -> Figure:
    source, path = place.source, place.delivery
    options = ReadOptions(card_tokens=place.project.card_tokens, settings=source.settings)
    with path.open("rb") as stream:
        told = FORMATS[source.format].read(stream, options).lines

    def taken(_number: int) -> None:
        with (
            place.project.database.session("tieout_intake") as connection,
            path.open("rb") as stream,
            connection.transaction(force_rollback=True),
        ):
            outcome = take_in(connection, source=source, file_name=path.name, stream=stream, options=options)
            if outcome.refusal is not None:
                raise outcome.refusal

    def copied(_number: int) -> None:
        with (
            place.project.database.session(None) as connection,
            path.open("rb") as stream,
            connection.transaction(force_rollback=True),
        ):
            hashlib.file_digest(stream, "sha256")
            connection.execute(SQL["make_bare_lines"])
            copy_in(connection, told, "bare_line")

    reference = median_seconds(copied)
    return Figure(
        area="intake",
        name=f"take in {told.num_rows:,} lines of {source.format}",
        unit="s",
        measured=median_seconds(taken),
        reference=reference,
        of="sha256 + bare COPY",
    )
