"""An SFTP server as a place to fetch from: `fsspec`'s own driver, with the server's key proved and every wait bounded.

Law: no password is sent to a server that has not shown the key it is known by. `fsspec` trusts whatever key it is shown
first; here the key is told beforehand (``host_key``), or trust in any is asked for in so many words
(``host_key_policy: auto_add``). A server that falls silent is given up.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any, Final

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

ANSWER_SECONDS: Final = 10
SILENCE_SECONDS: Final = 30
TRUST_ANY: Final = "auto_add"


class UnknownHostKey(Exception):
    """The server showed a key that it is not known by; ``found`` is its fingerprint, which is no secret."""

    def __init__(self, found: str, *, expected: Sequence[str]) -> None:
        super().__init__(found)
        self.found = found
        self.expected = tuple(expected)


class _Pinned(paramiko.MissingHostKeyPolicy):
    def __init__(self, expected: Sequence[str]) -> None:
        self._expected = tuple(expected)

    def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey) -> None:
        """Refuse every key but those that are expected."""
        found = fingerprint(key)
        if found not in self._expected:
            raise UnknownHostKey(found, expected=self._expected)


class SftpPlace(SFTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The filesystem. Options are paramiko's, and ``host_key``: one fingerprint or several, as ``SHA256:…``."""

    def __init__(
        self,
        host: str,
        *,
        host_key: str | Sequence[str] = (),
        host_key_policy: str | None = None,
        **options: Any,
    ) -> None:
        expected = (host_key,) if isinstance(host_key, str) else tuple(host_key)
        trusts_any = host_key_policy == TRUST_ANY and not expected
        self._policy = paramiko.AutoAddPolicy() if trusts_any else _Pinned(expected)
        if {
            "password",
            "key_filename",
            "pkey",
        } & options.keys():  # else a guess with another key counts as an attempt
            options = {"allow_agent": False, "look_for_keys": False, **options}
        waits = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout"), ANSWER_SECONDS)
        super().__init__(host, **{**waits, **options})

    def _connect(self) -> None:
        self.client = paramiko.SSHClient()
        self.client.set_missing_host_key_policy(self._policy)
        try:
            self.client.connect(self.host, **self.ssh_kwargs)
            self.ftp = self.client.open_sftp()
        except BaseException:
            self.client.close()
            raise
        channel = self.ftp.get_channel()
        if channel is not None:
            channel.settimeout(SILENCE_SECONDS)

    def close(self) -> None:
        """Hang up."""
        self.client.close()


def fingerprint(key: paramiko.PKey) -> str:
    """A key's SHA-256 as OpenSSH shows it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest())
    return f"SHA256:{digest.decode().rstrip('=')}"
