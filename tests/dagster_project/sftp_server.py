"""A real SFTP server on loopback, of paramiko's server classes, over a folder; it stops when its block ends."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from dagster_project.sftp_place import fingerprint

USER = "acme"


@dataclass
class SftpServer:
    """What the tests know of the server. ``opening`` is called with the path of each file before it is read, and
    ``listing`` before the folder is listed.
    """

    folder: Path
    password: str
    key: paramiko.RSAKey = field(default_factory=lambda: paramiko.RSAKey.generate(2048))
    port: int = 0
    passwords: list[str] = field(default_factory=list)
    connections: int = 0
    opening: Callable[[Path], None] = lambda _: None
    listing: Callable[[], None] = lambda: None

    @property
    def host(self) -> str:
        return f"sftp://127.0.0.1:{self.port}"

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key)


@contextlib.contextmanager
def serving(folder: Path, password: str) -> Iterator[SftpServer]:
    """Serve a folder to who knows the password."""
    server = SftpServer(folder, password)
    transports: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                server.connections += 1
                transport = paramiko.Transport(client)
                transports.append(transport)
                transport.add_server_key(server.key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, server)
                with contextlib.suppress(paramiko.SSHException, EOFError, OSError):  # a client may hang up
                    transport.start_server(server=_Door(server))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for transport in transports:
                transport.close()
            thread.join(5)


class _Door(paramiko.ServerInterface):
    def __init__(self, server: SftpServer) -> None:
        self._server = server

    def check_auth_password(self, username: str, password: str) -> int:
        self._server.passwords.append(password)
        known = username == USER and password == self._server.password
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def get_allowed_auths(self, _username: str) -> str:
        return "password"

    def check_channel_request(self, _kind: str, _chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, door: paramiko.ServerInterface, server: SftpServer) -> None:
        super().__init__(door)
        self._server = server

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        self._server.listing()
        try:
            return [
                paramiko.SFTPAttributes.from_stat(entry.stat(), entry.name)
                for entry in os.scandir(self._local(path))
            ]
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        try:
            return paramiko.SFTPAttributes.from_stat(self._local(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)

    lstat = stat

    def open(self, path: str, flags: int, _attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            return paramiko.SFTP_PERMISSION_DENIED  # an outbox is only read
        local = self._local(path)
        self._server.opening(local)
        handle = paramiko.SFTPHandle(flags)
        try:
            handle.readfile = local.open("rb")  # type: ignore[attr-defined]
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
        return handle

    def _local(self, path: str) -> Path:
        return self._server.folder / self.canonicalize(path).lstrip("/")


@contextlib.contextmanager
def serving_silence() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
