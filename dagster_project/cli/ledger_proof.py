"""`tieout ledger verify`, `seal` and `close-period`: the proof that the books are what they were."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dagster_project.cli.output import Context, json_option, pass_context, say, say_rows
from dagster_project.errors import SettingsError
from ledger_core.feed import relay
from ledger_core.seal import close_period as close_one
from ledger_core.seal import seal_periods, seals
from ledger_core.verify import CheckOutcome
from ledger_core.verify import verify as run_checks


class Instant(click.ParamType[datetime]):
    """The end of a period: ISO 8601 with a zone; a bare date means its start in UTC."""

    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant, in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            parsed = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"expected ISO 8601 such as 2026-12-01 or 2026-12-01T00:00:00+01:00, found {value}",
                param,
                ctx,
            )
        if parsed.tzinfo is None and len(str(value)) > len("2026-12-01"):
            self.fail(f"expected a zone, such as +01:00 or Z, found {value}", param, ctx)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


class KeptSeal(click.ParamType[tuple[datetime, str]]):
    """A seal kept outside: ENDS_AT=HEX."""

    name = "ends_at=hex"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[datetime, str]:
        """The end of its period, and the seal in hex."""
        if isinstance(value, tuple):
            return value
        ends_at, mark, seal = str(value).rpartition("=")
        if not mark or not _is_seal(seal):
            self.fail(f"expected ENDS_AT=HEX with 64 hex digits, found {value}", param, ctx)
        return Instant().convert(ends_at, param, ctx), seal


@click.command("verify")
@click.option(
    "--seal", "kept", type=KeptSeal(), multiple=True, help="A seal kept outside, ENDS_AT=HEX; repeatable."
)
@click.option(
    "--seals",
    "kept_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Seals kept outside, as `tieout ledger seal --out` wrote them.",
)
@json_option
@pass_context
def verify(
    context: Context, kept: tuple[tuple[datetime, str], ...], kept_file: Path | None, as_json: bool
) -> None:
    """Derive every law and projection again from the journal. Exit 1 when one fails or could not be run.

    Example: tieout ledger verify --seals seals.json
    """
    wanted = (_read_seals(kept_file) if kept_file else []) + list(kept)
    for ends_at, seal in wanted:
        if any(other != seal for same, other in wanted if same == ends_at):
            raise SettingsError(
                f"period ending {ends_at.isoformat()}: expected one seal, found two that differ"
            )
    with context.project.database.session("tieout_auditor") as connection:
        checks = run_checks(connection, kept_seals=dict(wanted) if kept or kept_file else None)
    rows = [{**asdict(check), "outcome": check.outcome.value} for check in checks]
    say_rows(rows, ["outcome", "code", "name", "offences", "detail"], as_json=as_json, empty="No checks.")
    if any(check.outcome is not CheckOutcome.OK for check in checks):
        raise SystemExit(1)


@click.command("seal")
@click.option("--until", type=Instant(), help="Only up to the period that ends here.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Also write all seals to this file, to be kept elsewhere.",
)
@json_option
@pass_context
def seal(context: Context, until: datetime | None, out: Path | None, as_json: bool) -> None:
    """Seal the closed periods, and show all seals. What is kept outside proves the books later.

    Example: tieout ledger seal --out seals.json
    """
    with context.project.database.session("tieout_poster") as connection:
        relay(connection)  # its numbers must be committed before they are sealed
    with context.project.database.session("tieout_poster") as connection:
        seal_periods(connection, until)
        rows = [
            {**asdict(row), "ends_at": row.ends_at.astimezone(UTC).isoformat()} for row in seals(connection)
        ]
    if out is not None:
        out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    say_rows(rows, ["ends_at", "entry_count", "root", "seal"], as_json=as_json, empty="No period is closed.")


@click.command("close-period")
@click.argument("ends_at", type=Instant())
@click.option("--reason", required=True)
@click.option("--authoriser", required=True)
@json_option
@pass_context
def close_period(context: Context, ends_at: datetime, reason: str, authoriser: str, as_json: bool) -> None:
    """Close the time before ENDS_AT, for ever. A bare date closes the days before it (UTC).

    Example: tieout ledger close-period 2026-12-01 --reason "November reported" --authoriser ada
    """
    with context.project.database.session("tieout_poster") as connection:
        is_new = close_one(connection, ends_at, reason=reason, authoriser=authoriser)
    word = "closed" if is_new else "was closed before"
    say(
        {"ends_at": ends_at, "is_new": is_new},
        f"The time before {ends_at.isoformat()} {word}.",
        as_json=as_json,
    )


def _read_seals(path: Path) -> list[tuple[datetime, str]]:
    """The seals of a file; what else it says of them is not read."""
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        found = [(datetime.fromisoformat(row["ends_at"]), str(row["seal"])) for row in rows]
    except (ValueError, TypeError, KeyError):
        found = []
    if not found or any(ends_at.tzinfo is None or not _is_seal(seal) for ends_at, seal in found):
        raise SettingsError(
            f"{path.name}: expected seals as `tieout ledger seal --out` writes them, found something else"
        )
    return found


def _is_seal(text: str) -> bool:
    return len(text) == 64 and not set(text.lower()) - set("0123456789abcdef")
