"""Elements of a name that a file repeats, read from its text by their shape, without a tree.

A shape is the sequence of tags of one element, gaps and texts apart. One that was seen often enough becomes a regular
expression of exactly these tags, whose groups are the texts. Law: what matches is well-formed, since its tags are
balanced and between them stands only text that XML allows; so a parser need not see it. Anything else (attributes but
a currency, CDATA, comments, other entities than the five of XML, control characters, long or unusual text) matches
nothing and is left to the parser. Every expression is linear: a run of text is taken whole or not at all.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

SIGHTS: Final = 20
"""Of a shape, before an expression is made of it: that costs as much as reading some fifty elements."""

_SHAPES_MAX: Final = 64
_CANDIDATES_MAX: Final = 1_000  # shapes that are counted, and
_LESSONS_MAX: Final = 5_000  # elements that are looked at for it: a hostile file has new ones without end
_LENGTH_MAX: Final = 1 << 14
_ELEMENTS_MAX: Final = 160
_DEPTH_MAX: Final = 24
_TOKEN: Final = re.compile(
    r"<(/?)((?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*)((?: Ccy=(?:\"[A-Z]{3}\"|'[A-Z]{3}'))?)(/?)>([^<]*)",
    re.ASCII,
)
_TEXT: Final = r"(?:[^<>\x00-\x20][^<>\x00-\x1f]*+)?+(?<! )"  # without blanks at its ends
_PADDED_TEXT: Final = r"[^<>\x00-\x1f]*+"
_PLAIN: Final = re.compile(_PADDED_TEXT)
_BLANK: Final = " \t\r\n"
_GAP: Final = r"[ \t\r\n]*+"
_ENTITY: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)")
_ENTITIES: Final = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))
Texts = tuple[str | None, ...]


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
    text_max: int  # characters of all texts of an element
    with_currency: frozenset[str]  # elements whose currency is a text
    sights: int = SIGHTS


_Token = tuple[str, str, str, str, str]
"""Slash of an end tag, name, attribute, slash of an empty element, text behind it."""

_Known = tuple[Callable[[str, int], re.Match[str] | None], Shape, bool]
"""The expression's match, the shape, and whether texts may have blanks at their ends."""


@dataclass(slots=True)
class _Sketch:
    """A shape while its tags are gone through."""

    shape: Shape = field(default_factory=Shape)
    compact: list[str] = field(default_factory=list)  # the expression, in parts between which gaps may stand
    loose: bool = False  # whether there were gaps
    padded: bool = False  # whether there were blanks at the ends of a text

    def pattern(self) -> str:
        """The expression."""
        pattern = (_GAP if self.loose else "").join(self.compact)
        return pattern.replace(_TEXT, _PADDED_TEXT) if self.padded else pattern


