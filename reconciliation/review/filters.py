"""What a list shows, as a typed value that is the same as an address.

Laws: every parameter is typed, and a bad one is refused by its name; one filter has one address (empty parameters
removed, fixed order). ``owner=me`` and what depends on the day are resolved when it is asked, so that a queue stays
true. Each status of rows has its own orders, those that an index gives. Runs no query.

Example:
    Filter.from_query("severity=critical&status=&owner=me").to_query()  # "severity=critical&owner=me"
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from starlette.datastructures import ImmutableMultiDict

from reconciliation.errors import ReconciliationError
from reconciliation.review import conditions, words
from reconciliation.review.conditions import AGES, CONDITIONS, DUES, SPAN, Part

OPEN_STATUSES: Final = ("open", "taken", "proposed", "approved", "carried")
CLOSED_STATUSES: Final = ("cleared", "resolved")
EVERY_STATUS: Final = "any"
ME: Final = "me"
ORDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "open": ("worst", "value", "due", "age", "newest"),
    "closed": ("cleared", "newest"),
    "any": ("newest",),
}
"""The orders that there are, by which rows are looked at; the first is the usual one."""

_FIELD_OF: Final = {"class": "class_"}
_RANKS: Final = {"critical": 4, "high": 3, "medium": 2, "low": 1, "info": 0}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "severity": words.SEVERITIES,
    "kind": tuple(words.KINDS),
    "class": tuple(words.CLASSES),
}
_LISTED: Final = {
    "source": re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII),
    "asset": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}", re.ASCII),
}
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "age": tuple(AGES),
    "snoozed": ("yes", "no"),
    "suggested": ("yes", "no"),
    "sort": ("worst", "value", "due", "age", "newest", "cleared"),
}
_SHAPED: Final = {
    "owner": (re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}", re.ASCII), "a login, me or nobody"),
    "team": (re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}", re.ASCII), "a team or nobody"),
    "amount_from": (
        re.compile(r"(0|[1-9]\d{0,18})(\.\d{1,18})?", re.ASCII),
        "an amount such as 1000 or 0.50",
    ),
    "amount_to": (re.compile(r"(0|[1-9]\d{0,18})(\.\d{1,18})?", re.ASCII), "an amount such as 1000 or 0.50"),
}
_SPANS: Final = ("due", "dated", "opened", "cleared")
_LESS_USED: Final = (
    *("reference", "owner", "team", "asset", "amount_from", "amount_to", "age", "due"),
    *("dated", "opened", "cleared", "snoozed", "suggested"),
)
_TEXT_MAX: Final = 200
_VALUES_MAX: Final = 40


class FilterProblem(ReconciliationError):
    """A parameter of a list that is none, or has a value that it cannot have."""

    def __init__(self, parameter: str, said: str) -> None:
        self.parameter = parameter
        super().__init__(f"{parameter}: {said}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One list. Empty is everything that is open, the worst first.

    ``class_`` is ``class`` in the address. Amounts are decimal text of whole units, compared with the absolute value;
    days are ``2026-11-30`` or ``from..to``, either end open; ``due`` may be late, today, week (seven days) or none.
    ``reference`` is a beginning; ``q`` a part of reference or counterparty, or a whole key. No ``sort``: the usual one.
    """

    status: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    severity: tuple[str, ...] = ()
    asset: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    class_: tuple[str, ...] = ()
    owner: str = ""
    team: str = ""
    amount_from: str = ""
    amount_to: str = ""
    age: str = ""
    due: str = ""
    dated: str = ""
    opened: str = ""
    cleared: str = ""
    snoozed: str = ""
    suggested: str = ""
    reference: str = ""
    q: str = ""
    sort: str = ""

    @classmethod
    def from_query(
        cls, query: ImmutableMultiDict[Any, Any] | str, *, beside: Iterable[str] = ("after", "before")
    ) -> "Filter":
        """Read an address; ``beside`` are parameters that belong to somebody else.

        Raises:
            FilterProblem: a parameter is unknown, given twice where one fits, or has a bad value.
        """
        pairs = _pairs(query) if isinstance(query, str) else query.multi_items()
        given: dict[str, list[str]] = {}
        for name, value in pairs:
            if name not in beside and value.strip():
                given.setdefault(name, []).append(value.strip())
        for name in given:
            if name not in NAMES:
                near = difflib.get_close_matches(name, NAMES, n=1)
                raise FilterProblem(
                    name[:40], f"a list has no such parameter{f'; did you mean {near[0]}?' if near else ''}"
                )
        found = cls(**{_FIELD_OF.get(name, name): _read(name, values) for name, values in given.items()})
        found.refuse_contradictions()
        return replace(found, sort="" if found.is_usual else found.sort)

    def refuse_contradictions(self) -> None:
        """Nothing for a filter that can be shown.

        Raises:
            FilterProblem: it asks for an order that its rows do not have, or for days of clearing of what is open.
        """
        if self.order not in ORDERS[self.looks_at]:
            expected = " or ".join(ORDERS[self.looks_at])
            raise FilterProblem("sort", f"expected {expected} for rows of this status, found {self.order}")
        if self.cleared and self.looks_at != "closed":
            raise FilterProblem("cleared", "expected together with status=cleared, resolved or closed")

    def to_query(self) -> str:
        """The address, without what is empty or usual, in the order of the fields."""
        pairs = []
        for name in NAMES:
            value = getattr(self, _FIELD_OF.get(name, name))
            text = ",".join(value) if isinstance(value, tuple) else value
            if text and not (name == "sort" and self.is_usual):
                pairs.append(f"{name}={quote(text, safe=',@:.-_')}")
        return "&".join(pairs)

    def path(self, base: str = "/exceptions") -> str:
        """The list's whole address."""
        query = self.to_query()
        return f"{base}?{query}" if query else base

    def but(self, **changed: Any) -> "Filter":
        """The same filter with other values, for links; an order that the new rows do not have becomes the usual."""
        other = replace(self, **changed)
        return other if other.order in ORDERS[other.looks_at] else replace(other, sort="")

    @property
    def looks_at(self) -> str:
        """``open``, ``closed`` or ``any``: which rows the statuses allow."""
        if not self.status:
            return "open"
        closed = [status in CLOSED_STATUSES for status in self.status]
        return (
            "any"
            if EVERY_STATUS in self.status or len(set(closed)) > 1
            else "closed"
            if closed[0]
            else "open"
        )

    @property
    def order(self) -> str:
        """The order that is asked for, or the usual one."""
        return self.sort or ORDERS[self.looks_at][0]

    @property
    def is_usual(self) -> bool:
        """Whether the order need not be said."""
        return self.order == ORDERS[self.looks_at][0]

    @property
    def is_plain(self) -> bool:
        """Whether it shows everything that is open."""
        return replace(self, sort="") == Filter()

    @property
    def has_more(self) -> bool:
        """Whether it uses what a form need not show at once."""
        return any(getattr(self, name) for name in _LESS_USED)

    def where(self, *, today: date, me: str = "") -> tuple[str, dict[str, Any]]:
        """Condition on ``recon.exception AS e``, and the values bound to it."""
        parts = list(self._parts(today, me))
        bound = {name: value for _, values in parts for name, value in values.items()}
        return " AND ".join(CONDITIONS[name] for name, _ in parts) or "true", bound

    def _parts(self, today: date, me: str) -> Iterator[Part]:
        if self.looks_at != "any":
            yield self.looks_at, {}
        if self.status not in {(EVERY_STATUS,), CLOSED_STATUSES}:
            yield from conditions.among("status", list(self.status))
        yield from conditions.among("source", list(self.source))
        yield from conditions.among("severity", [_RANKS[word] for word in self.severity])
        for name, chosen in (("asset", self.asset), ("kind", self.kind), ("class", self.class_)):
            yield from conditions.among(name, list(chosen))
        yield from conditions.somebody("owner", me if self.owner == ME else self.owner)
        yield from conditions.somebody("team", self.team)
        yield from conditions.amounts(self.amount_from, self.amount_to, self.asset)
        yield from conditions.age(self.age)
        yield from conditions.due(self.due, today)
        for name, text in (("dated", self.dated), ("opened", self.opened), ("cleared", self.cleared)):
            yield from conditions.span(name, text)
        if self.snoozed:
            yield f"snoozed_{self.snoozed}", {"today": today}
        if self.suggested:
            yield f"suggested_{self.suggested}", {}
        yield from conditions.beginning(self.reference)
        yield from conditions.search(self.q)


