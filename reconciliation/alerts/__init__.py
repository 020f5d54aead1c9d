"""Alerts: an outbox row in the transaction of its cause, delivered at least once. Counts and sums, no personal data."""

from reconciliation.alerts.causes import Alert, alert_of_refusal, alerts_of_exceptions, alerts_of_lateness
from reconciliation.alerts.delivery import deliver_waiting
from reconciliation.alerts.outbox import write_alerts

__all__ = [
    "Alert",
    "alert_of_refusal",
    "alerts_of_exceptions",
    "alerts_of_lateness",
    "deliver_waiting",
    "write_alerts",
]
