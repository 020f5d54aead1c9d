"""What every page of the review app is made of: configuration, a visit, a page in the table of routes.

Law: a handler gets one connection in one transaction, under the role that fits what it does, with the visitor already
entered; it reads what people sent by functions that refuse what is no value, with the field's name.

Example:
    PAGES = (Page(path="/exceptions/{exception_id}", handler=show, deed="look"),)
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

import psycopg
from markupsafe import Markup
from psycopg_pool import ConnectionPool
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ledger_core.errors import AmountError
from ledger_core.money import ISO_4217_EXPONENTS, parse_amount_minor
from reconciliation.errors import NoSession, ReconciliationError, UnknownItem
from reconciliation.people.permissions import DEEDS, permits
from reconciliation.people.sessions import OidcClient, Visitor
from reconciliation.review.rendering import render
from reconciliation.review.security import csrf_of, is_secure
from reconciliation.sources import Source, Sources

ANYONE: Final = "anyone"
BIGINT_MAX: Final = 2**63 - 1
TEXT_MAX: Final = 10_000
SAID_COOKIE: Final = "tieout_said"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class BadInput(ReconciliationError):
    """Something sent that is no value of its field; the sentence names field, what was expected and what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewConfig:
    """All that the app gets from the shell.

    ``proxy_secret`` is what the trusted proxy sends in ``X-Tieout-Proxy-Secret``; without one, the proxy is believed
    only over a unix socket. ``newcomer_roles``: what a person unknown to us gets whom proxy or provider vouch for;
    none: they are refused. ``allowed_hosts``: further values of the ``Host`` header that are answered.
    """

    pool: ConnectionPool[Any]
    sources: Sources
    now: Callable[[], datetime]  # aware, UTC
    token: Callable[[], str]  # new and secret at each call
    salt: Callable[[], bytes]
    base_url: str
    dagster_url: str | None = None
    identity: Literal["password", "proxy", "oidc"] = "password"
    proxy_header: str | None = None
    proxy_secret: str | None = field(default=None, repr=False)
    oidc: OidcClient | None = None
    newcomer_roles: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    after_approval: Callable[[str], None] = lambda _source_id: None  # carries out what people decided
    try_rules: Callable[[Source, date, date], Any] | None = (
        None  # other rules over past days, see feedback_pages
    )
    code_version: str = ""

    def __post_init__(self) -> None:
        """One way in, complete."""
        if (self.identity == "proxy") != (self.proxy_header is not None):
            raise ValueError("identity 'proxy' and a proxy_header come together")
        if (self.identity == "oidc") != (self.oidc is not None):
            raise ValueError("identity 'oidc' and an oidc client come together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that came with a form, whole."""

    file_name: str
    media_type: str
    content: bytes


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request of one person in one transaction. ``now`` is read once."""

    request: Request
    config: ReviewConfig
    connection: psycopg.Connection[Any]
    who: Visitor | None
    now: datetime
    token: str = field(default="", repr=False)
    form: ImmutableMultiDict[str, str] = field(default_factory=ImmutableMultiDict)
    uploads: Mapping[str, Upload] = field(default_factory=dict)

    @property
    def visitor(self) -> Visitor:
        """Who asks; on every page but the login's there is somebody."""
        if self.who is None:
            raise NoSession("this page is for people who are logged in")
        return self.who

    @property
    def today(self) -> date:
        """The day of ``now``, in UTC."""
        return self.now.date()

    @property
    def wants_fragment(self) -> bool:
        """Whether htmx asks for a part of the page."""
        headers = self.request.headers
        return headers.get("hx-request") == "true" and headers.get("hx-request-type") != "full"

    def may(self, deed: str) -> bool:
        """Whether the visitor's roles let them; for showing buttons, the database decides."""
        return self.who is not None and permits(self.who.roles, deed)

    def id(self, name: str) -> int:
        """A number from the path; 404 for anything else."""
        text = str(self.request.path_params[name])
        if not _NUMBER.fullmatch(text) or int(text) > BIGINT_MAX:
            raise UnknownItem(f"{name.replace('_', ' ')}: expected a number, found {text[:40]!r}")
        return int(text)

    def day(self, name: str) -> date:
        """A date from the path; 404 for anything else."""
        text = str(self.request.path_params[name])
        found = _date(text)
        if found is None:
            raise UnknownItem(f"{name}: expected a date such as 2026-11-30, found {text[:40]!r}")
        return found

    def text(self, name: str, *, longest: int = TEXT_MAX) -> str:
        """A field of the form without the spaces around it; empty when it is not there."""
        found = self.form.get(name, "").replace("\r\n", "\n").strip()
        if len(found) > longest:
            raise BadInput(f"{name}: expected at most {longest:,} characters, found {len(found):,}")
        return found

    def number(self, name: str) -> int | None:
        """A field that holds a number from one on; None when it is empty."""
        found = self.text(name)
        if found and (not _NUMBER.fullmatch(found) or int(found) > BIGINT_MAX):
            raise BadInput(f"{name}: expected a number, found {found[:40]!r}")
        return int(found) if found else None

    def date_of(self, name: str) -> date | None:
        """A field that holds a date; None when it is empty."""
        found = self.text(name)
        day = _date(found)
        if found and day is None:
            raise BadInput(f"{name}: expected a date such as 2026-11-30, found {found[:40]!r}")
        return day

    def amount_minor(self, name: str, asset: str) -> int | None:
        """A field that holds an amount of an asset, such as ``-1234.50``; None when it is empty."""
        found = self.text(name)
        if not found:
            return None
        try:
            return parse_amount_minor(found, ISO_4217_EXPONENTS.get(asset, 0))
        except AmountError as error:
            raise BadInput(f"{name}: {error}") from None

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A whole page; tells once what the deed before it did."""
        response = HTMLResponse(render(template, self.context() | values), status)
        if SAID_COOKIE in self.request.cookies:
            response.delete_cookie(SAID_COOKIE, path="/")
        return response

    def fragment(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A part of a page, for htmx."""
        return HTMLResponse(render(template, self.context() | values), status)

    def see(self, path: str, *, said: str = "") -> RedirectResponse:
        """Go on by GET to a page of ours, which tells what was done."""
        response = RedirectResponse(path, 303)
        if said:
            secure = is_secure(self.config.base_url)
            response.set_cookie(
                SAID_COOKIE,
                quote(said[:500]),
                max_age=60,
                path="/",
                secure=secure,
                httponly=True,
                samesite="strict",
            )
        return response

    def context(self) -> dict[str, Any]:
        """What every template may use."""
        return base_context(self.request, self.config, self.who, self.token)


Handler = Callable[[Visit], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A route: where it is, who may, what it does. GET runs as the auditor's role, POST as the analyst's."""

    path: str
    handler: Handler
    deed: str
    methods: tuple[str, ...] = ("GET",)
    reads_form: bool = False
    role: str | None = None  # instead of the one that goes with the method
    seconds: int = 15  # for each statement in the database
    steady: bool = False  # all its reading at one snapshot, so that its numbers agree with each other

    def __post_init__(self) -> None:
        """A page that anybody could reach by mistake is never made."""
        if self.deed != ANYONE and self.deed not in DEEDS:
            raise ValueError(f"{self.path}: no deed {self.deed!r}; expected one of {', '.join(DEEDS)}")
        if self.methods not in {("GET",), ("POST",)}:
            raise ValueError(f"{self.path}: one method for each page, GET or POST")
        if ":" in self.path:
            raise ValueError(f"{self.path}: plain names in paths; read them by visit.id and visit.day")

    @property
    def database_role(self) -> str:
        """The role of its transaction."""
        return self.role or ("tieout_auditor" if self.methods == ("GET",) else "tieout_analyst")


def base_context(request: Request, config: ReviewConfig, who: Visitor | None, token: str) -> dict[str, Any]:
    """What the frame of a page needs."""
    field_text = (
        Markup('<input type="hidden" name="csrf" value="{}">').format(csrf_of(token)) if token else Markup()
    )
    return {
        "who": who,
        "here": request.url.path,
        "query": request.url.query,
        "dagster_url": config.dagster_url,
        "csrf_field": lambda: field_text,
        "may": lambda deed: who is not None and permits(who.roles, deed),
        "said": unquote(request.cookies.get(SAID_COOKIE, ""), errors="replace")[:500],
    }


def _date(text: str) -> date | None:
    if not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
