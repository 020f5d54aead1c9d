"""Taking in one large file of each format, beside a bare loop over it and a bare COPY of its rows.

Law: each file goes, once and for good, into a database that was migrated for it alone; loop, COPY and take-in see the
same file in the same run. Memory is that of a whole `tieout ingest` in a process of its own. The formats that banks
deliver by the million have limits; the others are told at a tenth of the lines, without.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dagster_project.bench.figures import Figure, at_most_times, within
from dagster_project.bench.intake_bare import Bare, measure_bare
from dagster_project.bench.intake_sources import AGAIN, source_id, sources_text
from dagster_project.bench.measure import Cost, run_command
from dagster_project.bench.scratch import DAY, IntakeScratch, intake_scratch
from dagster_project.database import Database
from dagster_project.project import read_options
from fixtures.large_files import FILES
from reconciliation.formats.registry import FORMATS
from reconciliation.intake.delivery import take_in

LIMIT_TIMES: Final = MappingProxyType({"camt.053": 2.0, "mt940": 2.0, "mapped.csv": 1.5})
"""How many times the bare loop and the bare COPY together a format may take."""

LIMIT_MEGABYTES: Final = 200.0
PAIR_TIMES: Final = 1.3
PAIR_FORMAT: Final = "camt.053"
PAIR_LINES_MAX: Final = 100_000
OTHER_LINES_MAX: Final = 50_000
WARM_LINES: Final = 50
AREA: Final = "intake"


def measure_intake(server: Database, lines: int) -> list[Figure]:
    """Seconds, rows per second and memory of each format; and what two processes at once take."""
    found: list[Figure] = []
    for format_name in FILES:
        limited = format_name in LIMIT_TIMES
        wanted = lines if limited else max(2, min(lines // 10, OTHER_LINES_MAX))
        with intake_scratch(server, sources_text()) as place:
            found += _figures(place, format_name, wanted)
    found.append(_pair(server, min(lines, PAIR_LINES_MAX)))
    return found


def _figures(place: IntakeScratch, format_name: str, lines: int) -> Iterator[Figure]:
    large = place.folder / "large.file"
    _write(large, format_name, lines, DAY)
    bare, seconds = _measured(place, format_name, large)
    of = "bare loop + bare COPY"
    name = f"{format_name}, {bare.rows:,} lines"
    yield at_most_times(
        area=AREA,
        name=f"{name}: take in",
        unit="s",
        measured=seconds,
        reference=bare.seconds,
        of=of,
        times=LIMIT_TIMES.get(format_name),
    )
    yield Figure(
        area=AREA,
        name=f"{name}: rows in the database",
        unit="/s",
        measured=bare.rows / seconds,
        reference=bare.rows / bare.seconds,
        of=of,
    )
    yield Figure(
        area=AREA,
        name=f"{name}: our reader alone",
        unit="s",
        measured=bare.reader_seconds,
        reference=bare.parse_seconds,
        of="bare loop",
    )
    again = source_id(format_name) + AGAIN
    whole = _ingest(place, large, again)
    yield within(
        area=AREA,
        name=f"{name}: peak memory of ingest",
        unit="MB",
        measured=whole.peak_megabytes,
        limit=LIMIT_MEGABYTES,
    )
    if format_name not in LIMIT_TIMES:
        return
    small = place.folder / "small.file"
    _write(small, format_name, max(2, lines // 10), DAY + timedelta(days=1))
    tenth = _ingest(place, small, again)
    yield Figure(
        area=AREA,
        name=f"{name}: peak memory again",
        unit="MB",
        measured=whole.peak_megabytes,
        reference=tenth.peak_megabytes,
        of="a tenth of the lines",
    )


def _write(path: Path, format_name: str, lines: int, day: date) -> None:
    with path.open("wb") as stream:
        FILES[format_name](stream, lines, day)


def _measured(place: IntakeScratch, format_name: str, path: Path) -> tuple[Bare, float]:
    """What the least would cost, and the seconds of taking in."""
    source = place.project.sources[source_id(format_name)]
    reader, options = FORMATS[format_name], read_options(place.project, source)
    warm = place.folder / "warm.file"  # what is imported and planned the first time is not the file's cost
    _write(warm, format_name, WARM_LINES, DAY)
    with warm.open("rb") as stream:
        reader.read(stream, options, lambda _batch: None)
    bare = measure_bare(place.project.database, path, format_name=format_name, reader=reader, options=options)
    started = time.perf_counter()
    with place.project.database.session("tieout_intake") as connection, path.open("rb") as stream:
        (outcome,) = take_in(connection, source=source, file_name=path.name, stream=stream, options=options)
        if outcome.refusal is not None:
            raise outcome.refusal
    seconds = time.perf_counter() - started
    if outcome.line_count != bare.rows:
        raise RuntimeError(f"bench: expected {bare.rows} lines of {format_name}, found {outcome.line_count}")
    return bare, seconds


def _ingest(place: IntakeScratch, path: Path, own_id: str) -> Cost:
    folder = place.folder / own_id
    folder.mkdir(exist_ok=True)
    return run_command(
        ("ingest", str(path), "--source", own_id), environment=place.environment, folder=folder
    )


def _pair(server: Database, lines: int) -> Figure:
    """Two processes with a file each, of two sources, beside one of them alone; each time in a fresh database."""
    first = source_id(PAIR_FORMAT)
    walls = []
    for sources in ((first,), (first, first + AGAIN)):
        with intake_scratch(server, sources_text()) as place, ThreadPoolExecutor(len(sources)) as pool:
            path = place.folder / "pair.file"
            _write(path, PAIR_FORMAT, lines, DAY)
            started = time.perf_counter()
            for done in [pool.submit(_ingest, place, path, own_id) for own_id in sources]:
                done.result()
            walls.append(time.perf_counter() - started)
    alone, both = walls
    return at_most_times(
        area=AREA,
        name=f"{PAIR_FORMAT}, 2 x {lines:,} lines: ingest of two sources at once",
        unit="s",
        measured=both,
        reference=alone,
        of="ingest of one",
        times=PAIR_TIMES,
    )
