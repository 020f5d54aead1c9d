"""What people enclose is what its bytes say, has a clean name, and holds no card number, however it is packed."""

import base64
import io
import zipfile
import zlib

import pytest

from reconciliation.errors import RefusedProposal
from reconciliation.exceptions.enclosed import BYTES_MAX, recognised

CARD = "4111111111111111"
PNG, JPEG = b"\x89PNG\r\n\x1a\n" + bytes(20), b"\xff\xd8\xff\xe0" + bytes(20)
MAIL = b"From: ada@example.org\r\nSubject: fee\r\n\r\n"


def workbook(**files: str) -> bytes:
    """A workbook as far as anything here looks at it; further files by their names."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {
            "[Content_Types].xml": "<Types/>",
            "xl/workbook.xml": "<workbook/>",
            **files,
        }.items():
            archive.writestr(name, text)
    return content.getvalue()


def pdf(program: bytes) -> bytes:
    """A page of a PDF, packed."""
    return b"%PDF-1.7\n1 0 obj\nstream\n" + zlib.compress(program) + b"\nendstream\nendobj\n%%EOF"


@pytest.mark.parametrize(
    ("name", "content", "clean", "media_type"),
    [
        ("statement.pdf", pdf(b"BT (paid) Tj ET"), "statement.pdf", "application/pdf"),
        ("a.png", PNG, "a.png", "image/png"),
        ("a.JPG", JPEG, "a.jpg", "image/jpeg"),
        ("../../etc/a note.txt", b"called the bank", "a note.txt", "text/plain"),
        ("C:\\temp\\lines.csv", "a;b\r\n1;\u20ac".encode("cp1252"), "lines.csv", "text/csv"),
        ("mail.eml", MAIL + b"hello", "mail.eml", "message/rfc822"),
        (
            "book.xlsx",
            workbook(),
            "book.xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
        ("scan", PNG, "scan.png", "image/png"),
        ("evil\u202egnp.txt", b"text", "evilgnp.txt", "text/plain"),
        ('a\r\nSet-Cookie: "x".txt', b"text", "a Set-Cookie_ _x_.txt", "text/plain"),
        (f"{CARD}.txt", b"text", "411111______1111.txt", "text/plain"),
        ("/", PNG, "enclosed.png", "image/png"),
        (
            "references.txt",
            b"74537604221431003881865 and DE08 9999 0001 0000 1019 78",
            "references.txt",
            "text/plain",
        ),
    ],
)
def test_what_is_taken_and_by_which_name(name: str, content: bytes, clean: str, media_type: str) -> None:
    assert recognised(name, content) == (clean, media_type)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"", "something in it"),
        ("a.txt", b"x" * (BYTES_MAX + 1), "at most 10 MB"),
        ("a.exe", b"MZ" + bytes(9), "one of pdf, png.*found .exe"),
        ("a.html", b"hello", "found .html"),
        ("a.txt", b"<!DOCTYPE html><p>", "first bytes, found something else"),
        ("a.txt", b"  <svg onload=alert(1)>", "found something else"),
        ("a.png", pdf(b""), "png, by its first bytes, found pdf"),
        ("a.pdf", b"not one", "found text"),
        ("a.txt", PNG, "found png"),
        ("a.xlsx", b"PK\x03\x04" + bytes(40), "found something else"),
        ("a.xlsx", workbook(**{"xl/vbaProject.bin": "x"}), "found something else"),
        ("a.eml", b"no header here", "begins with its header lines"),
        ("a", bytes(30), "one of pdf"),
    ],
)
def test_what_is_not_taken_and_why(name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(RefusedProposal, match=sentence):
        recognised(name, content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", f"card {CARD} was used".encode()),
        ("a.txt", b"4111-1111-1111-1111"),
        ("a.txt", f"\ufeff{CARD}".encode("utf-16")),
        ("a.txt", b"CVV2: 123 of the customer"),
        ("a.csv", f"amount;pan\n5;{CARD}\n".encode()),
        ("a.eml", MAIL + CARD.encode()),
        (
            "a.eml",
            MAIL[:-2]
            + b"Content-Transfer-Encoding: base64\r\n\r\n"
            + base64.b64encode(b"card " + CARD.encode()),
        ),
        (
            "a.xlsx",
            workbook(**{"xl/sharedStrings.xml": f"<si><r><t>4111</t></r><r><t>{CARD[4:]}</t></r></si>"}),
        ),
        ("a.xlsx", workbook(**{"xl/worksheets/sheet1.xml": "<c><f>1+2</f><v>4.111111111111111E15</v></c>"})),
        ("a.pdf", pdf(f"BT ({CARD}) Tj ET".encode())),
        ("a.pdf", pdf(f"BT [(4111) -20 ({CARD[4:]})] TJ ET".encode())),
        ("a.pdf", pdf(f"BT <{CARD.encode().hex()}> Tj ET".encode())),
        ("a.pdf", f"%PDF-1.4 /Title ({CARD})".encode()),
    ],
)
def test_card_data_refuses_the_whole_file_and_is_not_repeated(name: str, content: bytes) -> None:
    with pytest.raises(RefusedProposal, match="expected no card data") as refused:
        recognised(name, content)
    assert CARD not in str(refused.value)


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    bomb = workbook(**{"xl/worksheets/sheet1.xml": "0" * (101 * 1024 * 1024)})
    assert len(bomb) < 200_000
    with pytest.raises(RefusedProposal, match="100 MB when unpacked"):
        recognised("a.xlsx", bomb)
