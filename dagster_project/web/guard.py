"""The guard before Dagster's UI, which has no login of its own and would run mutations that come by GET.

Laws: nobody gets anything without a live session; nothing is changed by who may not `operate`, by a GET, or by what a
page of another site asked for; a GraphQL document that cannot be read goes nowhere. Dagster's webserver is told by a
header of ours who may change something and refuses the rest itself: two locks, and the UI greys out what would fail.
Looking does not keep a session open, since an open tab of the UI asks every few seconds: opening a page and changing
something does.

    GET  /graphql?query=mutation{…}    405
    POST /graphql {"query": "mutation{…}"} by a viewer    403
    GET  /assets without a session    303 to the review app's login
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from dagster_project.web.guard_graphql import (
    UnreadableRequest,
    asks_change,
    documents_of_body,
    documents_of_frame,
)
from dagster_project.web.guard_proxy import POLICY, PROTECTION, DagsterProxy, DagsterUnreachable
from reconciliation.people.permissions import permits
from reconciliation.review.security import host_is_ours, is_same_origin, session_cookie

HEALTH_PATH: Final = "/_tieout/health"  # tells whether guard and webserver answer, and nothing else
BODY_BYTES_MAX: Final = 4_000_000  # a run's whole configuration is far below
ADDRESS_BYTES_MAX: Final = 16_000
GRAPHQL_PATH: Final = "/graphql"
READING: Final = frozenset({"GET", "HEAD"})
# A page of the UI, or an address that a person typed.
_BY_THEMSELVES: Final = frozenset({"same-origin", "none"})


class SessionsUnreachable(Exception):
    """Nobody can say now whose session it is."""


class Known(Protocol):
    """Who acts, as far as the guard must know."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of roles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    """``visitor`` looks up the live session of a token, and keeps it open when told so by its second parameter.

    It runs in a thread, and raises `SessionsUnreachable` when it cannot look.
    """

    base_url: str
    review_url: str
    socket: Path
    visitor: Callable[[str, bool], Known | None]


class Guard:
    """The ASGI application; ``proxy`` is open as long as it serves."""

    def __init__(self, config: GuardConfig) -> None:
        self._config = config
        self._cookie = session_cookie(config.review_url)
        self._proxy = DagsterProxy(config.socket)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, a websocket, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(WebSocket(scope, receive, send))
        else:
            request = Request(scope, receive)
            try:
                response = await self._answer(request)
            except UnreadableRequest as unreadable:
                response = _refusal(400, str(unreadable))
            except DagsterUnreachable:
                response = _refusal(502, "Dagster does not answer; try again in a moment.")
            except SessionsUnreachable:
                response = _refusal(503, "The database does not answer; try again in a moment.")
            except ClientDisconnect:
                return
            await response(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        async with self._proxy:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, request: Request) -> Response:
        if request.scope["path"] == HEALTH_PATH:
            return _told(200 if await self._proxy.answers() else 503, "Dagster")
        refused = self._refused_unseen(request)
        if refused is not None:
            return refused
        known = await self._known(request.cookies.get(self._cookie, ""), keep_open=_is_page(request))
        if known is None:
            return self._without_session(request)
        if not permits(known.roles, "look"):
            return _refusal(403, "Your roles do not let you look at this.")
        may_operate = permits(known.roles, "operate") and request.method not in READING
        body = b"" if request.method in READING else await _body(request)
        if request.method not in READING and await run_in_threadpool(_changes, request, body):
            if not may_operate:
                return _refusal(403, "Your roles let you look, and change nothing here.")
            await self._known(request.cookies[self._cookie], keep_open=True)
        return await self._proxy.pass_on(request, body, may_operate=may_operate)

    def _refused_unseen(self, request: Request) -> Response | None:
        """Why a request is refused whoever sends it, if it is.

        Raises:
            UnreadableRequest: what its address asks cannot be read.
        """
        path, query = request.scope["path"], request.scope["query_string"]
        if not host_is_ours(request.headers.get("host", ""), self._config.base_url):
            return _refusal(421, "This server is not known by that name.")
        if len(request.scope["raw_path"]) + len(query) > ADDRESS_BYTES_MAX:
            return _refusal(414, "The address is too long.")
        if not path.isprintable():  # a router takes `/graphql\n` for `/graphql`
            return _refusal(400, "The address holds characters that cannot be shown.")
        if request.method not in (*READING, "POST"):
            return _refusal(405, "Only GET, HEAD and POST are known here.")
        if _is_of_another_site(request):
            return _refusal(403, "A page of another site asked for this; open Dagster's UI itself.")
        if not _is_graphql(path):
            return None
        asked = request.query_params.getlist("query")
        if request.method == "POST":
            return (
                _refusal(400, "Expected the document in the body, found one in the address.")
                if asked
                else None
            )
        if _any_change(asked):
            return _refusal(405, "Nothing is changed by what an address asks.")
        return None

    def _without_session(self, request: Request) -> Response:
        login = f"{self._config.review_url}/login"
        if not _is_page(request):
            return _refusal(401, f"There is no session; log in at {login}")
        wanted = self._config.base_url + request.scope["raw_path"].decode("ascii", "replace")
        if request.scope["query_string"]:
            wanted += "?" + request.scope["query_string"].decode("ascii", "replace")
        return _protected(RedirectResponse(f"{login}?next={quote(wanted, safe='')}", 303))

    async def _known(self, token: str, *, keep_open: bool) -> Known | None:
        return await run_in_threadpool(self._config.visitor, token, keep_open) if token else None

    async def _websocket(self, client: WebSocket) -> None:
        token = client.cookies.get(self._cookie, "")
        welcome = (
            client.scope["path"] == GRAPHQL_PATH
            and host_is_ours(client.headers.get("host", ""), self._config.base_url)
            and is_same_origin(client.headers)
        )
        known = await self._known(token, keep_open=False) if welcome else None
        if known is None or not permits(known.roles, "look"):
            await client.close(POLICY)  # before it was accepted: the browser sees a 403
            return

        async def inspect(frame: str) -> str | None:
            still = await self._known(token, keep_open=False)
            if still is None or not permits(still.roles, "look"):
                return "the session has ended"
            try:
                changes = bool(frame) and await run_in_threadpool(_frame_changes, frame)
            except UnreadableRequest as unreadable:
                return str(unreadable)
            return (
                "your roles change nothing here" if changes and not permits(still.roles, "operate") else None
            )

        await self._proxy.relay(client, inspect, may_operate=permits(known.roles, "operate"))


def _is_graphql(path: str) -> bool:
    return path.rstrip("/") == GRAPHQL_PATH


def _is_page(request: Request) -> bool:
    """Whether a person opens a page of the UI, rather than the UI asking for something."""
    return (
        request.method == "GET"
        and "text/html" in request.headers.get("accept", "")
        and request.headers.get("sec-fetch-dest", "document") == "document"
        and not _is_graphql(request.scope["path"])
    )


def _is_of_another_site(request: Request) -> bool:
    """Whether another site made the request. A link that a person follows to a page of the UI is their own doing."""
    headers = request.headers
    if request.method not in READING:
        return not is_same_origin(headers)
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in _BY_THEMSELVES and not (
            headers.get("sec-fetch-mode") == "navigate" and _is_page(request)
        )
    told = headers.get("origin") or headers.get("referer")
    if told is None or _is_page(request):
        return False  # no browser, or an old one that follows a link
    return _netloc(told) != headers.get("host")


def _netloc(address: str) -> str:
    try:
        return urlsplit(address).netloc
    except ValueError:
        return ""


def _changes(request: Request, body: bytes) -> bool:
    """Whether a POST asks for a change: all but GraphQL does, such as Dagster's door for reported events."""
    if not _is_graphql(request.scope["path"]):
        return True
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise UnreadableRequest("GraphQL: expected a body of application/json, found another.")
    return _any_change(documents_of_body(body))


def _frame_changes(frame: str) -> bool:
    return _any_change(documents_of_frame(frame))


def _any_change(documents: Iterable[str]) -> bool:
    """Reads all of them: one that cannot be read is refused even behind a change."""
    return True in [asks_change(document) for document in documents]


async def _body(request: Request) -> bytes:
    """The whole body.

    Raises:
        UnreadableRequest: it is too large.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise UnreadableRequest(f"request: expected at most {BODY_BYTES_MAX} bytes, found more.")
    return bytes(body)


def _refusal(status: int, said: str) -> Response:
    """In the shape of GraphQL's errors, which the UI shows; people can read it too."""
    return _protected(JSONResponse({"errors": [{"message": said}]}, status))


def _told(status: int, word: str) -> Response:
    return _protected(PlainTextResponse(word, status))


def _protected(response: Response) -> Response:
    response.raw_headers += [*PROTECTION, (b"cache-control", b"no-store")]
    return response
