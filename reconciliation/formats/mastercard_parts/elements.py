"""Data tables of Mastercard's IPM messages: where each data element lies, what its codes mean. No behaviour.

IPM follows ISO 8583:1993 with a 16-byte bitmap. Element forms come from that standard's public descriptions and the
open library cardutil (MIT); codes from several public programs that agree. None of it was checked against a current
manual of the scheme, which only members have: whoever goes live confirms these tables with their own copy.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class Form(Enum):
    """How long an element is: a fixed number of bytes, or two or three digits in front say so."""

    FIXED = 0
    LLVAR = 2
    LLLVAR = 3


ELEMENTS: Final[Mapping[int, tuple[Form, int]]] = MappingProxyType(
    {
        2: (Form.LLVAR, 0),  # card number
        3: (Form.FIXED, 6),  # processing code; its first two digits say who pays whom
        4: (Form.FIXED, 12),  # amount, transaction
        5: (Form.FIXED, 12),  # amount, reconciliation
        6: (Form.FIXED, 12),  # amount, cardholder billing
        9: (Form.FIXED, 8),  # conversion rate, reconciliation: number of decimals, then seven digits
        10: (Form.FIXED, 8),  # conversion rate, cardholder billing
        12: (Form.FIXED, 12),  # local date and time of the transaction, yymmddhhmmss
        14: (Form.FIXED, 4),  # expiry
        22: (Form.FIXED, 12),  # point of service data code
        23: (Form.FIXED, 3),  # card sequence number
        24: (Form.FIXED, 3),  # function code
        25: (Form.FIXED, 4),  # message reason code
        26: (Form.FIXED, 4),  # merchant category
        30: (Form.FIXED, 24),  # amounts, original
        31: (Form.LLVAR, 0),  # acquirer reference number
        32: (Form.LLVAR, 0),  # acquiring institution
        33: (Form.LLVAR, 0),  # forwarding institution
        35: (Form.LLVAR, 0),  # track 2
        36: (Form.LLLVAR, 0),  # track 3
        37: (Form.FIXED, 12),  # retrieval reference number
        38: (Form.FIXED, 6),  # approval code
        40: (Form.FIXED, 3),  # service code
        41: (Form.FIXED, 8),  # terminal
        42: (Form.FIXED, 15),  # card acceptor
        43: (Form.LLVAR, 0),  # card acceptor name and location, parts between backslashes
        45: (Form.LLVAR, 0),  # track 1
        48: (Form.LLLVAR, 0),  # private data subelements (PDS)
        49: (Form.FIXED, 3),  # currency of DE 4
        50: (Form.FIXED, 3),  # currency of DE 5
        51: (Form.FIXED, 3),  # currency of DE 6
        52: (Form.FIXED, 8),  # PIN block, binary
        54: (Form.LLLVAR, 0),  # amounts, additional
        55: (Form.LLLVAR, 0),  # chip data, binary
        62: (Form.LLLVAR, 0),  # PDS continued
        63: (Form.LLLVAR, 0),  # transaction life cycle id
        64: (Form.FIXED, 8),  # message authentication code, binary
        71: (Form.FIXED, 8),  # message number
        72: (Form.LLLVAR, 0),  # data record, free text
        73: (Form.FIXED, 6),  # date, action
        93: (Form.LLVAR, 0),  # destination institution
        94: (Form.LLVAR, 0),  # originating institution
        95: (Form.LLVAR, 0),  # card issuer reference
        100: (Form.LLVAR, 0),  # receiving institution
        105: (Form.LLLVAR, 0),  # multi-use transaction identification
        111: (Form.LLLVAR, 0),  # amount, currency conversion assignment
        123: (Form.LLLVAR, 0),  # PDS continued
        124: (Form.LLLVAR, 0),  # PDS continued
        125: (Form.LLLVAR, 0),  # PDS continued
        127: (Form.LLLVAR, 0),  # network data
        128: (Form.FIXED, 8),  # message authentication code, binary
    }
)
"""Form and, if fixed, length of every element that IPM uses; an element that is not here refuses the file."""

SENSITIVE_ELEMENTS: Final[Mapping[int, str]] = MappingProxyType(
    {35: "track 2", 36: "track 3", 45: "track 1", 52: "a PIN block"}
)
"""Sensitive authentication data: may not be kept after authorisation, so a clearing file that has it is refused."""

SENSITIVE_CHIP_TAGS: Final = frozenset({0x56, 0x57, 0x99, 0x9F1F, 0x9F20, 0x9F6B})
"""EMV tags of track equivalents and PIN data inside DE 55 (EMV book 3, annex A)."""

PRIVATE_DATA_ELEMENTS: Final = (48, 62, 123, 124, 125)
"""Elements that carry PDS: tag of four digits, length of three, value; a subelement never crosses elements."""

FUNCTION_HEADER: Final = "697"
FUNCTION_TRAILER: Final = "695"
FUNCTION_CURRENCY_SUMMARY: Final = "680"
FUNCTION_FINANCIAL_POSITION: Final = "685"
FUNCTION_SETTLEMENT_POSITION: Final = "688"
FUNCTION_MESSAGE_EXCEPTION: Final = "691"
FUNCTION_FILE_REJECT: Final = "699"
"""Function codes (DE 24) of administrative messages (1644) that are more than counted."""
