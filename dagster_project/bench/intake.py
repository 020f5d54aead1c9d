"""Taking in a day's files of each format, beside their digests and a bare COPY of the same lines."""

import hashlib
from pathlib import Path

from dagster_project.bench.figures import Figure
from dagster_project.bench.measure import median_seconds
from dagster_project.bench.scratch import Scratch, scratch
from dagster_project.database import Database
from ledger_core.sql import copy_in, queries
from reconciliation.formats.canonical import ReadOptions, read_whole
from reconciliation.formats.registry import FORMATS
from reconciliation.intake.delivery import take_in

SQL = queries(Path(__file__).with_name("bench.sql"))
SOURCES = ("bank", "stripe", "mastercard")


def measure_intake(server: Database, lines: int) -> list[Figure]:
    """Seconds to take in a day's files of ``lines`` lines. Both sides are rolled back: each round is the first."""
    found = []
    for source_id in SOURCES:
        with scratch(server, source_id, lines) as place:
            found.append(_figure(place))
    return found


def _figure(place: Scratch) -> Figure:
    source = place.source
    options = ReadOptions(card_tokens=place.project.card_tokens, settings=source.settings)
    told = []
    for path in place.deliveries:
        with path.open("rb") as stream:
            told.append(read_whole(FORMATS[source.format], stream, options).lines)

    def taken(_number: int) -> None:
        with (
            place.project.database.session("tieout_intake") as connection,
            connection.transaction(force_rollback=True),
        ):
            for path in place.deliveries:
                with path.open("rb") as stream:
                    (outcome,) = take_in(
                        connection, source=source, file_name=path.name, stream=stream, options=options
                    )
                if outcome.refusal is not None:
                    raise outcome.refusal

    def copied(_number: int) -> None:
        with (
            place.project.database.session(None) as connection,
            connection.transaction(force_rollback=True),
        ):
            connection.execute(SQL["make_bare_lines"])
            for path, lines in zip(place.deliveries, told, strict=True):
                with path.open("rb") as stream:
                    hashlib.file_digest(stream, "sha256")
                copy_in(connection, lines, "bare_line")

    reference = median_seconds(copied)
    return Figure(
        area="intake",
        name=f"take in {sum(lines.num_rows for lines in told):,} lines of {source.format}",
        unit="s",
        measured=median_seconds(taken),
        reference=reference,
        of="sha256 + bare COPY",
    )
