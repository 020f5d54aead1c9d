"""Posting entries in bulk, beside a bare COPY of the same rows into a table with a key of two columns."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dagster_project.bench.figures import Figure
from dagster_project.bench.measure import median_seconds
from dagster_project.bench.scratch import scratch
from dagster_project.database import Database
from ledger_core.input_file import read_table
from ledger_core.posting import ENTRY_COLUMNS, post
from ledger_core.sql import copy_in, queries

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values
SQL = queries(Path(__file__).with_name("bench.sql"))


def measure_ledger(server: Database, lines: int) -> list[Figure]:
    """Seconds to post and commit the entries of ``lines`` bank movements; every round posts them under new keys."""
    with scratch(server, "bank", lines) as place:
        entries = read_table(place.entries, ENTRY_COLUMNS)

        def posted(number: int) -> None:
            with place.project.database.session("tieout_poster") as connection:
                post(connection, _under_new_keys(entries, number))

        def copied(number: int) -> None:
            renamed = _under_new_keys(entries, number)
            ordinal = pa.array(range(renamed.num_rows), pa.int64())
            with place.project.database.session(None) as connection:
                copy_in(connection, renamed.append_column("ordinal", ordinal), "bare_entry")

        with place.project.database.session(None) as connection:
            connection.execute(SQL["make_bare_entries"])
        reference = median_seconds(copied)
        return [
            Figure(
                area="ledger",
                name=f"post {entries.num_rows:,} journal lines",
                unit="s",
                measured=median_seconds(posted),
                reference=reference,
                of="bare COPY, two-column key",
            )
        ]


def _under_new_keys(entries: pa.Table, number: int) -> pa.Table:
    place = entries.schema.get_field_index("entry_key")
    renamed = kernel.binary_join_element_wise(f"round-{number}-", entries["entry_key"], "")
    return entries.set_column(place, "entry_key", renamed)