NAMES: Final = tuple("class" if field.name == "class_" else field.name for field in fields(Filter))
"""The parameters of a list, in the order of an address."""


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError:
        raise FilterProblem("filter", "expected an address, found what is none") from None


def _read(name: str, values: list[str]) -> Any:
    if name == "status" or name in _CHOICES or name in _LISTED:
        chosen = {part.strip() for value in values for part in value.split(",") if part.strip()}
        if len(chosen) > _VALUES_MAX:
            raise FilterProblem(name, f"expected at most {_VALUES_MAX} values, found {len(chosen)}")
        return _statuses(chosen) if name == "status" else _listed(name, chosen)
    if len(set(values)) > 1:
        raise FilterProblem(name, "expected one value, found several")
    return _single(name, values[0])


def _statuses(chosen: set[str]) -> tuple[str, ...]:
    wanted = (chosen - {"closed"}) | (set(CLOSED_STATUSES) if "closed" in chosen else set())
    every = (*OPEN_STATUSES, *CLOSED_STATUSES)
    if bad := wanted - {*every, EVERY_STATUS}:
        raise FilterProblem("status", _expected((*every, "closed", EVERY_STATUS), min(bad)))
    if EVERY_STATUS in wanted or wanted == set(every):
        return (EVERY_STATUS,)
    return () if wanted == set(OPEN_STATUSES) else tuple(word for word in every if word in wanted)


