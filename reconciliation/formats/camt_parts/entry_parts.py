"""What stands below an XML element, by path: ``RltdPties/Dbtr/Nm`` to its text, a second one as ``RmtInf/Ustrd#2``.

The shape of an element (names and nesting) is looked at once and remembered, since the entries of a file share a few
shapes; of each entry only the texts are read then. Law: an element that may stand once stands once; text is bounded in
length; what must be text is no element. Every message version is read alike: local names decide, not namespaces.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.values import refused
from reconciliation.formats.xml_stream import Element, local_name

Parts = dict[str, str | None]
"""Path to stripped text; to None where the element has other elements or nothing in it. ``Amt@`` is a currency."""

Amount = tuple[str | None, str | None]
"""Text and currency as written."""

_XML_SPACE: Final = " \t\r\n"  # what XML calls white space; other blanks are characters like any other
_ONCE: Final = frozenset({"Amt", "CdtDbtInd", "Sts"})
AMOUNTS: Final = frozenset({"Amt", "TtlAmt"})
"""Elements whose currency counts."""

_TEXTS: Final = frozenset(
    {
        "Amt",
        "TtlAmt",
        "CdtDbtInd",
        "RvslInd",
        "AcctSvcrRef",
        "NtryRef",
        "NbOfTxs",
        "NbOfNtries",
        "Sum",
        "IBAN",
    }
    | {"Ustrd", "XchgRate", "ChrgInclInd", "DtTm", "AddtlNtryInf", "AddtlTxInf", "PgNb", "LastPgInd", "PAN"}
    | {"ElctrncSeqNb", "LglSeqNb", "CreDtTm", "MsgId", "PmtInfId"}
)
_NOT_A_TEXT: Final = "Prtry"  # the only reference with parts of its own
_NAMES_MAX: Final = 10_000  # a hostile document may invent names and shapes without end
_SHAPES_MAX: Final = 2_000


class _Names(dict[str, str]):
    """Full tag to local name: a document uses a few hundred names a million times."""

    def __missing__(self, tag: str) -> str:
        name = local_name(tag)
        if len(self) < _NAMES_MAX:
            self[tag] = name
        return name


NAMES: Final = _Names()


class PartsShape:
    """Paths of the elements of one shape in document order, and what is wrong with it for good."""

    __slots__ = ("amounts", "blank", "paths", "with_elements", "wrong")

    def __init__(self, tags: Sequence[str], sizes: Sequence[int]) -> None:
        self.paths: list[str] = []
        self.wrong: RefusedFile | None = None
        self._walk("", iter(zip(tags, sizes, strict=True)), len(tags))
        self.amounts = [
            (place, f"{path}@")
            for place, path in enumerate(self.paths)
            if path.rpartition("/")[2].partition("#")[0] in AMOUNTS
        ]
        self.blank: Parts = dict.fromkeys([*self.paths, *(path for _, path in self.amounts)])
        self.with_elements = [place for place, size in enumerate(sizes) if size]

    def _walk(self, above: str, elements: Iterator[tuple[str, int]], count: int) -> None:
        seen: dict[str, int] = {}
        for _ in range(count):
            following = next(elements, None)
            if following is None:
                return
            tag, size = following
            name = NAMES[tag]
            number = seen[name] = seen.get(name, 0) + 1
            path = f"{above}{name}" if number == 1 else f"{above}{name}#{number}"
            self.paths.append(path)
            if number > 1 and name in _ONCE:
                remedy = "Which one counts cannot be known; ask for a corrected file."
                self.wrong = self.wrong or refused(
                    "structure", above + name, "one element", "a second one", remedy
                )
            if size and (name in _TEXTS or (above == "Refs/" and name != _NOT_A_TEXT)):
                self.wrong = self.wrong or refused("structure", above + name, "text", "an element")
            if size:
                self._walk(f"{path}/", elements, size)


_SHAPES: Final[dict[tuple[str, tuple[int, ...]], PartsShape]] = {}


def name_of(element: Element) -> str:
    """Local name of an element."""
    return NAMES[element.tag]


def parts_of(element: Element, field_length_max: int, *, without: frozenset[str] = frozenset()) -> Parts:
    """What stands below an element, but for some of its children. Codes ``limit``, ``structure``."""
    if without:
        children = (child for child in element if NAMES[child.tag] not in without)
        nodes = [node for child in children for node in child.iter()]
    else:
        nodes = list(element.iterdescendants())
    tags, sizes = [node.tag for node in nodes], [len(node) for node in nodes]
    key = (" ".join(tags), tuple(sizes))
    shape = _SHAPES.get(key)
    if shape is None:
        shape = PartsShape(tags, sizes)
        if len(_SHAPES) < _SHAPES_MAX:
            _SHAPES[key] = shape
    if shape.wrong is not None:
        raise refused(
            shape.wrong.code, shape.wrong.place, shape.wrong.expected, shape.wrong.found, shape.wrong.remedy
        )
    texts = [node.text for node in nodes]
    stated = list(filter(None, texts))
    if list(map(str.strip, stated)) != stated or sum(map(len, stated)) > field_length_max:  # rare
        texts = [text and text.strip(_XML_SPACE) for text in texts]
        _check_lengths(shape, texts, field_length_max)
    for place in shape.with_elements:
        if texts[place]:
            raise refused("structure", shape.paths[place], "elements", "text between them")
    parts = shape.blank.copy()  # at its full size already, so that nothing grows
    parts.update(zip(shape.paths, texts, strict=True))
    for place, path in shape.amounts:
        parts[path] = nodes[place].get("Ccy")
    return parts


def each(parts: Parts, path: str) -> Iterator[str]:
    """Paths of an element that may stand several times, in order."""
    number = 1
    following = path
    while following in parts:
        yield following
        number += 1
        following = f"{path}#{number}"


def texts_at(parts: Parts, path: str) -> list[str]:
    """Texts of an element that may stand several times, in order, the empty ones left out."""
    if f"{path}#2" not in parts:
        text = parts.get(path)
        return [text] if text else []
    return [text for one in each(parts, path) if (text := parts[one])]


def amount_at(parts: Parts, path: str) -> Amount:
    """Text and currency of an amount."""
    return parts.get(path), parts.get(f"{path}@")


def _check_lengths(shape: PartsShape, texts: list[str | None], field_length_max: int) -> None:
    for place, text in enumerate(texts):
        if text and len(text) > field_length_max:
            expected = f"at most {field_length_max} characters"
            raise refused("limit", shape.paths[place], expected, f"{len(text)}")
