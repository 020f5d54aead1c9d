"""What must hold of what a file says of its statements. Pure: parsed values in, a refusal or nothing out.

Law: readers are not trusted. Whatever they prove about a file, what the store relies on is proved here again. Sums of
lines are compared in ``staging``, where they cannot overflow.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import ParsedDelivery, Statement
from reconciliation.sources import Source

EARLIEST_DATE: Final = date(1990, 1, 1)
LATEST_DATE: Final = date(2199, 12, 31)
BOOKING_WINDOW_DAYS: Final = 400  # how far a booking date may lie outside its statement's period
FUTURE_DAYS_MAX: Final = (
    7  # a statement may be dated so far after its arrival: zones, holidays, a sender's eagerness
)
FILE_NAME_LENGTH_MAX: Final = 255  # bytes, the limit of the usual file systems
_INT64_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownStatement:
    """A statement with the ledger account it reconciles."""

    statement_no: int
    account: str
    told: Statement


def check_file_name(file_name: str) -> None:
    """Refuse a name that is more than a name; it is never used as a path, but people and scripts will."""
    plain = (
        file_name not in ("", ".", "..")
        and PurePosixPath(file_name).name == file_name
        and PureWindowsPath(file_name).name == file_name
        and file_name.isprintable()
        and len(file_name.encode(errors="surrogatepass")) <= FILE_NAME_LENGTH_MAX
    )
    if not plain:
        raise RefusedFile(
            code="unsafe",
            place="file name",
            expected=f"a plain name of at most {FILE_NAME_LENGTH_MAX} bytes, without folders or control characters",
            found=recordable_name(file_name),
            remedy="Rename the file.",
        )


def recordable_name(file_name: str) -> str:
    """The name as it may be stored and shown: no folders, no control characters, of bounded length."""
    safe = "".join(
        letter if letter.isprintable() and letter not in '/\\:*?"<>|' else "_" for letter in file_name
    )
    return safe[:FILE_NAME_LENGTH_MAX] or "_"


def check_delivery(
    parsed: ParsedDelivery, source: Source, *, received_on: date | None = None
) -> tuple[KnownStatement, ...]:
    """The statements with their ledger accounts, in the file's order. ``received_on`` bounds their dates.

    Raises:
        RefusedFile: test data, an account the source does not know, a statement told twice, balances that do not tie,
            dates or amounts out of range, lines that belong to no statement.
    """
    if parsed.test_mode:
        raise RefusedFile(
            code="test_mode",
            place="file header",
            expected="a production file",
            found="one that is marked as a test",
            remedy="Deliver the production file; test files belong to a test source.",
        )
    if not parsed.statements:
        raise RefusedFile(
            code="structure",
            place="file",
            expected="at least one statement",
            found="none",
            remedy="A day without movements is a statement without lines; ask the sender for that.",
        )
    known = tuple(
        KnownStatement(statement_no=number, account=_account(statement, source, number), told=statement)
        for number, statement in enumerate(parsed.statements)
    )
    seen: dict[tuple[str, str, date], int] = {}
    for statement in known:
        _check_statement(statement.told, statement.statement_no)
        _check_future(statement.told, statement.statement_no, received_on)
        key = (statement.account, statement.told.statement_ref, statement.told.to_date)
        if key in seen:
            raise RefusedFile(
                code="conflict",
                place=place_of(statement.statement_no),
                expected="each statement once in a file",
                found=f"the reference and date of {place_of(seen[key])} again",
                remedy="Ask the sender which of the two holds.",
            )
        seen[key] = statement.statement_no
    return known


def place_of(statement_no: int) -> str:
    """How refusals name a statement: by its place in the file, as its reference may hold anything."""
    return f"statement {statement_no + 1}"


def _account(statement: Statement, source: Source, number: int) -> str:
    account = source.ledger_account(statement.account, statement.asset)
    if account is None:
        configured = ", ".join(
            f"{mapping.external or 'any account'} in {mapping.asset}" for mapping in source.accounts
        )
        raise RefusedFile(
            code="wrong_account",
            place=place_of(number),
            expected=f"an account of source {source.id}: {configured}",
            found=f"{statement.account or 'no account'} in {statement.asset}",
            remedy="Deliver the file to the source it belongs to, or add the account to sources.yaml.",
        )
    return account


def _check_future(statement: Statement, number: int, received_on: date | None) -> None:
    if received_on is not None and statement.to_date > received_on + timedelta(days=FUTURE_DAYS_MAX):
        raise RefusedFile(
            code="date",
            place=place_of(number),
            expected=f"a date up to {FUTURE_DAYS_MAX} days after its arrival on {received_on}",
            found=f"{statement.to_date}",
            remedy="A date is wrong, or its day and month were taken for each other; ask the sender.",
        )


def _check_statement(statement: Statement, number: int) -> None:
    if not EARLIEST_DATE <= statement.from_date <= statement.to_date <= LATEST_DATE:
        raise RefusedFile(
            code="date",
            place=place_of(number),
            expected=f"a period within {EARLIEST_DATE} and {LATEST_DATE}",
            found=f"{statement.from_date} to {statement.to_date}",
            remedy="Ask the sender for a corrected file.",
        )
    figures = (
        statement.opening_minor,
        statement.closing_minor,
        statement.movement_minor,
        statement.sequence_no,
    )
    if any(abs(figure) > _INT64_MAX for figure in figures if figure is not None):
        raise RefusedFile(
            code="amount",
            place=place_of(number),
            expected="balances and sums that fit 64 bits of minor units",
            found="a larger one",
            remedy="Ask the sender for a corrected file.",
        )
    if statement.opening_minor is None or statement.closing_minor is None:
        return
    proved_minor = statement.opening_minor + statement.movement_minor
    if proved_minor != statement.closing_minor:
        raise RefusedFile(
            code="balance",
            place=place_of(number),
            expected=f"opening {statement.opening_minor} plus movements {statement.movement_minor} = {proved_minor} "
            f"{statement.asset} in minor units as closing balance",
            found=f"{statement.closing_minor}",
            remedy="Lines are missing, doubled or wrong; ask the sender for the statement again.",
        )
