"""Small pictures of numbers that stand beside them: columns, a bar in a table row, the trend of a rate. Pure.

Law: a chart says nothing that the numbers beside it do not say; equal values make equal bytes, below two kilobytes,
whatever the texts are. Plain SVG with classes: no style, no script, no identifier that two charts on one page could
share. Coordinates are integers, or tenths made of integers. Screen readers get title and description.

Example: ``sparkline((950, 970, 960), title="Matched", unit="‰")`` is a line of three points, described as
"3 values from 950 to 970 ‰, the last 960 ‰".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

POINTS_MAX: Final = 60
COLUMNS_MAX: Final = 7
_TITLE_BYTES, _WORDS_BYTES, _LABEL_BYTES = 120, 240, 40  # as written out; keeps the law of two kilobytes
_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_EDGE = 120, 24, 2
_COLUMN_WIDTH, _COLUMN_GAP, _COLUMNS_HEIGHT, _WORDS_HEIGHT = 64, 12, 72, 16
_BAR_WIDTH, _BAR_HEIGHT = 96, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: how high it is, and the words under and above it."""

    label: str
    value: int
    words: str


def sparkline(
    values: Sequence[int], *, title: str, unit: str = "", tell: Callable[[int], str] = str
) -> Markup:
    """The trend of at most the last ``POINTS_MAX`` values, the lowest at the bottom; nothing for no value."""
    shown = values[-POINTS_MAX:]
    if not shown:
        return Markup()
    low, high = min(shown), max(shown)
    ending = f" {unit}" if unit else ""
    words = (
        f"{len(shown)} values from {tell(low)} to {tell(high)}{ending}, the last {tell(shown[-1])}{ending}"
    )
    points = [
        (
            _place(number, len(shown) - 1, _SPARK_WIDTH),
            _SPARK_HEIGHT * 10 - _place(value - low, high - low, _SPARK_HEIGHT),
        )
        for number, value in enumerate(shown)
    ]
    path = Markup(" ").join(f"{_tenths(x)},{_tenths(y)}" for x, y in points)
    last_x, last_y = points[-1]
    drawing = Markup(
        '<polyline class="line" fill="none" points="{}"/><circle class="dot" cx="{}" cy="{}" r="2"/>'
    )
    return _svg(
        "chart spark",
        (_SPARK_WIDTH, _SPARK_HEIGHT),
        title=title,
        words=words,
        drawing=drawing.format(path, _tenths(last_x), _tenths(last_y)),
    )


def columns(told: Sequence[Column], *, title: str) -> Markup:
    """Columns side by side, the highest as high as the picture; at most ``COLUMNS_MAX``, none of them negative."""
    if len(told) > COLUMNS_MAX or any(column.value < 0 for column in told):
        raise ValueError(f"expected at most {COLUMNS_MAX} columns, none negative, found {len(told)}")
    if not told:
        return Markup()
    highest = max(column.value for column in told)
    width = len(told) * (_COLUMN_WIDTH + _COLUMN_GAP) - _COLUMN_GAP
    drawing = Markup()
    for number, column in enumerate(told):
        height = _height(column.value, highest)
        left, top = number * (_COLUMN_WIDTH + _COLUMN_GAP), _WORDS_HEIGHT + _COLUMNS_HEIGHT - height
        middle = left + _COLUMN_WIDTH // 2
        drawing += Markup(
            '<rect class="bar" x="{}" y="{}" width="{}" height="{}"/><text x="{}" y="{}">{}</text>'
            '<text x="{}" y="{}">{}</text>'
        ).format(
            left, top, _COLUMN_WIDTH, height, middle, top - 4, _cut(column.words, _LABEL_BYTES),
            middle, _WORDS_HEIGHT * 2 + _COLUMNS_HEIGHT - 3, _cut(column.label, _LABEL_BYTES),
        )  # fmt: skip
    words = "; ".join(f"{column.label}: {column.words}" for column in told)
    return _svg(
        "chart columns",
        (width, _COLUMNS_HEIGHT + 2 * _WORDS_HEIGHT),
        title=title,
        words=words,
        drawing=Markup('<g text-anchor="middle">{}</g>').format(drawing),
    )


def bar(value: int, *, of: int) -> Markup:
    """A bar of the share that a value has of the largest one, for a row that says the number itself."""
    if value < 0 or of < value:
        raise ValueError(f"expected a share of {of}, found {value}")
    width = _place(value, of, _BAR_WIDTH - _SPARK_EDGE * 2) if of else 0
    width = max(width, 10) if value else 0
    return Markup(
        '<svg class="chart share" viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-hidden="true">'
        '<rect class="bar" width="{x}" height="{h}"/></svg>'
    ).format(w=_BAR_WIDTH, h=_BAR_HEIGHT, x=_tenths(width - _SPARK_EDGE * 10) if value else 0)


def _svg(kind: str, size: tuple[int, int], *, title: str, words: str, drawing: Markup) -> Markup:
    width, height = size
    return Markup(
        '<svg class="{}" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}">'
        "<title>{}</title><desc>{}</desc>{}</svg>"
    ).format(kind, _cut(title, _TITLE_BYTES), _cut(words, _WORDS_BYTES), drawing, w=width, h=height)


def _place(part: int, whole: int, length: int) -> int:
    """Where a part of a whole lies on a length with a margin at both ends, in tenths, rounded half up."""
    inside = (length - 2 * _SPARK_EDGE) * 10
    return _SPARK_EDGE * 10 + ((2 * part * inside + whole) // (2 * whole) if whole else inside // 2)


def _height(value: int, highest: int) -> int:
    """Pixels of a column: none for nothing, at least one for something."""
    return max(1, value * _COLUMNS_HEIGHT // highest) if value else 0


def _tenths(number: int) -> str:
    whole, rest = divmod(number, 10)
    return f"{whole}.{rest}" if rest else str(whole)


def _cut(text: str, bytes_max: int) -> Markup:
    """A text, escaped, without what cannot be printed, and not longer than so many bytes."""
    kept = Markup()
    size = 0
    for letter in text:
        if not letter.isprintable():
            continue
        written = escape(letter)
        size += len(str(written).encode("utf-8"))
        if size > bytes_max - 3:  # room for the mark of what was left out
            return kept + Markup("…")
        kept += written
    return kept
