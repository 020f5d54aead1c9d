"""The common reader of bank reports by ISO 20022: camt.052, camt.053 and camt.054, versions 2 to 14.

One ``Statement`` per statement, report or notification, whose pages are joined; lines are its entries, split into their
details where these add up. Bare, or in an envelope (business application header, ``BizMsgEnvlp``, SOAP). Elements are
read by local name while they stream by, so memory follows a batch of lines and not the document. Not a schema
validator: a quarter of real files break the schema and still balance. Follows the message definition reports on
iso20022.org; takes no settings. An example stands in ``camt_053``.
"""

from collections.abc import Callable
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.camt_parts.entry_parts import AMOUNTS, NAMES
from reconciliation.formats.camt_parts.reader import MESSAGES, CamtReader, Message
from reconciliation.formats.camt_parts.shapes import plan_of
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.xml_shapes import SIGHTS, Shaped
from reconciliation.formats.xml_stream import Element, ElementRun, ElementStream, decoded_head

_HANDLERS: Final[dict[str, Callable[[CamtReader, Element], None]]] = {
    "GrpHdr": CamtReader.group_header,
    "AppHdr": CamtReader.application_header,
    "Bal": CamtReader.balance,
    "TxDtls": CamtReader.detail,
    "Ntry": CamtReader.entry,
    **dict.fromkeys(MESSAGES, CamtReader.page),
}


def sniff_message(head: bytes, message: Message) -> bool:
    """Whether the first bytes look like this message: by container or, before any container, by namespace."""
    text = decoded_head(head)
    if not text.lstrip().startswith("<"):
        return False  # a bank's list of what it offers, say, names every message
    if any(other.container in text for other in MESSAGES.values()):
        return message.container in text
    return f":{message.name}." in text


def read_message(
    stream: BinaryIO, options: ReadOptions, emit: Emit, message: Message, *, sights: int | None = SIGHTS
) -> ParsedDelivery:
    """Read and prove one file, or raise ``RefusedFile``.

    ``SourcesError`` for settings, of which these formats have none. ``record_no`` of a line is the number of its entry
    in the file, so that the entries can be counted from the lines. After so many ``sights`` of a shape its entries are
    read by it, without a tree; by None never, with the same result.
    """
    if options.settings:
        raise SourcesError(
            tuple(f"settings of {message.name}: {name} is not known" for name in sorted(options.settings))
        )
    reader = CamtReader(options, emit, message)
    try:
        elements = ElementStream(
            stream,
            names=tuple(_HANDLERS),
            located="Ntry",
            bytes_max=options.bytes_max,
            shaped=None if sights is None else _shaped(options, sights),
        )
        reader.elements = elements
        for element in elements.with_runs():
            if isinstance(element, ElementRun):
                reader.run(element)
            else:
                _HANDLERS[NAMES[element.tag]](reader, element)
        return reader.delivery(elements.namespace)
    except RefusedFile as refusal:
        masked = options.card_tokens.masked
        raise RefusedFile(
            code=refusal.code,
            place=masked(f"{reader.place}, {refusal.place}" if reader.place else refusal.place),
            expected=masked(refusal.expected),
            found=masked(refusal.found),
            remedy=refusal.remedy,
        ) from None


def _shaped(options: ReadOptions, sights: int) -> Shaped:
    return Shaped(planned=plan_of, text_max=options.field_length_max, with_currency=AMOUNTS, sights=sights)
