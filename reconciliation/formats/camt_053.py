"""Bank statements by ISO 20022 camt.053 (BankToCustomerStatement), versions 2 to 14, read by ``camt_parts.messages``.

Law: opening booked balance + booked entries = closing booked balance, or the file is refused; a statement without two
booked balances proves nothing and is refused too. Entries that are not booked yet are lines of another status.

>>> import io
>>> from reconciliation.formats import camt_053, canonical, card_numbers
>>> balance = (
...     "<Bal><Tp><CdOrPrtry><Cd>{}</Cd></CdOrPrtry></Tp><Amt Ccy='EUR'>{}</Amt><CdtDbtInd>CRDT</CdtDbtInd>"
...     "<Dt><Dt>2026-11-16</Dt></Dt></Bal>"
... )
>>> entry = (
...     "<Ntry><Amt Ccy='EUR'>25.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts>"
...     "<BookgDt><Dt>2026-11-16</Dt></BookgDt></Ntry>"
... )
>>> file = (
...     "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'><BkToCstmrStmt><Stmt><Id>S1</Id>"
...     + balance.format("OPBD", "100.00") + balance.format("CLBD", "75.00") + entry
...     + "</Stmt></BkToCstmrStmt></Document>"
... )
>>> options = canonical.ReadOptions(card_tokens=card_numbers.KeyedCardTokens(bytes(32)))
>>> whole = canonical.read_whole(camt_053, io.BytesIO(file.encode()), options)
>>> whole.parsed.statements[0].proofs
('OPBD 100.00 + 1 booked entries -25.00 = CLBD 75.00 EUR',)
>>> whole.lines["amount_minor"].to_pylist()
[-2500]
"""

from typing import BinaryIO, Final

from reconciliation.formats.camt_parts.messages import read_message, sniff_message
from reconciliation.formats.camt_parts.reader import STATEMENT
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions

NAME: Final = "camt.053"


def sniff(head: bytes) -> bool:
    """Whether the first bytes look like a camt.053."""
    return sniff_message(head, STATEMENT)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file, or raise ``RefusedFile``."""
    return read_message(stream, options, emit, STATEMENT)
