"""`tieout up`: owns the database server, the ledger's worker, Dagster's processes, the guard before its UI and the
review app, and stops all in reverse.

Law: everything listens on the loopback address alone; Dagster's UI on a socket that only this user may open, so that
the guard is the way to it. What was started is written down with its marks, so that a killed `up` leaves nothing that
the next one, or `down`, does not know again and end. When one child ends, all end: half a product is worse than none.
Telemetry is off in every process.
"""

import contextlib
import fcntl
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

from dagster_project.embedded_postgres import EmbeddedPostgres
from dagster_project.errors import ServiceError
from dagster_project.instance import dagster_environment, fail_ghosts, instance
from dagster_project.pipeline import initialise
from dagster_project.processes import ProcessMark, stop_signals
from dagster_project.project import Project, packaged_sources
from dagster_project.settings import Settings
from dagster_project.web.guard import HEALTH_PATH
from dagster_project.web.review_settings import LOOPBACK, ReviewSettings, review_settings
from reconciliation.people.registry import list_people, password_hash

LOCATION = "tieout"
START_SECONDS = 180  # two busy cores took 68 at worst
GRACE_SECONDS = 15
DOWN_SECONDS = 90
LOG_BYTES = 10_000_000
UI_SOCKET = "dagster/ui.sock"  # below the state folder, where the children run: a path of a socket must be short
WORKER, CODE_SERVER, UI, DAEMON = "ledger-worker", "code-server", "webserver", "daemon"
GUARD, REVIEW = "guard", "review"

Tell = Callable[[str], None]


def serve(settings: Settings, *, dagster_port: int, review_port: int, tell: Tell) -> None:
    """Serve until told to stop by a signal.

    Raises:
        ServiceError: it is served already, a port is taken, or a process of ours ended; nothing is left running.
        SettingsError: a setting of the web processes is weak, missing, or contradicts another.
    """
    reached_at = review_settings(settings, review_port=review_port, dagster_port=dagster_port)
    with stop_signals() as stop, _alone(settings):
        _refuse_taken(dagster_port, "--dagster-port")
        _refuse_taken(review_port, "--review-port")
        tell("Preparing the database …")
        project = initialise(settings, sources_text=packaged_sources())
        try:
            with instance(project) as opened:
                ghosts = fail_ghosts(opened)
            if ghosts:
                tell(f"{ghosts} unfinished run(s) of an earlier crash are marked as failed.")
            with _Services(project, reached_at, stop) as services:
                _start(services, settings, dagster_port, review_port, tell)
                if services.wait_for(lambda: _answers(dagster_port, HEALTH_PATH) and _answers(review_port, "/login")):
                    _tell_where(project, reached_at, tell)
                services.wait()
        finally:
            if project.database.embedded is not None and project.database.started_here:
                project.database.embedded.stop()
    tell("Stopped.")


def stop_serving(settings: Settings) -> list[str]:
    """Stop a running `up`, what a killed one left, and the embedded server; returns what was stopped, in words."""
    stopped = []
    owner = _owner(settings)
    if owner is not None and owner.is_alive:
        owner.end(grace_seconds=DOWN_SECONDS)
        stopped.append("tieout up")
    if _end_leftovers(settings):
        stopped.append("what a killed `tieout up` had left")
    _state_file(settings).unlink(missing_ok=True)
    if settings.database_url is None and settings.state.exists():
        server = EmbeddedPostgres(settings.home)
        if server.status().running and server.stop():
            stopped.append("the database server")
    return stopped


