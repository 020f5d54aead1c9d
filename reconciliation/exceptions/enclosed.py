"""What a person encloses with an exception: which kind of file it is by its own bytes, a clean name, no card numbers.

Laws: the bytes say what a file is, never its name alone, and both must agree; what is markup, a program or a macro is
refused; a text that holds a card number or the rest of a card's data is refused whole, since it can be neither masked
nor kept. Bounded: what unpacks to more than ``UNPACKED_BYTES_MAX`` is refused.

Not looked into: pictures, and text that a PDF draws by the numbers of glyphs. Pure: stores nothing.

>>> recognised("../receipt of ada.pdf", b"%PDF-1.7 ...")
('receipt of ada.pdf', 'application/pdf')
"""

import email
import email.policy
import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from reconciliation.errors import RefusedProposal
from reconciliation.formats.card_numbers import masked_text, verification_codes
from reconciliation.intake.card_sweep import without_cards

BYTES_MAX: Final = 10 * 1024 * 1024
UNPACKED_BYTES_MAX: Final = 100 * 1024 * 1024
PDF_BYTES_MAX: Final = 20 * 1024 * 1024  # of what its pages draw, which is read token by token
NAME_LENGTH_MAX: Final = 120
MEDIA_TYPES: Final = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "txt": "text/plain",
    "csv": "text/csv",
    "eml": "message/rfc822",
}
"""Kinds that are taken, and what they are served as."""

_EXTENSIONS: Final = {name: name for name in MEDIA_TYPES} | {"jpg": "jpeg", "text": "txt", "tsv": "csv"}
_TEXTS: Final = ("txt", "csv", "eml")
_MARKUP: Final = re.compile(r"\s*<(?:!doctype|html|svg|script|\?xml|!--|head|body|iframe)", re.IGNORECASE)
_UNPRINTED: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_HEADER: Final = re.compile(r"(?:[!-9;-~]+:[ \t]?[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*)+")
_ALL: Final = ", ".join(MEDIA_TYPES)
_DEPTH_MAX: Final = 3  # of mails enclosed in mails


def recognised(file_name: str, content: bytes) -> tuple[str, str]:
    """A clean name and the media type of what a person encloses.

    Raises:
        RefusedProposal: it is too large or empty, of no kind that is taken, not what its name says, or holds card data.
    """
    stem, extension = _clean(file_name)
    named = f"{stem}.{extension}" if extension else stem
    if not content:
        raise RefusedProposal(f"{named}: expected a file with something in it, found none")
    if len(content) > BYTES_MAX:
        raise RefusedProposal(
            f"{named}: expected at most {BYTES_MAX // 1024**2} MB, found {len(content):,} bytes"
        )
    kind = _kind_of(content)
    wanted = _EXTENSIONS.get(extension, "")
    if extension and not wanted:
        raise RefusedProposal(f"{named}: expected one of {_ALL}, found .{extension}")
    if kind is None or (wanted and wanted not in (_TEXTS if kind == "txt" else (kind,))):
        found = "something else" if kind is None else "text" if kind == "txt" else kind
        raise RefusedProposal(
            f"{named}: expected {f'what its name says, {wanted},' if wanted else f'one of {_ALL}'} by its first bytes, "
            f"found {found}"
        )
    kind = wanted or kind
    if kind == "eml" and _HEADER.match(_decoded(content) or "") is None:
        raise RefusedProposal(f"{named}: expected a mail that begins with its header lines, found other text")
    _refuse_card_data(named, kind, content)
    return (named if extension else f"{stem}.{kind}"), MEDIA_TYPES[kind]


def _clean(file_name: str) -> tuple[str, str]:
    """The last part of a path without what cannot be printed or deceives, and its extension."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", file_name))[-1]
    shown = "".join(" " if character.isspace() else character for character in last)
    shown = "".join(character for character in shown if unicodedata.category(character)[0] != "C")
    shown = re.sub(r'[<>:"|?*]', "_", masked_text(shown))
    shown = " ".join(shown.split()).strip(" .")
    stem, mark, extension = shown.rpartition(".")
    if not mark:
        stem, extension = shown, ""
    return stem[:NAME_LENGTH_MAX].rstrip(" .") or "enclosed", extension.lower()[:16]


def _kind_of(content: bytes) -> str | None:
    """What the bytes are; every text is ``txt``."""
    if content.startswith(b"%PDF-"):
        return "pdf"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if content.startswith(b"PK\x03\x04"):
        return "xlsx" if _is_workbook(content) else None
    text = _decoded(content)
    return "txt" if text is not None and not _MARKUP.match(text) else None


def _is_workbook(content: bytes) -> bool:
    """Whether an archive is a workbook without macros."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {name.lower() for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, OSError):
        return False
    whole = {"[content_types].xml", "xl/workbook.xml"} <= names
    return whole and not any("vbaproject" in name for name in names)


