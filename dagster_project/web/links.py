"""Where people reach the review app, and pages of the review app for Dagster's metadata. Pure.

Law: an address is made of names that were validated and is quoted all the same. The way back, from the app to an asset
and its day, is `reconciliation.review.dagster_links`.

    statement_address("http://127.0.0.1:8600", "bank", date(2026, 11, 9))
        http://127.0.0.1:8600/statements/bank/2026-11-09
"""

from datetime import date
from urllib.parse import quote, urlencode

from dagster_project.settings import Settings
from dagster_project.web.review_settings import LOOPBACK, REVIEW_PORT


def review_address(settings: Settings) -> str:
    """Where people reach the review app: what the settings say (`tieout up` tells its processes), else this machine."""
    return (settings.review_url or f"http://{LOOPBACK}:{REVIEW_PORT}").rstrip("/")


def list_address(review_url: str, source_id: str) -> str:
    """The app's list of what is open for a source."""
    return f"{review_url}/exceptions?{urlencode({'source': source_id})}"


def statement_address(review_url: str, source_id: str, day: date) -> str:
    """The app's statement of a source's day."""
    return f"{review_url}/statements/{quote(source_id, safe='')}/{day.isoformat()}"
