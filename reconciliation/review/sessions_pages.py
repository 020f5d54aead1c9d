"""Coming in and going out: login by password, proxy or identity provider; one's own sessions; help.

Laws: a new session has a new token and ends the one that the browser had; only the configured way in works; the answer
to a wrong password tells nothing; after the login nobody is led off to another site.
"""

from threading import BoundedSemaphore
from typing import Final
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from reconciliation.errors import NotAllowed, UnknownItem
from reconciliation.people.login import log_in, log_in_vouched
from reconciliation.people.permissions import DEEDS
from reconciliation.people.refusals import RefusedLogin
from reconciliation.people.sessions import OidcIdentity, end_session, leave, live_sessions
from reconciliation.review.identity import believed_login
from reconciliation.review.queues import BUILT_IN
from reconciliation.review.security import is_secure, safe_next, session_cookie
from reconciliation.review.web import ANYONE, BadInput, Page, Visit

DOORKEEPER: Final = "tieout_doorkeeper"
ABSOLUTE_MINUTES: Final = 720
PASSWORD_CHARACTERS_MAX: Final = 1_024
HASHING_WAIT_SECONDS: Final = 3
CROWDED: Final = "Many people are logging in. Try again in a moment."
KEYS: Final = (
    ("j / k", "next, previous row"),
    ("Enter", "open the row"),
    ("x / X", "select the row, or all rows since the last one selected"),
    ("a / u", "take, give back"),
    ("1 – 4", "pick a candidate"),
    ("p", "propose"),
    ("m / e / w", "match by hand, book the missing entry, write off"),
    ("d / x", "on an exception: no duplicate, exclude"),
    ("i / f / t", "assign, carry forward, enclose a file"),
    ("y / r", "approve, reject"),
    ("c", "comment"),
    ("s", "snooze"),
    ("/", "search"),
    ("n / b", "next page, page before"),
    ("g then a letter", "open a queue"),
    ("?", "this page"),
    ("Esc", "leave a field; back to the list"),
)
_hashing = BoundedSemaphore(2)  # each check of a password takes 32 MB and a core for a tenth of a second


def show_login(visit: Visit) -> Response:
    """The way in: a form, the provider, or, behind a proxy, straight in."""
    wanted = _wanted(visit, visit.request.query_params.get("next", ""))
    config = visit.config
    if config.identity == "proxy":
        login = believed_login(config, visit.request)
        return (
            _login_page(visit, wanted)
            if login is None
            else _vouched(visit, OidcIdentity(login=login, name=login), "proxy", wanted)
        )
    if config.oidc is not None and visit.request.query_params.get("go"):
        address, cookie = config.oidc.begin(wanted)
        response = RedirectResponse(address, 303)
        response.set_cookie(
            _oidc_cookie(visit),
            cookie,
            max_age=600,
            path="/",
            secure=is_secure(config.base_url),
            httponly=True,
            samesite="lax",
        )
        return response
    return _login_page(visit, wanted)


def try_password(visit: Visit) -> Response:
    """A name and a password: a session, or a sentence."""
    if visit.config.identity != "password":
        raise NotAllowed("people come in by another way here, not by password")
    login, password = visit.text("login", longest=200), visit.form.get("password", "")
    wanted = _wanted(visit, visit.form.get("next", ""))
    if len(password) > PASSWORD_CHARACTERS_MAX:
        raise BadInput(f"password: expected at most {PASSWORD_CHARACTERS_MAX:,} characters")
    token = visit.config.token()
    if not _hashing.acquire(timeout=HASHING_WAIT_SECONDS):
        return _login_page(visit, wanted, problem=CROWDED, login=login, status=503)
    try:
        outcome = log_in(visit.connection, login, password, token=token, salt=visit.config.salt())
    finally:
        _hashing.release()
    if outcome.session_id is None:
        response = _login_page(
            visit, wanted, problem=outcome.said, login=login, status=429 if outcome.wait_seconds else 401
        )
        if outcome.wait_seconds:
            response.headers["Retry-After"] = str(outcome.wait_seconds)
        return response
    return _let_in(visit, token, wanted)


