"""The way from the guard to Dagster's webserver: HTTP and websocket over a unix socket, streamed, headers cleaned.

Law: nothing that the guard has not looked at goes on: bodies are given whole, every frame of the client passes its
inspector, and no cookie and no word about who may do what is taken from the client. What comes back is streamed as it
is, with headers that forbid frames and guessing of types. Does not know who asks.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, Self

import httpx2
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

MAY_OPERATE_HEADER: Final = (
    "x-tieout-may-operate"  # the webserver shows and does nothing to change without it
)
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 120.0  # Dagster's own statements time out before
FRAME_BYTES_MAX: Final = 8_000_000  # of the webserver: a run's whole log may come in one
GOING_AWAY, POLICY, TROUBLE = 1001, 1008, 1011
REASON_BYTES_MAX: Final = 123  # of a closing frame
ORIGIN_NAME: Final = "dagster"  # of the webserver on its socket; names no host
LOOK_AGAIN_SECONDS: Final = 20.0
# A second policy narrows Dagster's own: a browser keeps to both.
PROTECTION: Final = (
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade".split()
)
_KEPT_FROM_CLIENT: Final = frozenset(
    b"accept accept-encoding accept-language content-type dagster-diagnostics idempotency-key if-modified-since "
    b"if-none-match if-range range user-agent".split()
)
_REPLACED: Final = frozenset(
    b"set-cookie server date x-frame-options x-content-type-options cross-origin-resource-policy".split()
)

Inspector = Callable[[str], Awaitable[str | None]]  # the reason why a frame may not pass, else None


class DagsterUnreachable(Exception):
    """Dagster's webserver does not answer on its socket."""


class RefusedFrame(Exception):
    """A frame of the client was not let through; the text says why."""


class DagsterProxy:
    """Connections to the webserver that listens on a unix socket; to be used as an async context manager."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._transport = httpx2.AsyncHTTPTransport(uds=str(socket))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *what: object) -> None:
        await self._transport.aclose()

    async def answers(self) -> bool:
        """Whether the webserver answers at all."""
        request = httpx2.Request("GET", f"http://{ORIGIN_NAME}/server_info", extensions=_timeouts())
        try:
            response = await self._transport.handle_async_request(request)
        except httpx2.TransportError:
            return False
        await response.aclose()
        return response.status_code == httpx2.codes.OK

    async def pass_on(self, request: Request, body: bytes, *, may_operate: bool) -> Response:
        """The webserver's answer to a request whose body was read.

        Raises:
            DagsterUnreachable: there is none.
        """
        target = request.scope["raw_path"]
        if request.scope["query_string"]:
            target += b"?" + request.scope["query_string"]
        onward = httpx2.Request(
            request.method,
            httpx2.URL(scheme="http", host=ORIGIN_NAME, raw_path=target),
            headers=[*_onward(request.headers.raw), *_may(may_operate)],
            content=body or None,
            extensions=_timeouts(),
        )
        try:
            answer = await self._transport.handle_async_request(onward)
        except httpx2.TransportError as error:
            raise DagsterUnreachable(type(error).__name__) from None
        response = StreamingResponse(
            answer.stream.__aiter__(),  # type: ignore[union-attr]  # an asynchronous transport gives such a stream
            status_code=answer.status_code,
            background=BackgroundTask(answer.aclose),
        )
        response.raw_headers = back(answer.headers.raw)
        return response

    async def relay(self, client: WebSocket, inspect: Inspector, *, may_operate: bool) -> None:
        """Carry the frames of a client that was let in, until either end or the inspector ends it.

        ``inspect`` is asked about each frame of the client, and about the empty text when there was none for a while.
        """
        try:
            async with self._webserver(client, may_operate=may_operate) as webserver:
                await client.accept(subprotocol=webserver.subprotocol)
                code, reason = await _carry(client, webserver, inspect)
        except (OSError, WebSocketException):
            code, reason = TROUBLE, "Dagster does not answer"
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # the client has gone already
            await client.close(code, reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore"))

    def _webserver(self, client: WebSocket, *, may_operate: bool) -> connect:
        return unix_connect(
            str(self._socket),
            f"ws://{ORIGIN_NAME}{client.url.path}",
            subprotocols=[Subprotocol(name) for name in client.scope.get("subprotocols", ())],
            additional_headers=[(name.decode(), value.decode()) for name, value in _may(may_operate)],
            compression=None,  # it is on this machine
            max_size=FRAME_BYTES_MAX,
            open_timeout=CONNECT_SECONDS,
            proxy=None,
        )


def back(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers of the webserver's answer as the browser gets them: never in a frame, types as told, kept by nobody."""
    kept = [
        (name.lower(), value)
        for name, value in headers
        if name.lower() not in _HOP_BY_HOP and name.lower() not in _REPLACED
    ]
    if not any(name == b"cache-control" for name, _ in kept):
        kept.append(
            (b"cache-control", b"private, no-cache")
        )  # asked again each time, so that who left sees nothing
    return [*kept, *PROTECTION]


def _onward(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [
        (b"host", ORIGIN_NAME.encode()),
        *(pair for pair in headers if pair[0].lower() in _KEPT_FROM_CLIENT),
    ]


def _may(may_operate: bool) -> list[tuple[bytes, bytes]]:
    return [(MAY_OPERATE_HEADER.encode(), b"yes")] if may_operate else []


def _timeouts() -> dict[str, dict[str, float]]:
    told = {
        "connect": CONNECT_SECONDS,
        "pool": CONNECT_SECONDS,
        "read": ANSWER_SECONDS,
        "write": ANSWER_SECONDS,
    }
    return {"timeout": told}


async def _carry(client: WebSocket, webserver: ClientConnection, inspect: Inspector) -> tuple[int, str]:
    """The code and reason to close the client's end with."""
    ways = [
        asyncio.create_task(_to_webserver(client, webserver, inspect)),
        asyncio.create_task(_to_client(client, webserver)),
    ]
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in done:
            way.result()
    except RefusedFrame as refused:
        return POLICY, str(refused)
    except (ConnectionClosed, WebSocketDisconnect, RuntimeError):
        return GOING_AWAY, "the other end has gone"
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    return GOING_AWAY, "the other end has gone"


async def _to_webserver(client: WebSocket, webserver: ClientConnection, inspect: Inspector) -> None:
    async for frame in _frames(client):
        reason = await inspect(frame)
        if reason is not None:
            raise RefusedFrame(reason)
        if frame:
            await webserver.send(frame)


async def _to_client(client: WebSocket, webserver: ClientConnection) -> None:
    async for frame in webserver:
        await (client.send_text(frame) if isinstance(frame, str) else client.send_bytes(frame))


async def _frames(client: WebSocket) -> AsyncIterator[str]:
    """The client's frames; an empty text when none came for a while."""
    coming = asyncio.ensure_future(client.receive())
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=LOOK_AGAIN_SECONDS)
            if not done:
                yield ""
                continue
            message = coming.result()
            if message["type"] == "websocket.disconnect":
                return
            frame = message.get("text")
            if not frame:
                raise RefusedFrame("expected frames of text, found another")
            yield frame
            coming = asyncio.ensure_future(client.receive())
    finally:
        coming.cancel()