def _listed(name: str, chosen: set[str]) -> tuple[str, ...]:
    if name in _CHOICES:
        known = _CHOICES[name]
        if bad := chosen - set(known):
            raise FilterProblem(name, _expected(known, min(bad)))
        return tuple(word for word in known if word in chosen)
    if bad := {text for text in chosen if not _LISTED[name].fullmatch(text)}:
        raise FilterProblem(name, f"expected names, found {min(bad)[:40]!r}")
    return tuple(sorted(chosen))


def _single(name: str, text: str) -> str:
    if len(text) > _TEXT_MAX:
        raise FilterProblem(name, f"expected at most {_TEXT_MAX} characters, found {len(text)}")
    if name == "age" and text == "30":
        return "30+"  # the plus of an address that somebody typed is a space
    if name in _WORDS and text not in _WORDS[name]:
        raise FilterProblem(name, _expected(_WORDS[name], text))
    if name in _SHAPED and not _SHAPED[name][0].fullmatch(text):
        raise FilterProblem(name, f"expected {_SHAPED[name][1]}, found {text[:40]!r}")
    if name in _SPANS and not (name == "due" and text in DUES):
        return _span(name, text)
    if "\0" in text or not text.isprintable():
        raise FilterProblem(name, "expected text that can be read")
    return text


def _span(name: str, text: str) -> str:
    problem = FilterProblem(
        name,
        f"expected {', '.join(DUES) + ', ' if name == 'due' else ''}a day such as 2026-11-30 or days such as "
        f"2026-11-01..2026-11-30, found {text[:40]!r}",
    )
    if not SPAN.fullmatch(text) or text == "..":
        raise problem
    first, _, last = text.partition("..")
    try:
        days = [date.fromisoformat(part) for part in (first, last) if part]
    except ValueError:
        raise problem from None
    if days != sorted(days):
        raise problem
    return first if first == last else text


def _expected(known: Iterable[str], found: str) -> str:
    near = difflib.get_close_matches(found, list(known), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"expected {', '.join(known)}, found {found[:40]!r}{hint}"
