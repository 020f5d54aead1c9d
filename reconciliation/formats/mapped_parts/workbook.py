"""The package of an Excel workbook: its parts, bounded, and what sheets, texts and date formats it has.

Law: nothing is unpacked whose stated size or ratio is out of bounds, and no more of it than it states; every part is
read by the guarded XML reader.
"""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from reconciliation.formats.values import refused, shown
from reconciliation.formats.xml_stream import Element, ElementStream, local_name, release

_MEMBERS_MAX: Final = 5_000
_PART_BYTES_MAX: Final = 1 << 31
_RATIO_MAX: Final = 250  # sheets of repeated rows reach a hundred
_SMALL_BYTES: Final = 1 << 20  # whose ratio says nothing
_TEXTS_BYTES_MAX: Final = 1 << 28  # of the shared texts, which stay in memory
_STYLES_MAX: Final = 100_000
_DAMAGED: Final = "The file is damaged, incomplete or another one; fetch it again from the sender."
_UNSAFE: Final = "Treat the file as an attack until the sender explains it."

# Number formats that every Excel has (ECMA-376, 18.8.30), of those that show a day or a time.
_DATE_FORMATS: Final = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_NOT_A_PART_OF_THE_DATE: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
_DATE_LETTERS: Final = re.compile(r"[dmyhs]", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")


class Workbook:
    """An opened package."""

    def __init__(self, stream: BinaryIO, *, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        stream.seek(0)
        if stream.read(2) != b"PK":
            raise refused("not_this_format", "byte 1", "a ZIP package", "something else", _DAMAGED)
        stream.seek(0)
        self._package = zipfile.ZipFile(stream)
        self._parts = self._checked_parts()
        self.from_1904 = False
        self._sheets = self._read_sheets()

    def _checked_parts(self) -> dict[str, zipfile.ZipInfo]:
        members = self._package.infolist()
        if len(members) > _MEMBERS_MAX:
            raise refused("limit", "the package", f"at most {_MEMBERS_MAX} parts", f"{len(members)}", _UNSAFE)
        parts: dict[str, zipfile.ZipInfo] = {}
        total = 0
        for member in members:
            place = f"part {member.filename[:60]}"
            total += member.file_size
            if member.file_size > _PART_BYTES_MAX or total > self._bytes_max:
                expected = f"at most {min(_PART_BYTES_MAX, self._bytes_max)} bytes unpacked"
                raise refused("limit", place, expected, f"{member.file_size}", _UNSAFE)
            if member.file_size > max(_SMALL_BYTES, _RATIO_MAX * member.compress_size):
                found = f"{member.compress_size} bytes packed, {member.file_size} unpacked"
                raise refused("unsafe", place, f"a ratio of at most {_RATIO_MAX}", found, _UNSAFE)
            if member.flag_bits & 1:
                raise refused("structure", place, "a workbook without password", "an encrypted one")
            if member.filename in parts:
                raise refused("unsafe", place, "each part once", "the same name twice", _UNSAFE)
            parts[member.filename] = member
        return parts

    def elements(self, part: str, names: tuple[str, ...]) -> Iterator[Element]:
        """Elements of a part at their ends; the caller releases them."""
        member = self._parts.get(part)
        if member is None:
            raise refused("not_this_format", f"part {part[:60]}", "a part of a workbook", "none", _DAMAGED)
        with self._package.open(member) as opened:
            stream = ElementStream(
                cast("BinaryIO", opened), names=names, located="", bytes_max=member.file_size
            )
            yield from stream

    def _read_sheets(self) -> list[tuple[str, str, bool]]:
        """Name, part and visibility of every sheet, in their order."""
        targets: dict[str, str] = {}
        for element in self.elements("xl/_rels/workbook.xml.rels", ("Relationship",)):
            targets[element.get("Id") or ""] = element.get("Target") or ""
        sheets: list[tuple[str, str, bool]] = []
        for element in self.elements("xl/workbook.xml", ("sheet", "workbookPr")):
            if local_name(str(element.tag)) == "workbookPr":
                self.from_1904 = element.get("date1904") in {"1", "true"}
                continue
            relation = next((value for key, value in element.items() if local_name(str(key)) == "id"), "")
            target = targets.get(str(relation), "")
            part = target[1:] if target.startswith("/") else posixpath.normpath(f"xl/{target}")
            visible = element.get("state", "visible") == "visible"
            sheets.append((element.get("name") or "", part, visible))
        return sheets

    def part_of(self, name: str | None) -> str:
        """The part of the sheet of that name, or of the only visible one. Codes ``structure``, ``not_this_format``."""
        names = ", ".join(shown(known) for known, _, _ in self._sheets)[:200]
        if name is None:
            visible = [part for _, part, shows in self._sheets if shows]
            if len(visible) != 1:
                expected = "one sheet, or the name of one as table.sheet of the mapping"
                raise refused("structure", "the workbook", expected, names or "none", "Name the sheet.")
            return visible[0]
        found = next((part for known, part, _ in self._sheets if known == name), None)
        if found is None:
            remedy = "Check which file this is; if the sheet was renamed, change the mapping."
            raise refused(
                "not_this_format", "the workbook", f"a sheet {name[:40]!r}", names or "none", remedy
            )
        return found

    def shared_texts(self) -> list[str]:
        """The texts that cells refer to by number."""
        member = self._parts.get("xl/sharedStrings.xml")
        if member is None:
            return []
        if member.file_size > _TEXTS_BYTES_MAX:
            expected = f"at most {_TEXTS_BYTES_MAX} bytes of texts"
            raise refused(
                "limit", "part xl/sharedStrings.xml", expected, f"{member.file_size}", "Ask for a CSV."
            )
        texts: list[str] = []
        for element in self.elements("xl/sharedStrings.xml", ("si",)):
            texts.append(text_of(element))
            forget(element)
        return texts

    def date_styles(self) -> frozenset[int]:
        """Numbers of the cell styles that show a day or a time."""
        if "xl/styles.xml" not in self._parts:
            return frozenset()
        dates = set(_DATE_FORMATS)
        found: set[int] = set()
        count = 0
        for element in self.elements("xl/styles.xml", ("numFmt", "xf")):
            number = element.get("numFmtId") or ""
            if not (number.isascii() and number.isdecimal() and len(number) < 9):
                continue
            if local_name(str(element.tag)) == "numFmt":
                if _shows_a_date(element.get("formatCode") or ""):
                    dates.add(int(number))
                else:
                    dates.discard(int(number))
                continue
            parent = element.getparent()
            if parent is not None and local_name(str(parent.tag)) == "cellXfs":
                if int(number) in dates:
                    found.add(count)
                count += 1
                if count > _STYLES_MAX:
                    raise refused(
                        "limit", "part xl/styles.xml", f"at most {_STYLES_MAX} styles", "more", _UNSAFE
                    )
        return frozenset(found)


def text_of(element: Element) -> str:
    """The text of a shared or inline text, its runs joined; how it is pronounced is no part of it."""
    parts: list[str] = []
    for child in element.iter("{*}t"):
        parent = child.getparent()
        if parent is None or local_name(str(parent.tag)) != "rPh":
            parts.append(child.text or "")
    text = "".join(parts)
    return _ESCAPED.sub(_unescaped, text) if "_x" in text else text


def forget(element: Element) -> None:
    """Free an element that has been read and the ones before it."""
    release(element)
    parent = element.getparent()
    before = element.getprevious()
    if parent is not None and before is not None:
        parent.remove(before)


def _unescaped(found: re.Match[str]) -> str:
    code = int(found.group(1), 16)
    return chr(code) if code and not 0xD800 <= code <= 0xDFFF else ""


def _shows_a_date(code: str) -> bool:
    first = code.partition(";")[0]
    if first.strip().lower() == "general":
        return False
    return _DATE_LETTERS.search(_NOT_A_PART_OF_THE_DATE.sub("", first)) is not None
