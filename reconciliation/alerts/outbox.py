"""Writes alerts in the transaction of their cause: both are there, or neither. Sends nothing."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import psycopg

from ledger_core.sql import queries
from reconciliation.alerts.causes import Alert

SQL: Final = queries(Path(__file__).with_name("alerts.sql"))


def write_alerts(connection: psycopg.Connection[Any], alerts: Iterable[Alert]) -> int:
    """Put alerts into the outbox; how many are new. A cause told before is told again only when it has grown."""
    rows = [
        {
            "cause_key": alert.cause_key,
            "source_id": alert.source_id,
            "business_date": alert.business_date.isoformat() if alert.business_date else None,
            "severity": alert.severity,
            "title": alert.title,
            "body": alert.body,
            "item_count": alert.item_count,
            "sums": dict(alert.sums),
        }
        for alert in alerts
    ]
    return connection.execute(SQL["write_alerts"], {"alerts": json.dumps(rows)}).rowcount if rows else 0
