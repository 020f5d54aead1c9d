"""From the review app to Dagster's UI: a source's asset, with a day of it chosen. Pure.

Law: an address is made of names that were validated and is quoted all the same. The day is always named: the asset's
first page tells of the latest run of any day. Does not know whether Dagster runs.

    asset_address("http://127.0.0.1:3000", "bank", "exceptions", date(2026, 11, 9))
        http://127.0.0.1:3000/assets/bank/bank_exceptions?view=partitions&partition=2026-11-09
"""

from datetime import date
from typing import Final, Literal
from urllib.parse import quote, urlencode

Asset = Literal["delivery", "lines", "matches", "exceptions", "statement"]
FIRST_PAGE: Final = "exceptions"


def asset_address(dagster_url: str, source_id: str, asset: Asset, day: date) -> str:
    """The page of a source's asset in Dagster's UI, at one day."""
    name = quote(source_id, safe="")
    query = urlencode({"view": "partitions", "partition": day.isoformat()})
    return f"{dagster_url.rstrip('/')}/assets/{name}/{name}_{asset}?{query}"
