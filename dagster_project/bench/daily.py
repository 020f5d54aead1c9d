"""A source's whole day by the commands people use, beside the limits the product promises for 100,000 lines."""

from dagster_project.bench.figures import Figure, within
from dagster_project.bench.measure import run_command
from dagster_project.bench.scratch import DAY, scratch
from dagster_project.database import Database

SOURCES = ("bank", "stripe", "mastercard")
PROMISED_LINES = 100_000
LIMIT_SECONDS = 60.0
LIMIT_MEGABYTES = 1500.0


def measure_daily(server: Database, lines: int) -> list[Figure]:
    """Seconds of `ingest` plus `reconcile`, and the larger of their peaks of memory, per source.

    The limits hold up to 100,000 lines; beyond, they grow with the lines.
    """
    scale = max(1.0, lines / PROMISED_LINES)
    found = []
    for source_id in SOURCES:
        with scratch(server, source_id, lines) as place:

            def run(*words: str) -> tuple[float, float]:
                cost = run_command(words, environment=place.environment, folder=place.folder)
                return cost.wall_seconds, cost.peak_megabytes

            run("ledger", "post", str(place.entries))
            taken = run("ingest", *map(str, place.deliveries), "--source", source_id)
            matched = run("reconcile", "--as-of", DAY.isoformat(), "--source", source_id)
        name = f"{source_id}, {lines:,} lines"
        found += [
            within(
                area="daily",
                name=f"{name}: ingest + reconcile",
                unit="s",
                measured=taken[0] + matched[0],
                limit=LIMIT_SECONDS * scale,
            ),
            within(
                area="daily",
                name=f"{name}: peak memory",
                unit="MB",
                measured=max(taken[1], matched[1]),
                limit=LIMIT_MEGABYTES * scale,
            ),
        ]
    return found
