"""Visa BASE II clearing files: CTF (168 characters) and ITF (170), ASCII or EBCDIC, with VSS settlement reports.

    90 header     processing BIN, date YYDDD, test option
    05 sale       TCR 0 card, ARN, amounts; TCR 1 merchant; TCR 5 transaction identifier, interchange
    91 / 92       trailers: transactions, components (TCR), monetary transactions, amounts of source and destination

Law: a file is taken whole or refused, and its trailers prove it (``visa_parts.files``). Signs are for our balance at
the scheme, by a table (``visa_parts/signs.csv``); positions by another (``visa_parts/positions.csv``). TC 46 is read
for what VSS-110 settles (``visa_parts.settlement``), proved against VSS-120, 130 and 140. Card numbers are tokens from
the first slice on.

The amount is the destination amount where a file has one, else the source amount; the other one is the original amount
where its currency differs. The interchange fee of TCR 5 is a fee beside the amount (settled by VSS-130), never in it.
Dates without a year are resolved by the header's date. A purchase date has no time of day: rely on its date only.

Settings: ``account`` (name for the statements), ``ebcdic`` (cp500 or cp037), ``amounts`` (auto, source, destination),
``own_bins`` (ours, by commas: a fee collection that we sent has the opposite sign). Tables: ``positions``, ``signs``:
rows in the columns of the shipped ones, which they correct.

Source: the scheme's manuals are confidential and were not used. Positions come from several open programs that agree;
amounts are taken to have the decimals of ISO 4217. Nothing here replaces a check by the member's own manual.

>>> from io import BytesIO
>>> from reconciliation.formats.canonical import ReadOptions, read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> def record(**at):
...     line = [" "] * 168
...     for place, text in at.items():
...         line[int(place[1:]) - 1 : int(place[1:]) - 1 + len(text)] = text
...     return "".join(line) + "\\n"
>>> header = record(_1="90", _3="400000", _9="26320", _77="001")
>>> sale = record(_1="0500", _5="4111111111111111", _62="0" * 12, _77="000000010000", _89="978", _164="6320")
>>> def trailer(code, count):
...     figures = f"{0:015d}{1:012d}{1:06d}{count:012d}"
...     return record(_1=code, _16=figures, _75=f"{count:09d}", _102=f"{10000:015d}")
>>> data = (header + sale + trailer("9100", 2) + trailer("9200", 3)).encode()
>>> options = ReadOptions(card_tokens=KeyedCardTokens(bytes(32)))
>>> read_whole(__import__(__name__, fromlist=["read"]), BytesIO(data), options).lines["amount_minor"].to_pylist()
[10000]
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import BinaryIO, Final

from reconciliation.errors import SourcesError
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.visa_parts.files import Delivery
from reconciliation.formats.visa_parts.lines import LineReader, Side
from reconciliation.formats.visa_parts.positions import layout_of
from reconciliation.formats.visa_parts.records import EBCDIC, framing_of, records_of
from reconciliation.formats.visa_parts.signs import signs_of

NAME: Final = "visa.base2"

_SETTINGS: Final = ("account", "amounts", "ebcdic", "own_bins")
_TABLES: Final = ("positions", "signs")
_AMOUNTS: Final = ("auto", "source", "destination")


def sniff(head: bytes) -> bool:
    """Whether the first bytes are a header TC 90 and records of 168 or 170 characters after it."""
    return framing_of(head) is not None


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read a whole BASE II file, in bounded memory.

    Statements: one per logical file and asset, and one per VSS-110 report, currency and service. Lines: one per
    monetary transaction, without an id of its own (the standard has none); fees and settlement of each VSS-110.
    """
    settings = _read_settings(options)
    layout = layout_of(options.tables.get("positions"))
    signs = signs_of(options.tables.get("signs"))
    framing, records = records_of(stream, bytes_max=options.bytes_max, ebcdic=settings.ebcdic)
    side = Side(acquirer_view=options.acquirer_view, own_bins=settings.own_bins, amounts=settings.amounts)
    delivery = Delivery(
        layout=layout,
        signs=signs,
        line_reader=LineReader(card_tokens=options.card_tokens, side=side, layout=layout),
        framing=framing,
        emit=emit,
        account=settings.account,
        options=options,
    )
    take = delivery.take
    for record_no, record in enumerate(records, start=1):
        take(record_no, record)
    return delivery.parsed(format_name=NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    account: str | None
    amounts: str
    ebcdic: str
    own_bins: frozenset[str]


def _read_settings(options: ReadOptions) -> _Settings:
    problems = []
    settings = options.settings
    for kind, given, known in (("settings", settings, _SETTINGS), ("tables", options.tables, _TABLES)):
        for name in given.keys() - set(known):
            near = get_close_matches(name, known, n=1)
            problems.append(
                f"{kind} of {NAME}: {name} is not known" + (f"; did you mean {near[0]}?" if near else "")
            )
    amounts, ebcdic = settings.get("amounts", _AMOUNTS[0]), settings.get("ebcdic", EBCDIC[0])
    for name, value, allowed in (("amounts", amounts, _AMOUNTS), ("ebcdic", ebcdic, EBCDIC)):
        if value not in allowed:
            problems.append(
                f"settings of {NAME}: {name} must be one of {', '.join(allowed)}, found {value!r}"
            )
    if problems:
        raise SourcesError(tuple(sorted(problems)))
    bins = (part.strip() for part in settings.get("own_bins", "").split(","))
    return _Settings(
        account=settings.get("account") or None,
        amounts=amounts,
        ebcdic=ebcdic,
        own_bins=frozenset(part for part in bins if part),
    )