def _decoded(content: bytes) -> str | None:
    """The text of bytes; None where there is none."""
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if _UNPRINTED.search(text) else text
    return None


def _refuse_card_data(named: str, kind: str, content: bytes) -> None:
    try:
        for text in _texts(kind, content):
            found = None
            if without_cards(text) != text:
                found = "a card number"
            elif verification_codes(text, beside_card=False):
                found = "a card verification code"
            if found:
                raise RefusedProposal(
                    f"{named}: expected no card data, found {found}; cover it in the original and enclose that"
                )
    except _TooMuch:
        most = PDF_BYTES_MAX if kind == "pdf" else UNPACKED_BYTES_MAX
        raise RefusedProposal(
            f"{named}: expected at most {most // 1024**2} MB when unpacked, found more"
        ) from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError):
        raise RefusedProposal(
            f"{named}: expected a {kind} that can be unpacked, found one that cannot"
        ) from None


class _TooMuch(Exception):
    """It unpacks to more than is looked at."""


def _texts(kind: str, content: bytes, depth: int = 0) -> Iterator[str]:
    """Every text that can be read in a file of a kind."""
    if kind in _TEXTS:
        yield _decoded(content) or ""
    if kind == "eml" and depth < _DEPTH_MAX:
        yield from _of_a_mail(content, depth)
    elif kind == "xlsx":
        yield from _of_a_workbook(content)
    elif kind == "pdf":
        yield from _of_a_pdf(content)


def _of_a_mail(content: bytes, depth: int) -> Iterator[str]:
    """Bodies and enclosures, decoded; an enclosure of no kind that is known is not looked into."""
    mail = email.message_from_bytes(content, policy=email.policy.compat32)
    for part in mail.walk():
        body = part.get_payload(decode=True)
        if isinstance(body, bytes) and body:
            if part.get_content_maintype() == "text":
                yield body.decode("utf-8", "replace")
            elif (kind := _kind_of(body)) is not None:
                yield from _texts(kind, body, depth + 1)


_BETWEEN_CELLS: Final = re.compile(r"</(?:\w+:)?(?:si|c|f|comment|p|row)>")
_TAG: Final = re.compile(r"<[^<>]*>")
_POWER_OF_TEN: Final = re.compile(r"(?<![\w.])[0-9]\.[0-9]{1,18}E\+?1[0-9](?!\w)", re.IGNORECASE)


def _of_a_workbook(content: bytes) -> Iterator[str]:
    """Strings and numbers of its sheets, a cell on each line; large numbers written out."""
    left = UNPACKED_BYTES_MAX
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            if not name.lower().endswith((".xml", ".rels", ".txt")):
                continue
            with archive.open(name) as member:
                unpacked = member.read(left + 1)
            left -= len(unpacked)
            if left < 0:
                raise _TooMuch
            text = unpacked.decode(
                "utf-16" if unpacked[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace"
            )
            plain = _TAG.sub("", _BETWEEN_CELLS.sub("\n", text))
            yield _POWER_OF_TEN.sub(lambda found: str(int(Decimal(found[0]))), plain)


_TOKEN: Final = re.compile(
    r"\\.|[()\[\]]|<[0-9A-Fa-f\s]*>|[^\\()\[\]<]+|.", re.DOTALL
)  # every place is one: linear


def _of_a_pdf(content: bytes) -> Iterator[str]:
    """What is written as strings, in the open or in streams packed by Flate; the parts of a line joined."""
    left, end = PDF_BYTES_MAX, 0
    while (start := content.find(b"stream", end)) >= 0:
        yield _drawn(content[end:start])
        first = start + len(b"stream")
        last = content.find(b"endstream", first)
        packed = content[first : last if last >= 0 else len(content)].lstrip(b"\r\n")
        try:
            unpacked = zlib.decompressobj().decompress(packed, left + 1)
        except zlib.error:
            unpacked = packed
        if b"TJ" in unpacked or b"Tj" in unpacked:
            left -= len(unpacked)
            if left < 0:
                raise _TooMuch
            yield _drawn(unpacked)
        end = last + len(b"endstream") if last >= 0 else len(content)
    yield _drawn(content[end:])


def _drawn(program: bytes) -> str:
    """The strings of a page's program, a line for each, or for each array of them."""
    parts: list[str] = []
    depth, in_array = 0, False
    for token in _TOKEN.findall(program.decode("latin-1")):
        if token == "(":
            depth += 1
        elif token == ")" and depth:
            depth -= 1
            if not depth and not in_array:
                parts.append("\n")
        elif depth:
            parts.append(token)
        elif token in "[]":
            in_array = token == "["
            parts.append("\n")
        elif token[0] == "<" and len(token) > len("<>"):
            parts.append(_from_hex(token[1:-1]) + ("" if in_array else "\n"))
    return "".join(parts)


def _from_hex(written: str) -> str:
    digits = "".join(written.split())
    return bytes.fromhex(digits + "0" * (len(digits) % 2)).decode("latin-1")
