"""A desk with two small sources on a real database: post, deliver, reconcile, and look at what is there.

The bank has one euro account and says balances; the processor pays out to it. Monday is the first day of both.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row

from dagster_project.database import Database
from fixtures.model import BankLine, StripeRow
from fixtures.writers import camt053, stripe_csv
from fixtures.writers.statement import Statement
from ledger_core.chart import define_assets
from ledger_core.posting import post_lines
from reconciliation.daily.reconcile import RunOutcome, reconcile
from reconciliation.formats.canonical import ReadOptions
from reconciliation.formats.card_numbers import KeyedCardTokens
from reconciliation.intake.delivery import DeliveryOutcome, take_in
from reconciliation.intake.source_versions import register_sources
from reconciliation.sources import parse_sources

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2026, 11, day) for day in range(9, 14))
SATURDAY, NEXT_MONDAY, NEXT_TUESDAY, NEXT_WEDNESDAY = (date(2026, 11, day) for day in (14, 16, 17, 18))
BANK_ACCOUNT, PROCESSOR_ACCOUNT, CUSTOMERS = (
    "assets:bank:eur",
    "assets:processor:eur",
    "liabilities:customers",
)
IBAN = "DE08999900010000101978"
OPENING_MINOR = 100_000
STARTED_AT = datetime(2026, 11, 20, tzinfo=UTC)
OPTIONS = ReadOptions(card_tokens=KeyedCardTokens(bytes(range(32))))
SOURCES = parse_sources(f"""
version: 1
sources:
  - id: bank
    kind: bank
    format: camt.053
    start_date: {MONDAY}
    accounts: [{{external: {IBAN}, asset: EUR, ledger: "{BANK_ACCOUNT}"}}]
    files: {{days: business_days, per: account}}
    match:
      references:
        - {{external: ref_end_to_end, ledger: ref_end_to_end}}
        - {{external: ref_end_to_end, ledger: ref_payout}}
  - id: stripe
    kind: processor
    format: stripe.payout_reconciliation
    start_date: {MONDAY}
    accounts: [{{external: acct_demo, asset: EUR, ledger: "{PROCESSOR_ACCOUNT}"}}]
    files: {{days: none}}
    match:
      references:
        - {{external: ref_psp, ledger: ref_psp}}
        - {{external: ref_payout, ledger: ref_payout}}
    legs:
      - {{leg: payout, kind: payout, reference: ref_payout, with_source: bank, with_reference: ref_end_to_end}}
