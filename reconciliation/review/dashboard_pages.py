"""The first page: what is open, what it is worth, what is late, and how far each source's days are.

Law: every number on it is a link to the list that makes it. The filter of the address narrows sources and assets.
"""

from typing import Final

from starlette.responses import Response

from reconciliation.review.charts import Column, bar, columns, sparkline
from reconciliation.review.dashboard import Figure, read_dashboard
from reconciliation.review.days import GROUPS
from reconciliation.review.filters import Filter
from reconciliation.review.web import Page, Visit

ASSET_COLUMNS_MAX: Final = 4
BREAKDOWNS: Final = (
    ("severity", "Severity"),
    ("class", "Class"),
    ("kind", "Kind"),
    ("age", "Age in business days"),
    ("status", "Status"),
    ("owner", "Owner"),
)
"""Two stacks of three, side by side."""


def dashboard(visit: Visit) -> Response:
    """The figures now, for the sources and assets of the address."""
    asked = Filter.from_query(visit.request.query_params)
    sources = visit.config.sources.sources
    read = read_dashboard(visit.connection, sources, asked, today=visit.today)
    assets = sorted({account.asset for source in sources for account in source.accounts} | set(read.assets))
    return visit.page(
        "dashboard.html",
        board=read,
        tiles=[
            ("Open", read.everything, ""),
            ("Value at risk", read.at_risk, "genuine, high or critical"),
            ("Late", read.late, "past the day it was due"),
            ("Unassigned", read.unassigned, "with nobody"),
            ("Waiting for approval", read.waiting, "proposed by somebody"),
            ("Missing files", read.missing, "past their deadline"),
        ],
        breakdowns=[(code, title, read.breakdowns[code]) for code, title in BREAKDOWNS],
        columns=read.assets if len(read.assets) <= ASSET_COLUMNS_MAX else (),
        source_ids=[(source.id, source.id) for source in sources],
        assets=[(asset, asset) for asset in assets],
        groups=GROUPS,
        ages=columns(
            [
                Column(label=line.words, value=line.figure.item_count, words=f"{line.figure.item_count:,}")
                for line in read.breakdowns["age"]
            ],
            title="Open exceptions by age in business days",
        ),
        bar=bar,
        trend=lambda name, values: sparkline(
            values, title=f"Matched without people at {name}", unit="%", tell=percent
        ),
        percent=percent,
        path_of=path_of,
    )


def path_of(figure: Figure, asset: str) -> str:
    """The list of a figure's exceptions in one asset, whose sum it shows."""
    return figure.filter.but(asset=(asset,)).path()


def percent(permille: int) -> str:
    """A share in permille as percent with one decimal: 985 is ``98.5``."""
    whole, tenth = divmod(permille, 10)
    return f"{whole}.{tenth}"


PAGES: Final = (Page(path="/", handler=dashboard, deed="look", steady=True),)
