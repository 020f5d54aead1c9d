"""Account reports within the day by ISO 20022 camt.052 (BankToCustomerAccountReport), versions 2 to 14.

Read by ``camt_parts.messages``. Every report is interim: a statement of the whole day replaces it, so that its lines
never count. Law: what ``TxsSummry`` states is demanded. Balances may be left out; where two are stated, interim ones
too, opening + booked entries = closing balance, or the statement is flagged: a report may tell only what is new since
the last one.

>>> import io
>>> from reconciliation.formats import camt_052, canonical, card_numbers
>>> file = (
...     "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.052.001.08'><BkToCstmrAcctRpt><Rpt><Id>R1</Id>"
...     "<CreDtTm>2026-11-16T12:00:00</CreDtTm><Ntry><Amt Ccy='EUR'>25.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>"
...     "<Sts><Cd>PDNG</Cd></Sts></Ntry></Rpt></BkToCstmrAcctRpt></Document>"
... )
>>> options = canonical.ReadOptions(card_tokens=card_numbers.KeyedCardTokens(bytes(32)))
>>> whole = canonical.read_whole(camt_052, io.BytesIO(file.encode()), options)
>>> (whole.parsed.statements[0].interim, whole.parsed.statements[0].pending_count)
(True, 1)
"""

from typing import BinaryIO, Final

from reconciliation.formats.camt_parts.messages import read_message, sniff_message
from reconciliation.formats.camt_parts.reader import REPORT
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions

NAME: Final = "camt.052"


def sniff(head: bytes) -> bool:
    """Whether the first bytes look like a camt.052."""
    return sniff_message(head, REPORT)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file, or raise ``RefusedFile``."""
    return read_message(stream, options, emit, REPORT)
