"""What stands between the network and a page: who may talk to us, from where, in which words, and what browsers may do.

Laws: only hosts we are known by are answered; nothing is written for a request that another site made; a redirect goes
to a page of ours or of Dagster's at the configured address; text that no database can hold (NUL, lone surrogates, bytes
that are no UTF-8) is refused before anybody reads it; a body has a bound. Knows no person and no page.

Example:
    safe_next("//evil.example/x", dagster_url=None)  # "/"
"""

import hashlib
import hmac
from collections.abc import Collection
from typing import Final
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX: Final = 12 * 1024 * 1024  # an attachment of 10 MB and the form around it
ADDRESS_BYTES_MAX: Final = 8_192
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "Vary": "HX-Request, Cookie",
}


def session_cookie(base_url: str) -> str:
    """Name of the cookie that holds the session's token; the guard before Dagster's UI reads the same one."""
    return "__Host-tieout" if is_secure(base_url) else "tieout"


def is_secure(base_url: str) -> bool:
    """Whether browsers reach us by https."""
    return urlsplit(base_url).scheme == "https"


def csrf_of(token: str) -> str:
    """The hidden field of every form of a session."""
    return hmac.new(token.encode(), b"tieout form", hashlib.sha256).hexdigest()


def csrf_fits(token: str, given: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(csrf_of(token).encode(), given.encode("utf-8", "replace"))


def is_same_origin(headers: Headers) -> bool:
    """Whether one of our own pages made the request, by the browser's word.

    Without ``Sec-Fetch-Site`` (old browsers) ``Origin`` must be the host that was asked; without both it is not.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = _split(headers.get("origin", ""))
    return origin is not None and bool(origin.netloc) and origin.netloc == headers.get("host")


def safe_next(wanted: str, *, dagster_url: str | None) -> str:
    """Where to go after the login: a path of ours, or an address below Dagster's; else the first page."""
    parts = _split(wanted)
    if parts is None or not wanted.isprintable() or "\\" in wanted or len(wanted) > 2_000:
        return "/"
    if not parts.scheme and not parts.netloc:
        return wanted if wanted.startswith("/") and not wanted.startswith("//") else "/"
    home = _split(dagster_url or "")
    below = home is not None and (parts.scheme, parts.netloc) == (home.scheme, home.netloc)
    root = home.path.rstrip("/") if home is not None else ""
    return wanted if below and "/.." not in parts.path and (parts.path + "/").startswith(root + "/") else "/"


def host_is_ours(host: str, base_url: str, also: Collection[str] = ()) -> bool:
    """Whether a ``Host`` header names us. On the own machine any of its names, by any port (tunnels)."""
    base = urlsplit(base_url)
    if host in also or host == base.netloc:
        return True
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name in LOOPBACK and base.netloc.rpartition(":")[0] in LOOPBACK


def is_sound(text: str) -> bool:
    """No NUL and no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


class Doorway:
    """The middleware around the app: host, size and text of requests; headers of answers."""

    def __init__(self, app: ASGIApp, *, base_url: str, also: Collection[str] = ()) -> None:
        self.app = app
        self.base_url = base_url
        self.also = also
        strict = {"Strict-Transport-Security": "max-age=31536000"} if is_secure(base_url) else {}
        self.headers = HEADERS | strict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what may pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        bounded = _Bounded(receive)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await (refusal or self.app)(scope, bounded, answer)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if not host_is_ours(headers.get("host", ""), self.base_url, self.also):
            return PlainTextResponse("This server is not known by that name.\n", 421)
        address = bytes(scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass"))
        query = bytes(scope["query_string"])
        if len(address) + len(query) > ADDRESS_BYTES_MAX:
            return PlainTextResponse("The address is too long.\n", 414)
        if not _is_text(address) or not _is_text(query) or not is_sound(scope["path"]):
            return PlainTextResponse("The address holds characters that are no text.\n", 400)
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or len(length) > 12 or int(length) > BODY_BYTES_MAX:
            return PlainTextResponse(f"A request may have {BODY_BYTES_MAX} bytes.\n", 413)
        return None


class BodyTooLarge(Exception):
    """A body without a stated length went over the bound."""


class _Bounded:
    """Hands on a body and counts it, for lengths that nobody stated."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.seen = 0

    async def __call__(self) -> Message:
        message = await self.receive()
        self.seen += len(message.get("body", b""))
        if self.seen > BODY_BYTES_MAX:
            raise BodyTooLarge
        return message


def _is_text(quoted: bytes) -> bool:
    try:
        return is_sound(unquote_to_bytes(quoted).decode())
    except UnicodeDecodeError:
        return False


def _split(address: str) -> SplitResult | None:
    try:
        return urlsplit(address)
    except ValueError:
        return None
