"""The list of exceptions, what it adds up to, and the queues that people keep.

Laws: the address says what is shown, and one list has one address: any other way to write it leads there. A page that
cannot be read from its address says which parameter is wrong, beside the form in which it can be set right.

Example:
    GET /exceptions?severity=critical&owner=nobody
"""

from typing import Any, Final

from starlette.responses import RedirectResponse, Response

from reconciliation.errors import UnknownItem
from reconciliation.review import words
from reconciliation.review.conditions import AGES, DUES
from reconciliation.review.filters import ORDERS, Filter, FilterProblem
from reconciliation.review.listing import SQL, count_and_sum, read_page
from reconciliation.review.queues import BUILT_IN, built_in, own_queues
from reconciliation.review.web import BadInput, Page, Visit

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
NAME_MAX: Final = 60
AGE_WORDS: Final = {
    "0": "under 1 business day",
    "1-2": "1 or 2 days",
    "3-6": "3 to 6 days",
    "7-29": "7 to 29 days",
    "30+": "30 days and more",
}
DUE_WORDS: Final = {"late": "late", "today": "today", "week": "within 7 days", "none": "no due day"}
STATUS_WORDS: Final = {
    "": "all open",
    **words.STATUSES,
    "cleared,resolved": "all closed",
    "any": "open and closed",
}
_PLACES: Final = ("after", "before")


def show_list(visit: Visit) -> Response:
    """A page of the list, or its rows alone for htmx."""
    query = visit.request.query_params
    try:
        wanted = Filter.from_query(query)
        after, before = (query.get(name, "") for name in _PLACES)
        page = read_page(
            visit.connection, wanted, today=visit.today, me=visit.visitor.login, after=after, before=before
        )
    except FilterProblem as problem:
        return _list(visit, Filter(), status=400, problem=problem, given=dict(query))
    address = wanted.path() + _place("&" if wanted.to_query() else "?", after=after, before=before)
    asked = visit.request.url.path + (f"?{visit.request.url.query}" if visit.request.url.query else "")
    if visit.wants_fragment:
        response = visit.fragment("list_rows.html", **_values(visit, wanted), page=page)
        response.headers["HX-Push-Url"] = address
        return response
    if asked != address and visit.request.method == "GET":
        return RedirectResponse(address, 303)
    return _list(visit, wanted, page=page)


def show_totals(visit: Visit) -> Response:
    """How many rows the filter has, and their sums by asset."""
    wanted = Filter.from_query(visit.request.query_params)
    totals = count_and_sum(visit.connection, wanted, today=visit.today, me=visit.visitor.login)
    if visit.wants_fragment:
        return visit.fragment("list_totals.html", totals=totals)
    return visit.page("list_count.html", totals=totals, filter=wanted)


def show_queues(visit: Visit) -> Response:
    """Everybody's queues and one's own."""
    return _queues(visit, given=visit.request.query_params.get("query", ""))


def open_queue(visit: Visit) -> Response:
    """The queue of a letter: one's own first, then everybody's."""
    letter = visit.request.path_params["letter"]
    for queue in (*own_queues(visit.connection), *BUILT_IN):
        if queue.letter == letter:
            return visit.see(queue.path)
    raise UnknownItem(f"no queue has the letter {letter[:20]!r}; see /queues")


def save_queue(visit: Visit) -> Response:
    """Keep a filter under a name, and a letter if one was chosen; the same name again replaces it."""
    name, letter, query = visit.text("name"), visit.text("letter"), visit.text("query")
    try:
        if not name or len(name) > NAME_MAX or not name.isprintable():
            raise BadInput(f"name: expected 1 to {NAME_MAX} characters of text")
        if letter and letter not in LETTERS:
            raise BadInput(f"letter: expected one of a to z or 0 to 9, found {letter[:20]!r}")
        if taken := built_in(letter):
            raise BadInput(f"letter: {letter} opens {taken.name}; choose another")
        kept = Filter.from_query(query.partition("?")[2] if query.startswith("/") else query)
    except (BadInput, FilterProblem) as problem:
        return _queues(visit, status=400, problem=problem, given=query, name=name, letter=letter)
    visit.connection.execute(SQL["save"], {"name": name, "query": kept.to_query(), "letter": letter or None})
    return visit.see("/queues", said=f"Queue {name} is kept.")


def forget_queue(visit: Visit) -> Response:
    """One's own queue is no more."""
    name = visit.text("name")
    if name not in {queue.name for queue in own_queues(visit.connection)}:
        raise UnknownItem(f"you keep no queue by the name {name[:NAME_MAX]!r}")
    visit.connection.execute(SQL["forget"], {"name": name})
    return visit.see("/queues", said=f"Queue {name} is forgotten.")


PAGES: Final = (
    Page(path="/exceptions", handler=show_list, deed="look"),
    Page(path="/exceptions/count", handler=show_totals, deed="look"),
    Page(path="/queues", handler=show_queues, deed="look"),
    Page(path="/queues/{letter}", handler=open_queue, deed="look"),
    Page(path="/queues/save", handler=save_queue, deed="work", methods=("POST",), reads_form=True),
    Page(path="/queues/forget", handler=forget_queue, deed="work", methods=("POST",), reads_form=True),
)


def _list(
    visit: Visit,
    wanted: Filter,
    *,
    page: Any = None,
    status: int = 200,
    problem: FilterProblem | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    values = _values(visit, wanted) | {"page": page, "problem": problem}
    values["given"] = given or {
        name: ",".join(value) if isinstance(value, tuple) else value
        for name in Filter.__dataclass_fields__
        if (value := getattr(wanted, name))
    } | ({"class": ",".join(wanted.class_)} if wanted.class_ else {})
    if visit.wants_fragment:
        return visit.fragment("list_rows.html", status=status, **values)
    return visit.page("list.html", status=status, **values)


def _values(visit: Visit, wanted: Filter) -> dict[str, Any]:
    query = wanted.to_query()
    return {
        "filter": wanted,
        "query": query,
        "behind": f"?{query}" if query else "",
        "today": visit.today,
        "orders": [(order, words.SORTS[order]) for order in ORDERS[wanted.looks_at]],
        "statuses": list(STATUS_WORDS.items()),
        "sources": sorted(source.id for source in visit.config.sources.sources),
        "ages": [(band, AGE_WORDS[band]) for band in AGES],
        "dues": [(word, DUE_WORDS[word]) for word in DUES],
        "queues": (*BUILT_IN, *own_queues(visit.connection)),
        "link": lambda **place: wanted.path() + _place("&" if query else "?", **place),
        "problem": None,
        "exports": visit.may("export"),
    }


def _queues(
    visit: Visit, *, status: int = 200, problem: Any = None, given: str = "", **kept: str
) -> Response:
    return visit.page(
        "queues.html",
        status=status,
        built_in=BUILT_IN,
        own=own_queues(visit.connection),
        problem=problem,
        given=given,
        kept={"name": "", "letter": ""} | kept,
        free_letters=[letter for letter in LETTERS if built_in(letter) is None],
    )


def _place(joint: str, *, after: str = "", before: str = "") -> str:
    return f"{joint}after={after}" if after else f"{joint}before={before}" if before else ""