def child_environment(project: Project, reached_at: ReviewSettings) -> dict[str, str]:
    """The environment of the children: this one, with every place made absolute and the servers given by URL."""
    settings, database = project.settings, project.database
    places = {
        "TIEOUT_HOME": str(settings.home),
        "TIEOUT_SOURCES": str(settings.sources),
        "TIEOUT_LANDING": str(settings.landing),
        "TIEOUT_DATABASE_URL": database.url,
        "TIEOUT_DAGSTER_DATABASE_URL": database.dagster_libpq_url,
        "TIEOUT_REVIEW_URL": reached_at.base_url,
        "TIEOUT_DAGSTER_URL": reached_at.dagster_url,
    }
    if not settings.given_card_keys:
        places["TIEOUT_CARD_KEY_FILE"] = str(settings.card_key_file)
    files = {
        "TIEOUT_KAFKA_FILE": settings.kafka_file,
        "TIEOUT_PLACES_FILE": settings.places_file,
        "TIEOUT_PROXY_SECRET_FILE": settings.proxy_secret_file,
        "TIEOUT_OIDC_SECRET_FILE": settings.oidc_secret_file,
    }
    places |= {name: str(path) for name, path in files.items() if path is not None}
    # gRPC would ask a proxy for the way to this very machine.
    return {**os.environ, **places, **dagster_environment(project), "no_grpc_proxy": f"{LOOPBACK},localhost"}


class _Services:
    """The children, in the order of their start; leaving the context stops them in the reverse order."""

    def __init__(self, project: Project, reached_at: ReviewSettings, stop: threading.Event) -> None:
        self._settings = project.settings
        self._environment = child_environment(project, reached_at)
        self._stop = stop
        self._running: dict[str, tuple[subprocess.Popen[bytes], ProcessMark]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *what: object) -> None:
        for _, mark in reversed(self._running.values()):
            mark.end(grace_seconds=GRACE_SECONDS, group=True)

    def start(self, name: str, *arguments: str) -> None:
        """Start a module, Dagster's or ours, as a child in a session of its own, its words in a log.

        Our handlers for INT and TERM are what gives the child the usual ones back, even where this process was itself
        started with the signals ignored, as shells do behind `&`. A session of its own keeps Ctrl+C from reaching all
        at once.
        """
        with open(_log(self._settings, name), "ab") as log:
            child = subprocess.Popen(  # noqa: S603 - our own words, no shell
                [sys.executable, "-P", "-m", *arguments],
                env=self._environment,
                cwd=self._settings.state,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        mark = ProcessMark.of(child.pid)
        if mark is None:
            raise self._ended(name, child)
        self._running[name] = (child, mark)
        _write_state(self._settings, {name: mark for name, (_, mark) in self._running.items()})

    def wait_for(self, answers: Callable[[], bool]) -> bool:
        """Whether the answer came; False when we were told to stop. Raises ServiceError when a child ended."""
        deadline = time.monotonic() + START_SECONDS
        while not self._stop.is_set():
            self._refuse_ended()
            if answers():
                return True
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"{', '.join(self._running)}: expected an answer within {START_SECONDS} seconds, found none; see "
                    f"{_logs(self._settings)}"
                )
            self._stop.wait(0.2)
        return False

    def wait(self) -> None:
        """Return when told to stop; raises ServiceError when a child ended."""
        while not self._stop.wait(0.5):
            self._refuse_ended()

    def _refuse_ended(self) -> None:
        for name, (child, _) in self._running.items():
            if child.poll() is not None and not self._stop.is_set():
                raise self._ended(name, child)

    def _ended(self, name: str, child: subprocess.Popen[bytes]) -> ServiceError:
        return ServiceError(
            f"{name}: expected to run, found ended with code {child.poll()}; everything was stopped. Its last words "
            f"are in {_log(self._settings, name)}"
        )


