"""The assets: a group for each source, one for the ledger. Thin: call the pipeline on the project, tell the result."""

from dagster_project.assets.days import business_days, day_of
from dagster_project.assets.ledger import ledger_assets
from dagster_project.assets.source import source_assets

__all__ = ["business_days", "day_of", "ledger_assets", "source_assets"]