class ElementShapes:
    """Shapes of the elements with one tag, as one file teaches them.

    >>> shaped = Shaped(planned=str, text_max=100, with_currency=frozenset({"Amt"}), sights=1)
    >>> shapes = ElementShapes("Ntry", shaped)
    >>> shape, texts, end = shapes.match("<Ntry><Amt Ccy='EUR'>1.00</Amt></Ntry>", 0)
    >>> shape.names, texts
    (['Amt'], ('EUR', '1.00'))
    >>> shapes.match("<Ntry><!-- --><Amt Ccy='EUR'>1.00</Amt></Ntry>", 0) is None
    True
    """

    def __init__(self, tag: str, shaped: Shaped) -> None:
        self.start, self.end = f"<{tag}>", f"</{tag}>"
        self._prefix = tag[: tag.find(":") + 1]
        self._shaped = shaped
        self._known: dict[int, list[_Known]] = {}  # by number of tags
        self._last: _Known | None = None
        self._before: _Known | None = None  # files alternate between credits and debits
        self._count = 0
        self._seen: dict[str, int] = {}
        self._lessons = 0

    def match(self, text: str, start: int) -> tuple[Shape, Texts, int] | None:
        """Shape and texts of the element that starts here, and where it ends."""
        known = self._last
        found = known[0](text, start) if known is not None else None
        if found is None:
            known = self._before
            found = known[0](text, start) if known is not None else None
            if found is None:
                known, found = self._other(text, start)
            if known is None:
                return None
            self._last, self._before = known, self._last
        if found is None or known is None:
            return None
        texts: Texts = found.groups()
        end = found.end()
        if end - start > self._shaped.text_max or text.find("&", start, end) >= 0:
            plain = _plain(found.groups(), self._shaped.text_max)
            if plain is None:
                return None
            texts = plain
        if known[2]:
            stripped = tuple([text and text.strip(" ") for text in texts])
            if stripped != texts:
                if stripped.count("") != texts.count(""):
                    return None  # nothing but blanks: a parser may keep them or not
                texts = stripped
        if "" in texts:
            texts = tuple([text or None for text in texts])
        return known[1], texts, end

    def _other(self, text: str, start: int) -> tuple[_Known | None, re.Match[str] | None]:
        """The shape that matches here, of those that are known or are learnt now."""
        end = text.find(self.end, start)
        if end < 0 or end - start > _LENGTH_MAX:
            return None, None
        for known in self._known.get(text.count("<", start, end), ()):
            if known is not self._last and known is not self._before:
                found = known[0](text, start)
                if found is not None:
                    return known, found
        learnt = self._learn(text[start : end + len(self.end)])
        return learnt, learnt and learnt[0](text, start)

    def _learn(self, element: str) -> _Known | None:
        if self._count >= _SHAPES_MAX or self._lessons >= _LESSONS_MAX:
            return None
        self._lessons += 1
        sketch = self._sketch(element)
        if sketch is None:
            return None
        pattern = sketch.pattern()
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
        known = (re.compile(pattern).match, sketch.shape, sketch.padded)
        self._known.setdefault(element.count("<") - 1, []).append(known)
        return known

    def _sketch(self, element: str) -> _Sketch | None:
        """The shape of an element's text; None if it has none."""
        tokens: list[_Token] = _TOKEN.findall(element)
        length = sum(len("".join(token)) + 2 for token in tokens)
        if length != len(element) or len(tokens) > 2 * _ELEMENTS_MAX or not self._named(tokens):
            return None
        sketch = _Sketch()
        above: list[tuple[str, int]] = []  # open elements, and which they are
        leaf = False
        for place, token in enumerate(tokens):
            closing, name, currency, empty, text = token
            if closing:
                if not above or currency or empty or above.pop()[0] != name:
                    return None
                if not leaf:
                    sketch.compact.append("</" + re.escape(name) + ">")
                leaf = False
            else:
                number = self._opened(sketch.shape, above, name)
                leaf = (
                    not empty and tokens[place + 1 : place + 2] != [] and tokens[place + 1][:2] == ("/", name)
                )
                if not self._written(sketch, number, token, leaf=leaf):
                    return None
                if not empty:
                    above.append((name, number))
                if leaf:
                    continue
            if text.strip(_BLANK) or len(above) > _DEPTH_MAX or (not above and place + 1 < len(tokens)):
                return None
            sketch.loose |= bool(text)
        return None if above or not sketch.shape.groups else sketch

    def _named(self, tokens: list[_Token]) -> bool:
        """Whether all names have the one prefix, and no inner one is the element's own: its first end is its end."""
        names = [token[1] for token in tokens]
        prefixed = all(
            name.startswith(self._prefix) and ":" not in name[len(self._prefix) :] for name in names
        )
        return prefixed and names.count(names[0]) == 2

    def _opened(self, shape: Shape, above: list[tuple[str, int]], name: str) -> int:
        """Number of an element of the shape; the outermost is none of it."""
        if not above:
            return -1
        shape.names.append(name[len(self._prefix) :])
        shape.sizes.append(0)
        if above[-1][1] >= 0:
            shape.sizes[above[-1][1]] += 1
        return len(shape.names) - 1

    def _written(self, sketch: _Sketch, number: int, token: _Token, *, leaf: bool) -> bool:
        """Add the expression of a start tag, and of all of a leaf. False if there can be none."""
        _, name, currency, empty, text = token
        written = "<" + re.escape(name)
        if number < 0 and (currency or leaf or empty):
            return False
        if currency:
            asked = sketch.shape.names[number] in self._shaped.with_currency
            value = "([A-Z]{3})" if asked else "[A-Z]{3}"
            written += currency[:6] + value + currency[-1:]
            if asked:
                sketch.shape.groups.append((number, True))
        written += empty + ">"
        if leaf:
            if _PLAIN.fullmatch(text) is None:
                return False
            sketch.padded |= text.strip(" ") != text
            sketch.shape.groups.append((number, False))
            written += "(" + _TEXT + ")</" + re.escape(name) + ">"
        sketch.compact.append(written)
        return True


def _plain(texts: tuple[str, ...], text_max: int) -> tuple[str, ...] | None:
    """The characters that texts with entities mean; None for other entities than those of XML, and for too many."""
    if sum(map(len, texts)) > text_max:
        return None
    plain = []
    for text in texts:
        if "&" in text:
            if _ENTITY.search(text) is not None:
                return None
            plain.append(reduce(lambda done, pair: done.replace(*pair), _ENTITIES, text))
        else:
            plain.append(text)
    return tuple(plain)
