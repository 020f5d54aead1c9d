"""A delivery: what a file is to what was there before, taken in whole or refused whole."""

from reconciliation.intake.deliveries import list_deliveries
from reconciliation.intake.delivery import DeliveryOutcome, take_in
from reconciliation.intake.source_versions import register_sources

__all__ = ["DeliveryOutcome", "list_deliveries", "register_sources", "take_in"]
