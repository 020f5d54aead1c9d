"""The two frames that matching and classification work on: open external lines and open ledger lines of one source.

Shapes only. ``business_date`` is the day on which the item enters the fold over days: the booking date of an external
line; for a ledger line its effective time in the source's zone, after cut-off moved on, rolled to a business day.
"""

from typing import Any, Final

import pyarrow as pa

from reconciliation.vocabulary import REFERENCE_COLUMNS

_REFERENCES: Final[list[Any]] = [pa.field(name, pa.string()) for name in (*REFERENCE_COLUMNS, "batch_ref")]

_EXTERNAL_FIELDS: Final[list[Any]] = [
    pa.field("line_id", pa.int64(), nullable=False),
    pa.field("line_key", pa.string(), nullable=False),  # stable key within the source
    pa.field("version", pa.int32(), nullable=False),  # above 1: a corrected file changed the line
    pa.field("business_date", pa.date32(), nullable=False),
    pa.field("account", pa.string(), nullable=False),  # the ledger account it is reconciled with
    pa.field("amount_minor", pa.int64(), nullable=False),
    pa.field("asset", pa.string(), nullable=False),
    pa.field("fee_minor", pa.int64(), nullable=False),
    pa.field("original_amount_minor", pa.int64()),
    pa.field("original_asset", pa.string()),
    pa.field("fx_rate", pa.string()),
    *_REFERENCES,
    pa.field("counterparty", pa.string()),
    pa.field("kind", pa.string(), nullable=False),
    pa.field("counterparty_account", pa.string()),
    pa.field("text", pa.string()),
    pa.field("fx_numerator", pa.int64()),
    pa.field("fx_denominator", pa.int64()),
]
EXTERNAL_ITEM_SCHEMA: Final = pa.schema(_EXTERNAL_FIELDS)

_LEDGER_FIELDS: Final[list[Any]] = [
    pa.field("entry_id", pa.int64(), nullable=False),
    pa.field("line_no", pa.int32(), nullable=False),
    pa.field("entry_key", pa.string(), nullable=False),
    pa.field("business_date", pa.date32(), nullable=False),
    pa.field("account", pa.string(), nullable=False),
    pa.field("amount_minor", pa.int64(), nullable=False),
    pa.field("asset", pa.string(), nullable=False),
    pa.field("kind", pa.string()),
    *_REFERENCES,
    pa.field("counterparty", pa.string()),
    pa.field("fx_rate", pa.string()),
    pa.field("fx_asset", pa.string()),
    pa.field("fx_amount_minor", pa.int64()),
    pa.field("effective_at", pa.timestamp("us", tz="UTC")),
    pa.field("description", pa.string()),
    pa.field("corrects_entry_key", pa.string()),  # the entry that this one reverses or corrects
]
LEDGER_ITEM_SCHEMA: Final = pa.schema(_LEDGER_FIELDS)
