"""Values of a mapping that pydantic checks with a sentence of its own: encodings, zones, kinds, date patterns, columns.

Law: a name that is not known is an error that names the nearest known one. No behaviour beyond that.
"""

import codecs
import difflib
import re
from typing import Annotated, Any, Final
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from reconciliation.vocabulary import FEE_TYPES, LINE_KINDS, LINE_STATUSES

_ENCODINGS: Final = re.compile(
    r"utf-8|ascii|utf-16(-le|-be)?|iso8859-\d{1,2}|cp125\d|cp437|cp85\d|mac-roman", re.ASCII
)
_DIRECTIVE: Final = re.compile(r"%(-?[A-Za-z]|.)?", re.DOTALL)
_DIRECTIVES: Final = {
    "d": "day",
    "m": "month",
    "y": "year",
    "Y": "year",
    "b": "month",
    "B": "month",
    "H": "hour",
    "I": "hour",
    "p": "half",
    "M": "minute",
    "S": "second",
    "f": "fraction",
    "z": "offset",
}
_UNPADDED: Final = frozenset("dmHI")


class Block(BaseModel):
    """A part of a mapping: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def near(name: str, known: tuple[str, ...] | frozenset[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    found = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _known_encoding(name: str) -> str:
    try:
        canonical = codecs.lookup(name).name
    except LookupError:
        canonical = ""
    if not _ENCODINGS.fullmatch(canonical):
        raise ValueError("not an encoding of text that tables come in, such as utf-8, cp1252 or utf-16")
    return canonical


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"no such time zone{near(name, frozenset(available_timezones()))}")
    return name


def _known_kind(name: str) -> str:
    if name not in LINE_KINDS:
        raise ValueError(f"no such kind of line{near(name, LINE_KINDS)}")
    return name


def _known_status(name: str) -> str:
    if name not in LINE_STATUSES:
        raise ValueError(f"no such status of a line{near(name, LINE_STATUSES)}")
    return name


def _known_fee(name: str) -> str:
    if name not in FEE_TYPES:
        raise ValueError(f"no such type of fee{near(name, FEE_TYPES)}")
    return name


def _date_pattern(pattern: str) -> str:
    """A pattern of known directives that names a day, each part at most once."""
    parts: list[str] = []
    rest_from = pattern.find("%*")
    if rest_from not in {-1, len(pattern) - 2}:
        raise ValueError("%* (anything may follow) stands at the end of a pattern")
    for found in _DIRECTIVE.finditer(pattern.removesuffix("%*")):
        directive = found.group(1) or ""
        if directive == "%":
            continue
        letter = directive.removeprefix("-")
        if letter not in _DIRECTIVES or (directive.startswith("-") and letter not in _UNPADDED):
            known = ", ".join(f"%{name}" for name in _DIRECTIVES)
            raise ValueError(
                f"%{directive} is not known; there are {known}, %-d and the like for one digit or two"
            )
        parts.append(_DIRECTIVES[letter])
    repeated = next((part for part in parts if parts.count(part) > 1), None)
    if repeated:
        raise ValueError(f"the {repeated} is named twice")
    missing = [part for part in ("day", "month", "year") if part not in parts]
    if missing:
        raise ValueError(f"names no {missing[0]}")
    if ("%I" in pattern or "%-I" in pattern) != ("half" in parts):
        raise ValueError("%I (hours to twelve) and %p (AM or PM) go together")
    return pattern


def _as_tuple(value: object) -> object:
    """One word where several may stand."""
    return (value,) if isinstance(value, str) else value


def _delimiter(text: str) -> str:
    mark = "\t" if text in {"tab", "\\t"} else text
    if len(mark) != 1 or mark in "\r\n\"'" or not mark.isascii():
        raise ValueError("one character that parts the columns, or tab")
    return mark


ColumnName = Annotated[str, Field(min_length=1, max_length=200)]
ColumnNames = Annotated[
    tuple[ColumnName, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=20)
]
Zone = Annotated[str, AfterValidator(_known_zone)]
KindName = Annotated[str, AfterValidator(_known_kind)]
StatusName = Annotated[str, AfterValidator(_known_status)]
AssetCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
DatePattern = Annotated[str, Field(min_length=4, max_length=60), AfterValidator(_date_pattern)]
FeeType = Annotated[str, AfterValidator(_known_fee)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]
Delimiter = Annotated[str, AfterValidator(_delimiter)]
OneOrMore: Final[Any] = BeforeValidator(_as_tuple)
"""Lets a single value stand for a list of one."""
Words = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=1000)]
