"""Credit and debit notifications by ISO 20022 camt.054 (BankToCustomerDebitCreditNotification), versions 2 to 14.

Read by ``camt_parts.messages``. There are no balances. Law: ``TxsSummry``, and what each batch states about its details
(``NbOfTxs``, ``TtlAmt``), are demanded; details are lines only where they add up to their entry.

>>> import io
>>> from reconciliation.formats import camt_054, canonical, card_numbers
>>> detail = "<TxDtls><Amt Ccy='CHF'>{}</Amt></TxDtls>"
>>> file = (
...     "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.054.001.08'><BkToCstmrDbtCdtNtfctn><Ntfctn><Id>N1</Id>"
...     "<CreDtTm>2026-11-16T20:00:00</CreDtTm><Ntry><Amt Ccy='CHF'>25.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>"
...     "<Sts>BOOK</Sts><BookgDt><Dt>2026-11-16</Dt></BookgDt><NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch>"
...     + detail.format("20.00") + detail.format("5.00")
...     + "</NtryDtls></Ntry></Ntfctn></BkToCstmrDbtCdtNtfctn></Document>"
... )
>>> options = canonical.ReadOptions(card_tokens=card_numbers.KeyedCardTokens(bytes(32)))
>>> whole = canonical.read_whole(camt_054, io.BytesIO(file.encode()), options)
>>> (whole.lines["amount_minor"].to_pylist(), whole.parsed.statements[0].proofs)
([2000, 500], ('1 entries = the sums of their 2 details',))
"""

from typing import BinaryIO, Final

from reconciliation.formats.camt_parts.messages import read_message, sniff_message
from reconciliation.formats.camt_parts.reader import NOTIFICATION
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions

NAME: Final = "camt.054"


def sniff(head: bytes) -> bool:
    """Whether the first bytes look like a camt.054."""
    return sniff_message(head, NOTIFICATION)


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file, or raise ``RefusedFile``."""
    return read_message(stream, options, emit, NOTIFICATION)
