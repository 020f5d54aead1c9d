"""What the ledger promises, and posting in bulk beside a bare COPY of the same rows into a table with a key."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dagster_project.bench import ledger_load
from dagster_project.bench.figures import Figure
from dagster_project.bench.ledger_posting import measure_posting
from dagster_project.bench.ledger_reading import measure_reading
from dagster_project.bench.measure import median_seconds
from dagster_project.bench.scratch import ledger_scratch, scratch
from dagster_project.database import Database, connect
from ledger_core.input_file import read_table
from ledger_core.posting import ENTRY_COLUMNS, post_lines
from ledger_core.sql import copy_in, queries

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values
SQL = queries(Path(__file__).with_name("bench.sql"))


def measure_ledger(server: Database, lines: int) -> list[Figure]:
    """The promises about posting, balances and verification, and the bulk load of ``lines`` bank movements."""
    with ledger_scratch(server) as place:
        with place.session("tieout_poster") as connection:
            for name in ("define_asset", "open_accounts", "fund_wallets"):
                connection.execute(ledger_load.SQL[name])
        with connect(place.url) as connection:
            connection.execute(ledger_load.SQL["make_bare_commits"])
        figures = measure_posting(place, lines) + measure_reading(place, lines)
    return [*figures, _bulk(server, lines)]


def _bulk(server: Database, lines: int) -> Figure:
    """Seconds to post and commit the entries of ``lines`` bank movements; every round posts them under new keys."""
    with scratch(server, "bank", lines) as place:
        entries = read_table(place.entries, ENTRY_COLUMNS)

        def posted(number: int) -> None:
            with place.project.database.session("tieout_poster") as connection:
                post_lines(connection, _under_new_keys(entries, number))

        def copied(number: int) -> None:
            renamed = _under_new_keys(entries, number)
            ordinal = pa.array(range(renamed.num_rows), pa.int64())
            with place.project.database.session(None) as connection:
                copy_in(connection, renamed.append_column("ordinal", ordinal), "bare_entry")

        with place.project.database.session(None) as connection:
            connection.execute(SQL["make_bare_entries"])
        reference = median_seconds(copied)
        return Figure(
            area="ledger",
            name=f"post {entries.num_rows:,} journal lines",
            unit="s",
            measured=median_seconds(posted),
            reference=reference,
            of="bare COPY, two-column key",
        )


def _under_new_keys(entries: pa.Table, number: int) -> pa.Table:
    place = entries.schema.get_field_index("entry_key")
    renamed = kernel.binary_join_element_wise(f"round-{number}-", entries["entry_key"], "")
    return entries.set_column(place, "entry_key", renamed)
