"""What people send from the pages of an exception, as typed values: deeds of the day's work, proposals, chosen lines.

Laws: what is no value is refused with the field's name; what was typed is kept as it was, so that a page that answers
"changed meanwhile" loses nothing of it. Does nothing itself.

Example:
    form = proposal_form(visit)      # action, coded reason, note, the candidate or the lines that were ticked
    work_deed(visit, "snooze")       # ("snooze", {"until": "2026-12-01", "note": "bank answers by then"})
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from reconciliation.exceptions.work import Deed
from reconciliation.review import words
from reconciliation.review.book_lines import split_name
from reconciliation.review.side_by_side import BookLine
from reconciliation.review.web import BadInput, Visit
from reconciliation.vocabulary import ALLOCATION_ROLES

OWN_PARAMETERS: Final = frozenset({"pick", "line", "find", "amount", "shown", "built", "at"})
"""Parameters of these pages; all others in their addresses are the filter of the list that one came from."""

NOTE_NEEDED: Final = frozenset({"write_off", "other"})
Told = tuple[Deed, dict[str, Any]]
LINES_MAX: Final = 500
ITEMS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A line that somebody ticked, by name, with the role it was given."""

    name: str
    role: str = "principal"

    @property
    def word(self) -> str:
        """How the command layer calls it."""
        parts = split_name(self.name)
        if parts is None:
            raise BadInput(f"line: expected side:key/number, found {self.name[:60]!r}")
        side, key, number = parts
        return f"{self.role}={side}:{key}" + (f"/{number}" if side == "ledger" else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalForm:
    """What somebody wants decided. ``pick`` names a candidate, ``chosen`` lines; neither means the exception's own."""

    action: str
    reason_code: str
    note: str
    version: int | None
    pick: str
    chosen: tuple[Chosen, ...]
    expires_on: date | None
    account: str
    effective_date: date | None
    description: str


def queue_query(visit: Visit) -> str:
    """The filter of the list that one came from, as it stands in the address."""
    pairs = parse_qsl(visit.request.url.query, keep_blank_values=False)
    return urlencode([(name, value) for name, value in pairs if name not in OWN_PARAMETERS])


def address(path: str, *queries: str) -> str:
    """A path with what there is of queries."""
    query = "&".join(part for part in queries if part)
    return f"{path}?{query}" if query else path


def typed(visit: Visit) -> Mapping[str, str]:
    """What was typed into a form, to show it again; without the field that proves the session."""
    return {name: value for name, value in visit.form.items() if name != "csrf"}


def chosen_lines(pairs: Iterable[tuple[str, str]]) -> tuple[Chosen, ...]:
    """Lines that were ticked (``line``), each with its role (``role:NAME``)."""
    told = list(pairs)
    roles = {name.removeprefix("role:"): value for name, value in told if name.startswith("role:") and value}
    names = list(dict.fromkeys(value for name, value in told if name == "line" and value))
    if len(names) > LINES_MAX:
        raise BadInput(f"line: expected at most {LINES_MAX} lines, found {len(names)}")
    for name in names:
        if split_name(name) is None:
            raise BadInput(f"line: expected side:key/number, found {name[:60]!r}")
        if roles.get(name, "principal") not in ALLOCATION_ROLES:
            raise BadInput(f"role: expected one of {_listed(ALLOCATION_ROLES)}, found {roles[name][:20]!r}")
    return tuple(Chosen(name=name, role=roles.get(name, "principal")) for name in names)


def proposal_form(visit: Visit) -> ProposalForm:
    """A proposal as it was sent."""
    action, code = visit.text("action"), visit.text("reason")
    if action not in words.ACTIONS:
        raise BadInput(f"action: expected one of {_listed(words.ACTIONS)}, found {action[:40]!r}")
    if code not in words.REASONS:
        raise BadInput(f"reason: expected one of {_listed(words.REASONS)}, found {code[:40]!r}")
    note = visit.text("note")
    if code in NOTE_NEEDED and not note:
        raise BadInput(f"note: expected a sentence why, as the reason is {words.reason(code)}; found none")
    return ProposalForm(
        action=action,
        reason_code=code,
        note=note,
        version=visit.number("version"),
        pick=visit.text("pick"),
        chosen=chosen_lines(visit.form.multi_items()),
        expires_on=visit.date_of("expires_on"),
        account=visit.text("account", longest=400),
        effective_date=visit.date_of("effective_date"),
        description=visit.text("description", longest=400),
    )


def work_deed(visit: Visit, name: str) -> Told:
    """The deed of the command layer and its details, from a form of that name."""
    return _READERS[name](visit)


def more_and_without(
    chosen: Sequence[Chosen], own: Iterable[BookLine]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to add to an exception's lines, or to give a role, and what to leave out, to come to what was chosen."""
    names = {line.name for line in own}
    ticked = {one.name for one in chosen}
    more = tuple(one.word for one in chosen if one.name not in names or one.role != "principal")
    without = tuple(_bare(Chosen(name=name).word) for name in sorted(names - ticked))
    return more, without


def items_of(values: Iterable[str]) -> list[tuple[int, int | None]]:
    """Exceptions that were selected: ``17:3`` is number and version; several may stand in one field."""
    found: dict[int, int | None] = {}
    for text in values:
        for part in text.split():
            number, _, version = part.partition(":")
            if not _is_number(number) or not (version == "" or _is_number(version)):
                raise BadInput(f"item: expected number:version, found {part[:40]!r}")
            found[int(number)] = int(version) if version else None
    if len(found) > ITEMS_MAX:
        raise BadInput(f"item: expected at most {ITEMS_MAX:,} exceptions at once, found {len(found):,}")
    return list(found.items())


def _take(_visit: Visit) -> Told:
    return "take", {}


def _give_back(_visit: Visit) -> Told:
    return "give_back", {}


def _assign(visit: Visit) -> Told:
    to, team = visit.text("to", longest=64), visit.text("team", longest=64)
    if visit.text("back"):
        return "pass_back", {}
    if bool(to) == bool(team):
        raise BadInput("to: expected a person or a team, one of them")
    return ("assign", {"to": to}) if to else ("assign_team", {"team": team})


def _snooze(visit: Visit) -> Told:
    if visit.text("wake"):
        return "wake", {}
    return "snooze", _noted(visit, {"until": _later(visit, "until").isoformat()})


def _carry(visit: Visit) -> Told:
    code = visit.text("reason")
    if code not in words.REASONS:
        raise BadInput(f"reason: expected one of {_listed(words.REASONS)}, found {code[:40]!r}")
    if code in NOTE_NEEDED and not visit.text("note"):
        raise BadInput(f"note: expected a sentence why, as the reason is {words.reason(code)}; found none")
    return "carry", _noted(visit, {"until": _later(visit, "until").isoformat(), "reason": code})


def _comment(visit: Visit) -> Told:
    note = visit.text("note")
    if not note:
        raise BadInput("note: expected what you want to say, found nothing")
    return "comment", {"note": note}


def _noted(visit: Visit, detail: dict[str, Any]) -> dict[str, Any]:
    note = visit.text("note")
    return detail | {"note": note} if note else detail


def _later(visit: Visit, name: str) -> date:
    day = visit.date_of(name)
    if day is None or day <= visit.today:
        raise BadInput(f"{name}: expected a day after {visit.today}, found {day or 'none'}")
    return day


_READERS: Final[Mapping[str, Callable[[Visit], Told]]] = {
    "take": _take,
    "give_back": _give_back,
    "assign": _assign,
    "snooze": _snooze,
    "carry": _carry,
    "comment": _comment,
}


def _bare(word: str) -> str:
    return word.partition("=")[2]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0


def _listed(codes: Iterable[str]) -> str:
    return ", ".join(sorted(codes))
