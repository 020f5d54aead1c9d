"""Mastercard IPM clearing files (T112 and relatives): presentments, chargebacks and fees, proved and signed.

    1644/697  header    PDS 0105 file id, PDS 0122 production or test          DE 71 = 00000001
    1240/200  presentment   DE 4 100.00 EUR, fee 1.20 kept back in PDS 0146    DE 71 = 00000002
    1644/695  trailer   PDS 0105 the same, 0306 three messages, 0301 sum 10000 DE 71 = 00000003

gives one line of +98.80 EUR with a fee of 1.20, and a settlement line of -98.80 EUR that the bank will answer.

Law: a file is taken whole or refused. Each logical file proves header, trailer, file id, message count, the sum of all
DE 4 and message numbers without gap; positions and summaries (1644/680, 685, 688) prove themselves and the records they
sum up; exponents the file states must be ISO's. A sign that is not in the tables is a refusal, never a guess. Card
numbers are tokens from the first decode on.

Amounts: the reconciliation amount (DE 5 in DE 50, rate DE 9) where present, else the transaction amount (DE 4 in DE
49). The sign follows who sent the message and whom it credits (``mastercard_parts/signs.csv``), then which side we are
on (``ReadOptions.acquirer_view``), then PDS 0025: R turns it round. PDS 0146 is signed the same way: 29 debits the
sender of the message (for a presentment we sent: kept back from us), 19 credits it; its settlement indicator is not
interpreted, values other than 01 are noted. A fee collection (1740) is taken as sent to us unless DE 94 is among the
setting ``institution_ids``. What the scheme rejected (PDS 0005) or does not settle (PDS 0165 B or C) is a line that
moves nothing.

The settlement line of a logical file and asset is ours: the net position that the proven trailer implies, with the
opposite sign, so that the source returns to zero. It is left out when that net is zero.

Settings: ``ebcdic`` (cp500 or cp037), ``account`` (name for the statements), ``institution_ids`` (ours, by commas),
``event_time_zone`` (DE 12 is local to the merchant and names no zone: its clock time is read in this zone, UTC if left
out, so rely on its date at most), ``amounts`` (``billing`` for an issuer who reconciles what cardholders are billed: DE
6 in DE 51, rate DE 10, fees beside it; else ``reconciliation``). Two-digit years are 20yy, or 19yy when that would be
over a year after the file. Table ``signs``: rows in the columns of ``mastercard_parts/signs.csv`` that come before
those.

Not verified against a current manual (members have it): function codes, processing codes and their signs, the parts of
PDS 0025, 0105, 0146, 0148, 0159, 0165 and 0380 to 0402, and that PDS 0301 sums DE 4 of every message that has one.
Several independent open programs agree on each.

>>> from io import BytesIO
>>> from reconciliation.formats.canonical import ReadOptions, read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> def message(kind, bits, body):
...     data = kind + sum(1 << 128 - bit for bit in (1, *bits)).to_bytes(16) + body
...     return len(data).to_bytes(4) + data
>>> file_id = b"0105025" + b"0022611160000002555500017"
>>> data = (
...     message(b"1644", (24, 48, 71), b"697040" + file_id + b"0122001P" + b"00000001")
...     + message(b"1240", (3, 4, 24, 49, 71), b"000000" + b"000000010000" + b"200" + b"978" + b"00000002")
...     + message(b"1644", (24, 48, 71), b"695070" + file_id + b"03010160000000000010000" + b"030600800000003"
...               + b"00000003")
...     + bytes(4)
... )
>>> options = ReadOptions(card_tokens=KeyedCardTokens(bytes(32)))
>>> read_whole(__import__(__name__, fromlist=["read"]), BytesIO(data), options).lines["amount_minor"].to_pylist()
[10000, -10000]
"""