""")


def movement(reference: str, amount_minor: int, *, native_id: str = "") -> BankLine:
    """A line of a bank statement; named after its reference unless told otherwise."""
    return BankLine(
        day=0,
        asset="EUR",
        amount_minor=amount_minor,
        native_id=native_id or f"N-{reference}",
        end_to_end=reference,
    )


@dataclass(slots=True)
class Desk:
    """One database with both sources registered and both accounts open."""

    url: str
    numbers: dict[date, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with self.session("tieout_poster") as connection:
            define_assets(connection, {"EUR": 2})
            codes = [BANK_ACCOUNT, PROCESSOR_ACCOUNT, CUSTOMERS]
            connection.execute(
                "SELECT ledger.open_accounts(%s, %s, %s, %s, %s)",
                (codes, codes, ["asset", "asset", "liability"], ["EUR"] * 3, [True] * 3),
            )
        with self.session("tieout_intake") as connection:
            register_sources(connection, SOURCES)
        self.post("opening", date(2026, 11, 2), OPENING_MINOR)

    def session(self, role: str | None) -> AbstractContextManager[psycopg.Connection[Any]]:
        """A connection in one transaction under a role."""
        return Database(url=self.url, dagster_libpq_url=self.url).session(role)

    def post(
        self, entry_key: str, day: date, amount_minor: int, *, account: str = BANK_ACCOUNT, **columns: str
    ) -> None:
        """Post an entry of two lines, effective at noon of a day."""
        with self.session("tieout_poster") as connection:
            self.post_on(connection, entry_key, day, amount_minor, account=account, **columns)

    def post_on(
        self,
        connection: psycopg.Connection[Any],
        entry_key: str,
        day: date,
        amount_minor: int,
        *,
        account: str = BANK_ACCOUNT,
        **columns: str,
    ) -> None:
        """The same in somebody's transaction."""
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        lines: dict[str, Any] = {
            "entry_key": pa.array([entry_key] * 2, pa.string()),
            "effective_at": pa.array([at] * 2, pa.timestamp("us", tz="UTC")),
            "account": pa.array([account, CUSTOMERS], pa.string()),
            "amount_minor": pa.array([amount_minor, -amount_minor], pa.int64()),
            "asset": pa.array(["EUR"] * 2, pa.string()),
            **{name: pa.array([value, None], pa.string()) for name, value in columns.items()},
        }
        post_lines(connection, pa.table(lines))

    def deliver(self, source_id: str, file_name: str, content: bytes) -> DeliveryOutcome:
        """Take a file in."""
        with self.session("tieout_intake") as connection:
            (outcome,) = take_in(
                connection,
                source=SOURCES[source_id],
                file_name=file_name,
                stream=BytesIO(content),
                options=OPTIONS,
            )
            return outcome

    def statement(
        self, day: date, *lines: BankLine, opening_minor: int = OPENING_MINOR, version: str = ""
    ) -> DeliveryOutcome:
        """Deliver the bank's statement of a day; ``version`` tells corrected ones apart."""
        outcome = self.deliver(
            "bank", f"camt053_{day}{version}.xml", statement_bytes(day, lines, opening_minor, version)
        )
        assert outcome.refusal is None, outcome.sentence
        return outcome

    def payout(self, day: date, payout_id: str, *charges: tuple[str, int]) -> DeliveryOutcome:
        """Deliver the processor's report of one payout made of charges, by id and amount."""
        rows = [
            StripeRow(day=0, asset="EUR", native_id=f"txn_{charge}", gross_minor=amount, fee_minor=0, category="charge",
                source_id=charge, created=f"{day} 09:00:00", payout_id=payout_id)
            for charge, amount in charges
        ]  # fmt: skip
        total = sum(amount for _, amount in charges)
        rows.append(
            StripeRow(day=0, asset="EUR", native_id=f"txn_{payout_id}", gross_minor=-total, fee_minor=0,
                category="payout", source_id=payout_id, created=f"{day} 10:00:00", payout_id=payout_id)
        )  # fmt: skip
        stream = BytesIO()
        stripe_csv.write(stream, rows=rows, day=day)
        outcome = self.deliver("stripe", f"payout_{payout_id}.csv", stream.getvalue())
        assert outcome.refusal is None, outcome.sentence
        return outcome

    def run(self, as_of: date, source_id: str = "bank", *, wait: bool = True) -> RunOutcome:
        """Reconcile a source up to a day."""
        with self.session("tieout_matcher") as connection:
            return self.run_on(connection, as_of, source_id, wait=wait)

    def run_on(
        self, connection: psycopg.Connection[Any], as_of: date, source_id: str = "bank", *, wait: bool = True
    ) -> RunOutcome:
        """The same in somebody's transaction."""
        return reconcile(
            connection,
            SOURCES[source_id],
            as_of=as_of,
            actor="tests",
            code_version="1",
            started_at=STARTED_AT,
            wait=wait,
        )

    def enrol(self, login: str, *roles: str, same_as: str | None = None) -> None:
        """Make somebody known, an analyst unless told otherwise."""
        with self.session("tieout_doorkeeper") as connection:
            connection.execute(
                "SELECT recon.enrol(%s, %s, %s, 'users', NULL, %s, 'tests')",
                (login, login.title(), list(roles or ("analyst",)), same_as),
            )

    def token(self, login: str) -> str:
        """The token of a new session of somebody."""
        with self.session("tieout_doorkeeper") as connection:
            (count,) = connection.execute("SELECT count(*) FROM recon.session").fetchone() or (0,)
            token = f"token of {login} {count}"
            connection.execute(
                "SELECT recon.open_session(%s, %s, 'command line', 60, 60)",
                (login, hashlib.sha256(token.encode()).digest()),
            )
        return token

    @contextlib.contextmanager
    def acting(self, login: str) -> Iterator[psycopg.Connection[Any]]:
        """A transaction of somebody at work."""
        token = self.token(login)
        with self.session("tieout_analyst") as connection:
            connection.execute("SELECT set_config('tieout.session', %s, true)", (token,))
            yield connection

    def ask(self, query: str, *params: object) -> list[Any]:
        """Rows of a query; single values where it has one column."""
        with self.session("tieout_auditor") as connection:
            rows = connection.execute(query, params or None).fetchall()
        return [row[0] for row in rows] if rows and len(rows[0]) == 1 else rows

    def exceptions(self) -> list[dict[str, Any]]:
        """Open exceptions, the oldest first."""
        with self.session("tieout_auditor") as connection:
            cursor = connection.cursor(row_factory=dict_row)
            return cursor.execute(
                "SELECT e.* FROM recon.exception AS e WHERE e.cleared_on IS NULL ORDER BY 1"
            ).fetchall()

    def kinds(self) -> list[str]:
        """Class and kind of what is open, sorted."""
        return sorted(f"{row['class']} {row['kind']}" for row in self.exceptions())

    def live_groups(self, leg: str = "ledger") -> dict[str, tuple[int, tuple[str, ...]]]:
        """Key of each live group to its id and its members: line keys and entry keys, sorted."""
        rows = self.ask(
            """
            SELECT g.group_key, g.group_id, array_agg(coalesce(l.line_key, m.entry_key) ORDER BY 1)
            FROM recon.match_group AS g JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.live
            LEFT JOIN recon.line AS l ON l.line_id = m.line_id
            WHERE g.leg = %s GROUP BY g.group_key, g.group_id
            """,
            leg,
        )
        return {key: (group_id, tuple(sorted(members))) for key, group_id, members in rows}

    def events(self, exception_id: int) -> list[str]:
        """What happened to an exception, in order."""
        return self.ask(
            "SELECT v.event FROM recon.exception_event AS v WHERE v.exception_id = %s ORDER BY v.event_id",
            exception_id,
        )


def statement_bytes(
    day: date, lines: Sequence[BankLine], opening_minor: int = OPENING_MINOR, version: str = ""
) -> bytes:
    """A bank statement of one day as camt.053; numbered by the days since the first Monday."""
    stream = BytesIO()
    numbers = [
        MONDAY,
        TUESDAY,
        WEDNESDAY,
        THURSDAY,
        FRIDAY,
        SATURDAY,
        NEXT_MONDAY,
        NEXT_TUESDAY,
        NEXT_WEDNESDAY,
    ]
    statement = Statement(
        statement_id=f"S-{day}",
        message_id=f"M-{day}{version}",
        sequence_no=100 + numbers.index(day),
        iban=IBAN,
        asset="EUR",
        day=day,
        created_at=f"{day}T19:00:00+01:00",
        opening_minor=opening_minor,
        closing_minor=opening_minor + sum(line.amount_minor for line in lines),
        lines=lines,
    )
    camt053.write(stream, statement, "001.08")
    return stream.getvalue()
