"""Charts: small, the same twice, well formed whatever the words are, and free of what the content policy refuses."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from reconciliation.review.charts import COLUMNS_MAX, Column, bar, columns, sparkline

NASTY = st.text(max_size=400) | st.sampled_from(
    ["<script>alert(1)</script>", "\"&'<>" * 40, "\x00\x1b]", "😀" * 200]
)
VALUES = st.integers(min_value=0, max_value=2**63 - 1)
DRAWN = st.one_of(
    st.builds(
        sparkline,
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=300),
        title=NASTY,
        unit=NASTY,
    ),
    st.builds(
        columns,
        st.lists(st.builds(Column, label=NASTY, value=VALUES, words=NASTY), min_size=1, max_size=COLUMNS_MAX),
        title=NASTY,
    ),
    st.tuples(VALUES, VALUES).map(lambda pair: bar(min(pair), of=max(pair))),
)


@given(DRAWN)
@settings(max_examples=150)
def test_every_chart_is_small_well_formed_and_without_style_or_script(drawn: Markup) -> None:
    assert len(drawn.encode()) < 2048
    root = ET.fromstring(drawn)  # noqa: S314 - our own text
    names = {element.tag for element in root.iter()}
    assert names <= {"svg", "g", "title", "desc", "polyline", "circle", "rect", "text"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not attributes & {"style", "id", "href"}
    assert not any(name.startswith("on") for name in attributes)
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    for rect in root.iter("rect"):
        assert 0 <= float(rect.get("x", "0")) + float(rect.get("width", "0")) <= width
        assert 0 <= float(rect.get("y", "0")) + float(rect.get("height", "0")) <= height
    for line in root.iter("polyline"):
        for x, y in re.findall(r"([-\d.]+),([-\d.]+)", line.attrib["points"]):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height


def test_a_trend_says_in_words_what_it_draws() -> None:
    drawn = sparkline((950, 970, 960), title="Matched at bank", unit="‰")
    assert drawn == sparkline((950, 970, 960), title="Matched at bank", unit="‰")
    assert "<title>Matched at bank</title>" in drawn
    assert "<desc>3 values from 950 to 970 ‰, the last 960 ‰</desc>" in drawn
    assert 'points="2,22 60,2 118,12"' in drawn


def test_the_highest_column_fills_the_picture_and_nothing_has_no_height() -> None:
    told = [
        Column(label="< 1", value=0, words="0"),
        Column(label="1–3", value=1, words="1"),
        Column(label="> 30", value=10_000, words="10 000"),
    ]
    heights = [
        int(rect.attrib["height"])
        for rect in ET.fromstring(columns(told, title="Age")).iter("rect")  # noqa: S314 - our own text
    ]
    assert heights == [0, 1, 72]


def test_no_value_draws_nothing_and_a_share_above_the_whole_is_refused() -> None:
    assert sparkline((), title="Nothing yet") == ""
    assert columns((), title="Nothing yet") == ""
    with pytest.raises(ValueError, match="expected a share of 3, found 4"):
        bar(4, of=3)
    with pytest.raises(ValueError, match="none negative"):
        columns([Column(label="a", value=-1, words="-1")], title="Below")