def come_back(visit: Visit) -> Response:
    """The way back from the identity provider."""
    client = visit.config.oidc
    cookie = visit.request.cookies.get(_oidc_cookie(visit), "")
    if client is None:
        raise UnknownItem("people do not come in by an identity provider here")
    try:
        identity = client.finish(dict(visit.request.query_params), cookie)
        response = _vouched(visit, identity, "oidc", _wanted(visit, client.next_path(cookie)))
    except RefusedLogin as error:
        response = _login_page(visit, "/", problem=str(error), status=403)
    response.delete_cookie(_oidc_cookie(visit), path="/")
    return response


def log_out(visit: Visit) -> Response:
    """Ends the session."""
    leave(visit.connection)
    response = visit.see("/login")
    response.delete_cookie(
        session_cookie(visit.config.base_url),
        path="/",
        secure=is_secure(visit.config.base_url),
        httponly=True,
        samesite="strict",
    )
    return response


def show_sessions(visit: Visit) -> Response:
    """One's own sessions."""
    return visit.page("sessions.html", sessions=live_sessions(visit.connection, visit.visitor.login))


def end_sessions(visit: Visit) -> Response:
    """Ends one of one's own sessions, or all but this one."""
    who = visit.visitor
    own = {session.session_id for session in live_sessions(visit.connection, who.login)} - {who.session_id}
    chosen = own if visit.text("session") == "others" else own & {visit.number("session")}
    if not chosen:
        raise UnknownItem("session: expected another one of yours that is live")
    for session_id in sorted(chosen):
        end_session(visit.connection, session_id, by_whom=who.login)
    return visit.see("/sessions", said=f"Ended {len(chosen)}.")


def show_help(visit: Visit) -> Response:
    """Keys, queues, and what the visitor may do."""
    return visit.page(
        "help.html", keys=KEYS, queues=BUILT_IN, deeds=[deed for deed in DEEDS if visit.may(deed)]
    )


PAGES: Final = (
    Page(path="/login", handler=show_login, deed=ANYONE, role=DOORKEEPER),
    Page(
        path="/login", handler=try_password, deed=ANYONE, methods=("POST",), reads_form=True, role=DOORKEEPER
    ),
    Page(path="/login/back", handler=come_back, deed=ANYONE, role=DOORKEEPER),
    Page(path="/logout", handler=log_out, deed="look", methods=("POST",), reads_form=True),
    Page(path="/sessions", handler=show_sessions, deed="look", role=DOORKEEPER),
    Page(
        path="/sessions/end",
        handler=end_sessions,
        deed="look",
        methods=("POST",),
        reads_form=True,
        role=DOORKEEPER,
    ),
    Page(path="/help", handler=show_help, deed="look"),
)


def _wanted(visit: Visit, given: str) -> str:
    return safe_next(given, dagster_url=visit.config.dagster_url)


def _login_page(
    visit: Visit, wanted: str, *, problem: str = "", login: str = "", status: int = 200
) -> Response:
    values = {"way": visit.config.identity, "next": wanted, "problem": problem, "login": login, "who": None}
    return visit.page("login.html", status=status, **values)


def _vouched(visit: Visit, identity: OidcIdentity, channel: str, wanted: str) -> Response:
    """In by another party's word, with the roles it says they have now."""
    token = visit.config.token()
    outcome = log_in_vouched(
        visit.connection,
        identity.login,
        name=identity.name,
        roles=identity.roles,
        newcomer_roles=visit.config.newcomer_roles,
        channel=channel,
        token=token,
    )
    if outcome.session_id is None:
        return _login_page(visit, wanted, problem=outcome.said or "", status=403)
    return _let_in(visit, token, wanted)


def _let_in(visit: Visit, token: str, wanted: str) -> Response:
    if visit.who is not None:
        end_session(visit.connection, visit.who.session_id, by_whom=visit.who.login)
    # A page, not a redirect, after another site led here: a SameSite=Strict cookie is not sent on along such a chain.
    response = (
        visit.page("login_done.html", next=wanted, who=None)
        if visit.config.identity == "oidc"
        else RedirectResponse(quote(wanted, safe="/:?&=%#@+,;~[]!$'()*"), 303)
    )
    response.set_cookie(
        session_cookie(visit.config.base_url),
        token,
        max_age=ABSOLUTE_MINUTES * 60,
        path="/",
        secure=is_secure(visit.config.base_url),
        httponly=True,
        samesite="strict",
    )
    return response


def _oidc_cookie(visit: Visit) -> str:
    return session_cookie(visit.config.base_url) + "_oidc"
