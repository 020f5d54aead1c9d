"""What identifies a movement at its source, where sources.yaml names other columns than the source's own id. Pure."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from reconciliation.errors import SourcesError
from reconciliation.formats.canonical import LINE_SCHEMA

DEFAULT_KEY: Final = ("native_id",)


def with_natural_keys(lines: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The lines (``LINE_SCHEMA``) with ``native_id`` made of the named columns, joined by '/'; null where one is null.

    Raises:
        SourcesError: a column does not exist.
    """
    if tuple(columns) == DEFAULT_KEY:
        return lines
    unknown = [name for name in columns if name not in LINE_SCHEMA.names]
    if unknown or not columns:
        raise SourcesError(
            (
                f"natural_key: expected columns of a line ({', '.join(LINE_SCHEMA.names)}), found {', '.join(unknown)}",
            )
        )
    parts = [lines.column(name).cast(pa.string()) for name in columns]
    joined = pc.binary_join_element_wise(*parts, "/")  # type: ignore[call-overload]  # the stubs lack the separator
    place = lines.schema.get_field_index("native_id")
    return lines.set_column(place, lines.schema.field("native_id"), joined)
