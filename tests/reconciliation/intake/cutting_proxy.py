"""A proxy between a client and PostgreSQL that lets a COMMIT reach the server and never lets its answer back."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from psycopg.conninfo import conninfo_to_dict, make_conninfo

COMMIT = b"COMMIT\0"


@contextlib.contextmanager
def cutting_proxy(url: str, *, before: bool = False) -> Iterator[str]:
    """The URL of a proxy that cuts each connection at its COMMIT: behind it, or ``before`` it reaches the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=_serve, args=(server, url, before), daemon=True).start()
        yield make_conninfo(url, host="127.0.0.1", port=port)


def _serve(server: socket.socket, url: str, before: bool) -> None:
    with contextlib.suppress(OSError):  # the server is closed: the test is over
        while True:
            client, _ = server.accept()
            threading.Thread(target=_relay, args=(client, _upstream(url), before), daemon=True).start()


def _upstream(url: str) -> socket.socket:
    parts = conninfo_to_dict(url)
    host, port = str(parts.get("host", "localhost")), int(str(parts.get("port") or 5432))
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    upstream = socket.socket(socket.AF_UNIX)
    upstream.connect(f"{host}/.s.PGSQL.{port}")
    return upstream


def _relay(client: socket.socket, upstream: socket.socket, before: bool) -> None:
    committing = threading.Event()
    answering = threading.Thread(target=_answer, args=(client, upstream, committing), daemon=True)
    with client, upstream:
        answering.start()
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                if COMMIT in data:
                    committing.set()
                    if before:
                        break
                upstream.sendall(data)
        if before or not committing.is_set():
            _end(upstream)
        answering.join()


def _answer(client: socket.socket, upstream: socket.socket, committing: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := upstream.recv(1 << 16):
            if committing.is_set() and COMMIT in data:
                break
            client.sendall(data)
    _end(client)
    _end(upstream)


def _end(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
