"""Templates and the files that browsers fetch beside the pages.

Laws: every value is escaped unless a template says otherwise, a name that is missing is an error, and characters that
change the direction of text or are no text are shown by their number, so that nothing on a page reads other than it is.
Files are served from a fixed list and named by their content, so that browsers may keep them for good.

Example:
    render("error.html", title="Not found", said="There is no exception 7.")
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ledger_core.money import ISO_4217_EXPONENTS, format_minor
from reconciliation.review import words

FOLDER: Final = Path(__file__).parent
STATIC_TYPES: Final = {
    "style.css": "text/css; charset=utf-8",
    "figures.css": "text/css; charset=utf-8",
    "detail.css": "text/css; charset=utf-8",
    "keys.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_MISLEADING: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_THOUSANDS: Final = re.compile(r"(?<=\d)(?=(?:\d{3})+(?!\d))")


def visible(value: Any) -> Any:
    """Text with misleading characters written as their numbers; anything else as it is."""
    if type(value) is not str or not _MISLEADING.search(value):
        return value
    return _MISLEADING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", value.replace("\r\n", "\n"))


def exact(value: str) -> Markup:
    """Escaped text with every character as it came, for the values of form fields."""
    return escape(value)


def money(amount_minor: int | None, asset: str | None) -> str:
    """An amount for people: grouped by thousands, with the asset's digits. Empty where there is none.

    An asset that ISO 4217 does not know is shown in its minor units, and says so.
    """
    if amount_minor is None:
        return ""
    exponent = ISO_4217_EXPONENTS.get(asset or "")
    plain = format_minor(amount_minor, exponent or 0)
    whole, mark, fraction = plain.partition(".")
    return _THOUSANDS.sub(",", whole) + mark + fraction + ("" if exponent is not None or not amount_minor else " minor")


def instant(at: datetime | None) -> str:
    """A moment to the minute, in UTC. Empty where there is none."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def short(text: str | None, characters: int) -> str:
    """The beginning of a text, with a mark where something is left out."""
    text = text or ""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def points(millibits: int | None) -> str:
    """Evidence to one decimal, half away from zero."""
    if millibits is None:
        return ""
    tenths = (abs(millibits) + 50) // 100
    return f"{'-' if millibits < 0 and tenths else ''}{tenths // 10}.{tenths % 10}"


def pairs(codes: Iterable[str], chosen: str = "") -> list[tuple[str, str]]:
    """Options of a choice whose words are their codes; with what is chosen, if it is none of them."""
    return pairs_of(((code, code) for code in codes), chosen)


def pairs_of(options: Iterable[tuple[str, str]], chosen: str = "") -> list[tuple[str, str]]:
    """Options of a choice, with what is chosen if it is none of them: several values at once, from an address."""
    known = list(options)
    return known if not chosen or chosen in dict(known) else [*known, (chosen, chosen.replace(",", ", "))]


def static_file(name: str) -> tuple[bytes, str, str] | None:
    """Content, media type and short hash of a file that may be fetched."""
    return _FILES.get(name)


def static_url(name: str) -> str:
    """Address of a file, different for every content."""
    return f"/static/{name}?v={_FILES[name][2]}"


def render(template: str, values: Mapping[str, Any]) -> str:
    """A template filled."""
    return _ENVIRONMENT.get_template(template).render(values)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"exact": exact, "instant": instant, "money": money, "thousands": "{:,}".format}
    environment.globals |= {"static": static_url, "words": words, "money": money}
    environment.globals |= {"pairs": pairs, "pairs_of": pairs_of, "points": points, "short": short}
    return environment


def _files() -> dict[str, tuple[bytes, str, str]]:
    contents = {name: (FOLDER / "static" / name).read_bytes() for name in STATIC_TYPES}
    return {
        name: (content, STATIC_TYPES[name], hashlib.sha256(content).hexdigest()[:16])
        for name, content in contents.items()
    }


_ENVIRONMENT: Final = _environment()
_FILES: Final = _files()