def _start(
    services: _Services, settings: Settings, dagster_port: int, review_port: int, tell: Tell
) -> None:
    """The code server before those who ask it for the definitions: they would show an error if it were not there."""
    services.start(WORKER, "dagster_project.ledger_worker")
    services.start(REVIEW, "dagster_project.web.serve_review", "--port", str(review_port))
    services.start(
        GUARD, "dagster_project.web.serve_guard", "--port", str(dagster_port), "--socket", UI_SOCKET
    )
    code_port = _free_port()
    tell("Starting Dagster …")
    services.start(
        CODE_SERVER, "dagster", "api", "grpc", "--module-name", "dagster_project.definitions",
        "--host", LOOPBACK, "--port", str(code_port), "--location-name", LOCATION, "--empty-working-directory",
        "--log-level", "warning",
    )  # fmt: skip
    workspace = settings.state / "dagster" / "workspace.yaml"
    server = {"host": LOOPBACK, "port": code_port, "location_name": LOCATION}
    workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}), encoding="utf-8")
    if not services.wait_for(lambda: _listens(code_port)):
        return
    services.start(
        UI, "dagster_project.web.dagster_ui", "--socket", UI_SOCKET, "--workspace", str(workspace)
    )
    services.start(
        DAEMON, "dagster._daemon", "run", "--workspace", str(workspace), "--log-level", "warning"
    )  # each look at a landing folder would be a line


def _tell_where(project: Project, reached_at: ReviewSettings, tell: Tell) -> None:
    tell(f"Review app: {reached_at.base_url}")
    tell(f"Dagster: {reached_at.dagster_url}")
    if reached_at.identity == "password" and not _somebody_can_log_in(project):
        tell("Nobody can log in yet: tieout users add LOGIN --role ROLE")
    settings = project.settings
    tell(f"Files arrive in {settings.landing}, logs are in {_logs(settings)}. Ctrl+C, or `tieout down`, stops all.")


def _somebody_can_log_in(project: Project) -> bool:
    with project.database.session("tieout_doorkeeper") as connection:
        active = [person.login for person in list_people(connection) if person.state == "active"]
        return any(password_hash(connection, login) is not None for login in active)


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One `up` for a home; who holds it is written down for `down`."""
    settings.state.mkdir(parents=True, exist_ok=True)
    with open(settings.state / "up.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceError(
                f"{settings.home}: expected nobody to serve it, found `tieout up` at work; `tieout down` stops it."
            ) from None
        _end_leftovers(settings)
        _write_state(settings, {})
        try:
            yield
        finally:
            _state_file(settings).unlink(missing_ok=True)


def _end_leftovers(settings: Settings) -> bool:
    """End the children that a killed `up` left; says whether there were any. To be called when no `up` is alive."""
    left = [mark for mark in _children(settings).values() if mark.is_alive]
    for mark in reversed(left):
        mark.end(grace_seconds=GRACE_SECONDS, group=True)
    return bool(left)


def _state_file(settings: Settings) -> Path:
    return settings.state / "up.json"


def _write_state(settings: Settings, children: Mapping[str, ProcessMark]) -> None:
    state = {"owner": ProcessMark.own().text, "children": {name: mark.text for name, mark in children.items()}}
    draft = _state_file(settings).with_suffix(".draft")
    draft.write_text(json.dumps(state), encoding="utf-8")
    draft.replace(_state_file(settings))


def _state(settings: Settings) -> dict[str, object]:
    try:
        found = json.loads(_state_file(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _owner(settings: Settings) -> ProcessMark | None:
    return ProcessMark.parse(str(_state(settings).get("owner", "")))


def _children(settings: Settings) -> dict[str, ProcessMark]:
    found = _state(settings).get("children")
    marks = {name: ProcessMark.parse(str(text)) for name, text in found.items()} if isinstance(found, dict) else {}
    return {name: mark for name, mark in marks.items() if mark is not None}


def _logs(settings: Settings) -> Path:
    return settings.state / "logs"


def _log(settings: Settings, name: str) -> Path:
    path = _logs(settings) / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path


def _refuse_taken(port: int, option: str) -> None:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((LOOPBACK, port))
        except OSError as error:
            raise ServiceError(
                f"port {port}: expected it to be free, found: {error.strerror}; choose another by {option}."
            ) from None


def _free_port() -> int:
    with socket.socket() as attempt:
        attempt.bind((LOOPBACK, 0))
        return int(attempt.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(port: int, path: str) -> bool:
    """Whether a page of ours is served; asked directly, whatever proxy the environment names."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.HTTPStatus.BAD_REQUEST
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
