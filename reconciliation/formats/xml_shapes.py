"""Elements of a name that a file repeats, read from its bytes by their shape, without a tree.

A shape is the sequence of tags of one element, gaps and texts apart. One that was seen often enough becomes a regular
expression of exactly these tags, whose groups are the texts. Law: what matches is well-formed, since its tags are
balanced and between them stands only text that XML allows; so a parser need not see it. Anything else (attributes but
a currency, CDATA, comments, other entities than the five of XML, control characters, long or unusual text) matches
nothing and is left to the parser. Every expression is linear: a run of text is taken whole or not at all.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

SIGHTS: Final = 20
"""Of a shape, before an expression is made of it: that costs as much as reading some fifty elements."""

_SHAPES_MAX: Final = 64
_CANDIDATES_MAX: Final = 1_000  # shapes that are counted, and
_LESSONS_MAX: Final = 5_000  # elements that are looked at for it: a hostile file has new ones without end
_BYTES_MAX: Final = 1 << 14
_ELEMENTS_MAX: Final = 160
_DEPTH_MAX: Final = 24
_TOKEN: Final = re.compile(
    rb"<(/?)((?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*)((?: Ccy=(?:\"[A-Z]{3}\"|'[A-Z]{3}'))?)(/?)>([^<]*)"
)
_TEXT: Final = (
    rb"[^<>\x00-\x1f\xef]*+"  # 0xef begins the two characters that XML forbids beyond control characters
)
_PLAIN: Final = re.compile(_TEXT)
_BLANK: Final = b" \t\r\n"
_GAP: Final = rb"[ \t\r\n]*+"
_ENTITY: Final = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)")
_ENTITIES: Final = ((b"&lt;", b"<"), (b"&gt;", b">"), (b"&quot;", b'"'), (b"&apos;", b"'"), (b"&amp;", b"&"))
_MARK: Final = b"\0"  # parts texts: no text holds it

Texts = list[str | None]


@dataclass(slots=True)
class Shape:
    """Local names of what stands below an element, in document order, and which of it the texts are."""

    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # number of children of each
    groups: list[tuple[int, bool]] = field(
        default_factory=list
    )  # of each text: element, whether its currency
    plan: Any = None  # what the reader of the message makes of it, once; a shape without is none


@dataclass(frozen=True, slots=True)
class Shaped:
    """How elements are read by their shapes. ``planned`` gives a plan, or None where a shape cannot be used."""

    planned: Callable[[Shape], object]
    text_max: int  # bytes of all texts of an element
    with_currency: frozenset[str]  # elements whose currency is a text
    sights: int = SIGHTS


@dataclass(slots=True)
class _Sketch:
    """A shape while its tags are gone through."""

    shape: Shape = field(default_factory=Shape)
    compact: list[bytes] = field(
        default_factory=list
    )  # parts of the expression, between which gaps may stand
    loose: bool = False  # whether there were gaps


class ElementShapes:
    """Shapes of the elements with one tag, as one file teaches them.

    >>> shaped = Shaped(planned=str, text_max=100, with_currency=frozenset({"Amt"}), sights=1)
    >>> shapes = ElementShapes(b"Ntry", shaped, encoding="utf-8")
    >>> shape, texts, end = shapes.match(b"<Ntry><Amt Ccy='EUR'>1.00</Amt></Ntry>", 0)
    >>> shape.names, texts
    (['Amt'], ['EUR', '1.00'])
    >>> shapes.match(b"<Ntry><!-- --><Amt Ccy='EUR'>1.00</Amt></Ntry>", 0) is None
    True
    """

    def __init__(self, tag: bytes, shaped: Shaped, *, encoding: str) -> None:
        self.start, self.end = b"<" + tag + b">", b"</" + tag + b">"
        self._prefix = tag[: tag.find(b":") + 1]
        self._encoding = encoding
        self._shaped = shaped
        self._known: dict[int, list[tuple[re.Pattern[bytes], Shape]]] = {}  # by number of tags
        self._last: tuple[re.Pattern[bytes], Shape] | None = None
        self._count = 0
        self._seen: dict[bytes, int] = {}
        self._lessons = 0

    def match(self, text: bytes, start: int) -> tuple[Shape, Texts, int] | None:
        """Shape and texts of the element that starts here, and where it ends."""
        last = self._last
        found = last[0].match(text, start) if last is not None else None
        if found is None:
            last = self._other(text, start)
            found = last[0].match(text, start) if last is not None else None
            if found is None or last is None:
                return None
            self._last = last
        joined = _MARK.join(found.groups())
        if len(joined) > self._shaped.text_max:
            return None
        if b"&" in joined:
            if _ENTITY.search(joined) is not None:
                return None
            for written, meant in _ENTITIES:
                joined = joined.replace(written, meant)
        try:
            texts: Texts = [*joined.decode(self._encoding).split("\0")]
        except UnicodeDecodeError:
            return None
        if b" \0" in joined or b"\0 " in joined or joined.strip(b" ") != joined:
            stripped = [text and text.strip(" ") for text in texts]
            if stripped.count("") != texts.count(""):
                return None  # nothing but blanks: a parser may keep them or not
            texts = stripped
        if "" in texts:
            texts = [text or None for text in texts]
        return last[1], texts, found.end()  # type: ignore[index]  # found by it

    def _other(self, text: bytes, start: int) -> tuple[re.Pattern[bytes], Shape] | None:
        """The shape that matches here, of those that are known or are learnt now."""
        end = text.find(self.end, start)
        if end < 0 or end - start > _BYTES_MAX:
            return None
        shapes = self._known.get(text.count(b"<", start, end))
        for place, known in enumerate(shapes or ()):
            if known[0].match(text, start) is not None:
                if place and shapes:
                    shapes.insert(0, shapes.pop(place))  # the ones in use come first
                return known
        return self._learn(text[start : end + len(self.end)])

    def _learn(self, element: bytes) -> tuple[re.Pattern[bytes], Shape] | None:
        if self._count >= _SHAPES_MAX or self._lessons >= _LESSONS_MAX:
            return None
        self._lessons += 1
        sketch = self._sketch(element)
        if sketch is None:
            return None
        pattern = (_GAP if sketch.loose else b"").join(sketch.compact)
        seen = self._seen.get(pattern, 0) + 1
        if seen > 1 or len(self._seen) < _CANDIDATES_MAX:
            self._seen[pattern] = seen
        if seen < self._shaped.sights:
            return None
        sketch.shape.plan = self._shaped.planned(sketch.shape)
        if sketch.shape.plan is None:
            self._seen[pattern] = -_LESSONS_MAX  # never
            return None
        self._count += 1
        known = (re.compile(pattern), sketch.shape)
        self._known.setdefault(element.count(b"<") - 1, []).insert(0, known)
        return known

    def _sketch(self, element: bytes) -> _Sketch | None:
        """The shape of an element's bytes; None if it has none."""
        tokens = _TOKEN.findall(element)
        length = sum(len(b"".join(token)) + 2 for token in tokens)
        if length != len(element) or len(tokens) > 2 * _ELEMENTS_MAX:
            return None
        sketch = _Sketch()
        shape = sketch.shape
        above: list[tuple[bytes, int]] = []  # open elements, and which they are
        for place, (closing, name, currency, empty, text) in enumerate(tokens):
            if not name.startswith(self._prefix) or b":" in name[len(self._prefix) :]:
                return None
            if closing:
                if not above or currency or empty or above.pop()[0] != name:
                    return None
                if tokens[place - 1][0] or tokens[place - 1][3] or tokens[place - 1][1] != name:
                    sketch.compact.append(b"</" + re.escape(name) + b">")
            else:
                number = self._opened(shape, above, name)
                leaf = not empty and place + 1 < len(tokens) and tokens[place + 1][:2] == (b"/", name)
                if not self._written(sketch, number, token=(name, currency, empty, text), leaf=leaf):
                    return None
                if not empty:
                    above.append((name, number))
                if leaf:
                    continue
            if text.strip(_BLANK):
                return None
            sketch.loose |= bool(text)
            if len(above) > _DEPTH_MAX or (not above and place + 1 < len(tokens)):
                return None
        return None if above or not shape.groups else sketch

    def _opened(self, shape: Shape, above: list[tuple[bytes, int]], name: bytes) -> int:
        """Number of an element of the shape; the outermost is none of it."""
        if not above:
            return -1
        shape.names.append(name[len(self._prefix) :].decode("ascii"))
        shape.sizes.append(0)
        if above[-1][1] >= 0:
            shape.sizes[above[-1][1]] += 1
        return len(shape.names) - 1

    def _written(
        self, sketch: _Sketch, number: int, *, token: tuple[bytes, bytes, bytes, bytes], leaf: bool
    ) -> bool:
        """Add the expression of a start tag, and of all of a leaf. False if there can be none."""
        name, currency, empty, text = token
        written = b"<" + re.escape(name)
        if number < 0 and (currency or leaf or empty):
            return False
        if currency:
            asked = sketch.shape.names[number] in self._shaped.with_currency
            value = b"([A-Z]{3})" if asked else b"[A-Z]{3}"
            written += currency[:6] + value + currency[-1:]
            if asked:
                sketch.shape.groups.append((number, True))
        written += empty + b">"
        if leaf:
            if _PLAIN.fullmatch(text) is None:
                return False
            sketch.shape.groups.append((number, False))
            written += b"(" + _TEXT + b")</" + re.escape(name) + b">"
        sketch.compact.append(written)
        return True