from dataclasses import dataclass
from datetime import UTC, tzinfo
from difflib import get_close_matches
from typing import BinaryIO, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.card_numbers import placed
from reconciliation.formats.mastercard_parts.files import Delivery
from reconciliation.formats.mastercard_parts.framing import open_frames, starts_like_messages
from reconciliation.formats.mastercard_parts.lines import ELEMENTS_READ, LineReader, Side
from reconciliation.formats.mastercard_parts.messages import EBCDIC, decoded_messages
from reconciliation.formats.mastercard_parts.signs import signs_of

NAME: Final = "mastercard.ipm"

_SETTINGS: Final = ("account", "amounts", "ebcdic", "event_time_zone", "institution_ids")
_TABLES: Final = ("signs",)
_AMOUNTS: Final = ("reconciliation", "billing")


def sniff(head: bytes) -> bool:
    """Whether the first bytes look like an IPM file: a plausible length, then four digits in either encoding."""
    return starts_like_messages(head)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read a whole IPM file, in bounded memory.

    Statements: one per logical file and asset, with ``statement_ref`` '<file id>/<asset>', the file id's sequence
    number and no balances. Lines: one per 1240, 1442 and 1740, ``native_id`` '<file id>/<DE 71 as a number>'; then one
    settlement line per asset. Raises RefusedFile (codes truncated, structure, not_this_format, control_total,
    sequence, amount, currency, date, conflict, limit, sensitive_data); SourcesError for settings that are not known.
    """
    settings = _read_settings(options)
    signs = signs_of(options.tables.get("signs"))
    frames = open_frames(stream, bytes_max=options.bytes_max)
    side = Side(
        acquirer_view=options.acquirer_view,
        institution_ids=settings.institution_ids,
        event_zone=settings.event_zone,
        billing=settings.billing,
    )
    delivery = Delivery(
        line_reader=LineReader(card_tokens=options.card_tokens, side=side, signs=signs),
        emit=emit,
        account=settings.account,
        options=options,
    )
    messages = decoded_messages(
        frames.messages, card_tokens=options.card_tokens, ebcdic=settings.ebcdic, wanted=ELEMENTS_READ
    )
    for message in messages:
        try:
            delivery.take(message)
        except RefusedFile as refusal:
            raise placed(refusal, f"record {message.record_no}") from None
    return delivery.parsed(format_name=NAME, format_version="1014" if frames.blocked else "vbs")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    account: str | None
    billing: bool
    ebcdic: str
    event_zone: tzinfo
    institution_ids: frozenset[str]


def _read_settings(options: ReadOptions) -> _Settings:
    settings = options.settings
    problems = []
    for kind, given, known in (("settings", settings, _SETTINGS), ("tables", options.tables, _TABLES)):
        for name in given.keys() - set(known):
            near = get_close_matches(name, known, n=1)
            problems.append(
                f"{kind} of {NAME}: {name} is not known" + (f"; did you mean {near[0]}?" if near else "")
            )
    amounts = settings.get("amounts", _AMOUNTS[0])
    if amounts not in _AMOUNTS:
        problems.append(
            f"settings of {NAME}: amounts must be one of {', '.join(_AMOUNTS)}, found {amounts!r}"
        )
    ebcdic = settings.get("ebcdic", EBCDIC[0])
    if ebcdic not in EBCDIC:
        problems.append(f"settings of {NAME}: ebcdic must be one of {', '.join(EBCDIC)}, found {ebcdic!r}")
    event_zone: tzinfo = UTC
    zone_name = settings.get("event_time_zone", "UTC")
    if zone_name != "UTC":
        try:
            event_zone = ZoneInfo(zone_name)
        except (ZoneInfoNotFoundError, ValueError):
            problems.append(f"settings of {NAME}: event_time_zone {zone_name!r} is not a time zone")
    if problems:
        raise SourcesError(tuple(sorted(problems)))
    ids = (part.strip() for part in settings.get("institution_ids", "").split(","))
    return _Settings(
        account=settings.get("account") or None,
        billing=amounts == "billing",
        ebcdic=ebcdic,
        event_zone=event_zone,
        institution_ids=frozenset(part for part in ids if part),
    )
