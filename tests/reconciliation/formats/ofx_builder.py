"""Builds small OFX files for tests, in SGML without end tags and in XML; shares nothing with the reader."""

from io import BytesIO
from typing import Any

from reconciliation.formats import ofx
from reconciliation.formats.canonical import ReadOptions, WholeDelivery, read_whole
from reconciliation.formats.card_numbers import KeyedCardTokens

OPTIONS = ReadOptions(card_tokens=KeyedCardTokens(bytes(range(32))))
CARD = "4111111111111111"
SGML_HEADER = (
    "OFXHEADER:100\r\nDATA:OFXSGML\r\nVERSION:102\r\nSECURITY:NONE\r\nENCODING:USASCII\r\nCHARSET:1252\r\n"
    "COMPRESSION:NONE\r\nOLDFILEUID:NONE\r\nNEWFILEUID:NONE\r\n\r\n"
)
XML_HEADER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<?OFX OFXHEADER="200" VERSION="211" SECURITY="NONE" '
    'OLDFILEUID="NONE" NEWFILEUID="NONE"?>\n'
)
SIGN_ON = {
    "SIGNONMSGSRSV1": {"SONRS": {"STATUS": {"CODE": "0", "SEVERITY": "INFO"}, "DTSERVER": "20261117020000"}}
}

Tree = dict[str, Any]


def rendered(tree: Tree, *, xml: bool) -> str:
    """Elements and aggregates in order; a list repeats its element, None leaves it out."""
    lines = []
    for name, value in tree.items():
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            if isinstance(one, dict):
                lines.append(f"<{name}>\n{rendered(one, xml=xml)}</{name}>")
            else:
                lines.append(f"<{name}>{one}</{name}>" if xml else f"<{name}>{one}")
    return "".join(line + "\n" for line in lines)


def transaction(
    amount: str = "12.50", *, fitid: str | None = "T1", day: str = "20261116", **more: Any
) -> Tree:
    """One STMTTRN; ``more`` are elements by name, None removes one."""
    return {"TRNTYPE": "CREDIT", "DTPOSTED": day, "TRNAMT": amount, "FITID": fitid, "NAME": "Ann Lee"} | more


def bank(*transactions: Tree, asset: str = "EUR", account: str = "1000200030", **more: Any) -> Tree:
    """One STMTTRNRS with a bank statement of 1 to 16 November 2026."""
    statement: Tree = {
        "CURDEF": asset,
        "BANKACCTFROM": {"BANKID": "999", "ACCTID": account, "ACCTTYPE": "CHECKING"},
        "BANKTRANLIST": {"DTSTART": "20261101", "DTEND": "20261116", "STMTTRN": list(transactions)},
        "LEDGERBAL": {"BALAMT": "1000.00", "DTASOF": "20261116"},
    }
    return {"TRNUID": "1", "STATUS": {"CODE": "0", "SEVERITY": "INFO"}, "STMTRS": statement | more}


def card(*transactions: Tree, account: str = CARD) -> Tree:
    """One CCSTMTTRNRS."""
    return {
        "TRNUID": "2",
        "STATUS": {"CODE": "0", "SEVERITY": "INFO"},
        "CCSTMTRS": {
            "CURDEF": "EUR",
            "CCACCTFROM": {"ACCTID": account},
            "BANKTRANLIST": {"DTSTART": "20261101", "DTEND": "20261116", "STMTTRN": list(transactions)},
            "LEDGERBAL": {"BALAMT": "-80.00", "DTASOF": "20261116"},
        },
    }


def document(
    *statements: Tree, xml: bool = False, cards: tuple[Tree, ...] = (), header: str | None = None
) -> str:
    """A whole file."""
    tree: Tree = dict(SIGN_ON)
    if statements:
        tree["BANKMSGSRSV1"] = {"STMTTRNRS": list(statements)}
    if cards:
        tree["CREDITCARDMSGSRSV1"] = {"CCSTMTTRNRS": list(cards)}
    start = (XML_HEADER if xml else SGML_HEADER) if header is None else header
    return start + rendered({"OFX": tree}, xml=xml)


def read(content: str | bytes, options: ReadOptions = OPTIONS) -> WholeDelivery:
    """Read a file whole."""
    return read_whole(ofx, BytesIO(content.encode() if isinstance(content, str) else content), options)


def line(content: str | bytes, options: ReadOptions = OPTIONS) -> dict[str, Any]:
    """The only line of a file."""
    (row,) = read(content, options).lines.to_pylist()
    return row
