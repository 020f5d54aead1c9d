"""Files are fetched from a folder, an object store or an SFTP server: whole, once, again when corrected, and no secret
is ever seen.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import fsspec
import pytest
import yaml

from dagster_project import place_memory
from dagster_project.definitions import definitions_of
from dagster_project.errors import SettingsError
from dagster_project.pipeline import reconcile_source, source_day
from dagster_project.place_access import check_places, options_of
from dagster_project.places import Look, fetch, free_name, is_draft, look
from dagster_project.project import Project
from dagster_project.receiving import ingest_landed, landed
from reconciliation.sources import Source, Sources, parse_sources
from tests.dagster_project.conftest import MONDAY
from tests.dagster_project.sftp_server import USER, SftpServer, serving, serving_silence

CANARY = "canary-7f3a-never-shown"
NAME = "camt053_main_2026-11-09.xml"


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    folder = tmp_path / "server" / "outbox"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def server(outbox: Path) -> Iterator[SftpServer]:
    with serving(outbox.parent, CANARY) as running:
        yield running


@dataclasses.dataclass(frozen=True)
class Bank:
    """The demo's bank, whose files come from a place."""

    project: Project

    @property
    def source(self) -> Source:
        return self.project.sources["bank"]

    @property
    def landing(self) -> Path:
        return self.project.settings.landing / "bank"

    def fetch(self, at_rest_seconds: int = 0) -> Look:
        return fetch(self.project, self.source, at_rest_seconds=at_rest_seconds)

    def look(self, at_rest_seconds: int = 0) -> Look:
        return look(self.project, self.source, at_rest_seconds=at_rest_seconds)

    def ingest(self) -> list[str]:
        return [outcome.outcome for _, outcome in ingest_landed(self.project, self.source)]

    def later(self, seconds: float) -> None:
        """Let the time since the last look pass."""
        memory = place_memory.memory_of(self.project.settings, self.source)
        memory.looked_at -= seconds
        memory.seen = {
            name: (mark, size, since - seconds) for name, (mark, size, since) in memory.seen.items()
        }
        place_memory.keep(self.project.settings, self.source, memory)

    def alerts(self) -> list[tuple[Any, ...]]:
        with self.project.database.session("tieout_auditor") as connection:
            return connection.execute("SELECT cause_key, title, body FROM recon.alert ORDER BY 1").fetchall()

    def lying(self) -> list[str]:
        return sorted(path.name for path in self.landing.iterdir() if path.is_file())


@pytest.fixture
def bank_at(project: Project) -> Callable[..., Bank]:
    """The bank with a place, written to the project's own sources file; options go to a file of places."""

    def at(place: object, options: dict[str, dict[str, Any]] | None = None, **files: object) -> Bank:
        path = project.settings.sources
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
        described["sources"][0]["files"] |= {"place": str(place)} | files
        path.write_text(yaml.safe_dump(described), encoding="utf-8")
        places = project.settings.home / "places.yaml"
        places.touch(mode=0o600)
        places.write_text(yaml.safe_dump(options or {}), encoding="utf-8")
        return Bank(
            dataclasses.replace(
                project,
                sources=parse_sources(path.read_text(encoding="utf-8")),
                settings=dataclasses.replace(project.settings, places_file=places),
            )
        )

    return at


@pytest.fixture
def sftp_bank(bank_at: Callable[..., Bank], server: SftpServer) -> Bank:
    return bank_at(f"{server.host}/outbox", known(server))


def known(server: SftpServer, **changes: Any) -> dict[str, dict[str, Any]]:
    return {server.host: {"username": USER, "password": CANARY, "host_key": server.fingerprint} | changes}


def test_what_an_sftp_server_holds_is_fetched_whole_and_once(sftp_bank: Bank, outbox: Path) -> None:
    content = os.urandom(700_000)
    (outbox / NAME).write_bytes(content)
    (outbox / "other_2026-11-09.csv").write_bytes(b"of another pattern")
    found = sftp_bank.fetch()
    assert (found.fetched, found.problems) == ((sftp_bank.landing / NAME,), ())
    assert found.fetched[0].read_bytes() == content
    assert sftp_bank.lying() == [NAME]
    assert list(landed(sftp_bank.project, sftp_bank.source, at_rest_seconds=5)) == [sftp_bank.landing / NAME]
    assert sftp_bank.fetch() == Look()
    assert sorted(path.name for path in outbox.iterdir()) == [NAME, "other_2026-11-09.csv"]


@pytest.mark.parametrize("scheme", ["", "file://", "memory://"])
def test_folders_and_object_stores_are_places_too(
    scheme: str, bank_at: Callable[..., Bank], tmp_path: Path
) -> None:
    place = f"{scheme}{tmp_path}/store"
    filesystem = fsspec.filesystem(scheme.removesuffix("://") or "file")
    filesystem.makedirs(f"{tmp_path}/store", exist_ok=True)
    filesystem.pipe(f"{tmp_path}/store/{NAME}", b"a statement")
    filesystem.pipe(f"{tmp_path}/store/below/{NAME}", b"another") if scheme == "memory://" else None
    bank = bank_at(place)
    (path,) = bank.fetch().fetched
    assert path.read_bytes() == b"a statement"
    assert bank.fetch().fetched == ()


def test_a_day_is_taken_in_from_a_place_and_reconciled(
    sftp_bank: Bank, outbox: Path, world: Path, arrive: Callable[..., None]
) -> None:
    arrive(MONDAY, without="camt053")
    for path in (world / "days" / MONDAY.isoformat() / "bank").iterdir():
        (outbox / path.name).write_bytes(path.read_bytes())
    assert sftp_bank.ingest() == ["accepted"] * 3
    reconcile_source(sftp_bank.project, sftp_bank.source, MONDAY)
    assert source_day(sftp_bank.project, sftp_bank.source, MONDAY).count(kind="missing_file") == 0
    assert sftp_bank.ingest() == []
    (statement,) = outbox.glob("*main-eur*")
    os.utime(statement, (time.time() + 5, time.time() + 5))  # delivered again under its name
    assert sftp_bank.ingest() == ["redelivered"]


def test_a_corrected_file_under_the_same_name_is_fetched_beside_the_first(
    sftp_bank: Bank, outbox: Path
) -> None:
    (outbox / NAME).write_bytes(b"first")
    sftp_bank.fetch()
    (outbox / NAME).write_bytes(b"corrected")
    assert [path.name for path in sftp_bank.fetch().fetched] == ["camt053_main_2026-11-09.2.xml"]
    assert (sftp_bank.landing / NAME).read_bytes() == b"first"
    assert (sftp_bank.landing / "camt053_main_2026-11-09.2.xml").read_bytes() == b"corrected"


def test_a_corrected_file_whose_pattern_leaves_no_other_name_waits_until_the_first_is_taken(
    bank_at: Callable[..., Bank], outbox: Path
) -> None:
    bank = bank_at(outbox, pattern=NAME)
    (outbox / NAME).write_bytes(b"first")
    bank.fetch()
    (outbox / NAME).write_bytes(b"corrected")
    assert bank.fetch().fetched == ()
    (bank.landing / NAME).unlink()
    (path,) = bank.fetch().fetched
    assert path.read_bytes() == b"corrected"


def test_a_file_that_grows_from_look_to_look_is_waited_for(
    bank_at: Callable[..., Bank], outbox: Path
) -> None:
    bank, done = bank_at(outbox), threading.Event()

    def upload() -> None:
        with (outbox / NAME).open("ab", buffering=0) as file:
            while not done.wait(0.05):
                file.write(b"line\n")

    writer = threading.Thread(target=upload)
    writer.start()
    try:
        time.sleep(0.1)
        assert bank.fetch(at_rest_seconds=1) == Look()
        assert bank.look(at_rest_seconds=1).waiting == {}
        assert bank.lying() == []
    finally:
        done.set()
        writer.join()
    (path,) = bank.fetch(at_rest_seconds=1).fetched
    assert path.read_bytes() == (outbox / NAME).read_bytes()


def test_a_file_that_grows_while_it_is_copied_is_left_for_the_next_look(
    sftp_bank: Bank, server: SftpServer, outbox: Path
) -> None:
    (outbox / NAME).write_bytes(b"half")

    def grow(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b" and more")

    server.opening = grow
    assert sftp_bank.fetch() == Look()
    assert sftp_bank.lying() == []
    server.opening = lambda _: None
    (path,) = sftp_bank.fetch().fetched
    assert path.read_bytes() == b"half and more"


def test_a_file_replaced_by_one_of_the_same_size_while_it_is_copied_is_not_taken_for_whole(
    sftp_bank: Bank, server: SftpServer, outbox: Path
) -> None:
    (outbox / NAME).write_bytes(b"old")

    def replace(path: Path) -> None:
        path.write_bytes(b"new")
        os.utime(path, (1, 1))

    server.opening = replace
    assert sftp_bank.fetch() == Look()
    assert sftp_bank.lying() == []


def test_a_copy_that_comes_out_shorter_than_the_listing_is_not_taken_for_whole(
    sftp_bank: Bank, server: SftpServer, outbox: Path
) -> None:
    def whole() -> None:
        (outbox / NAME).write_bytes(b"a whole statement")
        os.utime(outbox / NAME, (1, 1))

    server.listing, server.opening = whole, lambda path: os.truncate(path, 7)
    assert sftp_bank.fetch() == Look()
    assert sftp_bank.lying() == []


def test_what_a_killed_fetch_left_is_cleared_away(bank_at: Callable[..., Bank], outbox: Path) -> None:
    bank = bank_at(outbox)
    (bank.landing / f".{NAME}.fetching").write_bytes(b"half")
    bank.fetch()
    assert bank.lying() == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({CANARY: "an option that paramiko does not know, whose name its error repeats"}, "of the kind TypeError"),
        ({"key_filename": f"/nowhere/{CANARY}"}, "no such file as its options name; mend key_filename"),
    ],
)
def test_what_a_library_says_of_its_options_is_not_repeated(
    options: dict[str, Any], sentence: str, bank_at: Callable[..., Bank], server: SftpServer
) -> None:
    described = {name: value for name, value in known(server)[server.host].items() if name != "password"}
    bank = bank_at(f"{server.host}/outbox", {server.host: described | options})
    (problem,) = bank.fetch().problems
    assert sentence in str(problem)
    assert CANARY not in str(problem)


@pytest.mark.parametrize(
    "name",
    [f".{NAME}", *(f"{NAME}{ending}" for ending in (".part", ".PARTIAL", ".tmp", ".temp", ".filepart", ".crdownload")),
     f"{NAME}.writing", f"{NAME}~"],
)  # fmt: skip
def test_a_draft_is_read_neither_from_a_place_nor_from_the_landing_folder(
    name: str, bank_at: Callable[..., Bank], outbox: Path
) -> None:
    bank = bank_at(outbox, pattern="*")
    (outbox / name).write_bytes(b"half a statem")
    (bank.landing / name).write_bytes(b"half a statem")
    assert is_draft(name)
    assert bank.fetch() == Look()
    assert bank.ingest() == []
    assert not landed(bank.project, bank.source)


def test_where_a_marker_is_agreed_a_file_counts_once_its_marker_is_there(
    bank_at: Callable[..., Bank], outbox: Path
) -> None:
    bank = bank_at(outbox, pattern="*", ready_marker=".done")
    (outbox / NAME).write_bytes(b"whole")
    assert bank.fetch() == Look()
    (outbox / f"{NAME}.done").touch()
    assert [path.name for path in bank.fetch().fetched] == [NAME]
    assert list(landed(bank.project, bank.source)) == [bank.landing / NAME]


def test_a_marker_in_the_landing_folder_is_put_aside_with_its_file(project: Project) -> None:
    described = project.sources["bank"]
    files = described.files.model_copy(update={"ready_marker": ".done"})
    bank = described.model_copy(update={"files": files})
    folder = project.settings.landing / "bank"
    (folder / NAME).write_text("no statement")
    assert list(ingest_landed(project, bank)) == []
    (folder / f"{NAME}.done").touch()
    ((_, outcome),) = ingest_landed(project, bank)
    assert outcome.outcome == "rejected"
    assert sorted(path.name for path in (folder / "refused").iterdir()) == [NAME, f"{NAME}.done"]


KILLED = """
import os, signal, sys
from pathlib import Path
from dagster_project import places
from dagster_project.project import open_project
from dagster_project.settings import read_settings
project = open_project(read_settings(os.environ, Path.cwd()))
kill = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "between copy and rename":
    os.utime = kill
else:
    places.keep = kill
places.fetch(project, project.sources["bank"], at_rest_seconds=0)
"""


@pytest.mark.parametrize(
    ("moment", "outcomes"),
    [
        ("between copy and rename", ["accepted"]),
        ("between rename and remembering", ["accepted", "redelivered"]),
    ],
)
def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(
    moment: str,
    outcomes: list[str],
    bank_at: Callable[..., Bank],
    outbox: Path,
    world: Path,
) -> None:
    bank = bank_at(outbox)
    (statement,) = (world / "days" / MONDAY.isoformat() / "bank").glob("*main-eur*")
    (outbox / statement.name).write_bytes(statement.read_bytes())
    settings = bank.project.settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIEOUT_")} | {
        "TIEOUT_HOME": str(settings.home),
        "TIEOUT_DATABASE_URL": str(settings.database_url),
    }
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, moment],
        env=environment,
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    drafts = [name for name in bank.lying() if name.startswith(".")]
    assert drafts == ([f".{statement.name}.fetching"] if moment == "between copy and rename" else [])
    assert bank.ingest() == outcomes
    assert bank.lying() == []
    assert bank.ingest() == []
    with bank.project.database.session("tieout_auditor") as connection:
        told = connection.execute("SELECT count(*), count(DISTINCT line_key) FROM recon.line").fetchone()
    assert told is not None
    assert told[0] == told[1] > 0


def test_a_place_that_is_down_is_told_of_once_a_day_and_keeps_nothing_from_being_taken_in(
    bank_at: Callable[..., Bank], server: SftpServer, world: Path, arrive: Callable[..., None]
) -> None:
    arrive(MONDAY, without="nothing")
    bank = bank_at("sftp://127.0.0.1:1/outbox", {"sftp://127.0.0.1:1": known(server)[server.host]})
    told: list[str] = []
    taken = [outcome.outcome for _, outcome in ingest_landed(bank.project, bank.source, warn=told.append)]
    assert taken == ["accepted"] * 3
    (sentence,) = told
    assert sentence == (
        "source bank, files.place sftp://127.0.0.1:1/outbox: expected to get in, found nobody who answers there; it is "
        "tried again; see whether the server is up. What has landed here is taken in all the same."
    )
    assert bank.ingest() == []
    bank.later(3600)
    assert len(bank.look().problems) == 1
    ((cause, title, body),) = bank.alerts()
    assert cause.startswith("place:bank:")
    assert title == "bank: files cannot be fetched from their place"
    assert body == sentence
    assert bank.project.alert_file.read_text().count("files cannot be fetched") == 1


def test_a_server_that_never_answers_is_given_up(
    bank_at: Callable[..., Bank], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_project.places.LOOK_SECONDS", 0.5)
    with serving_silence() as port:
        bank = bank_at(f"sftp://127.0.0.1:{port}/outbox", {f"sftp://127.0.0.1:{port}": {"password": CANARY}})
        began = time.monotonic()
        (problem,) = bank.look().problems
    assert "found no answer in time" in str(problem)
    assert time.monotonic() - began < 5


def test_a_sensor_does_not_knock_at_a_failing_place_at_every_tick(
    bank_at: Callable[..., Bank], server: SftpServer
) -> None:
    bank = bank_at(f"{server.host}/outbox", known(server, password=f"not {CANARY}"))
    for _ in range(5):
        bank.look()
    assert server.connections == 1
    bank.later(61)
    bank.look()
    assert server.connections == 1  # after a failure the wait is doubled
    bank.later(60)
    (problem,) = bank.look().problems
    assert server.connections == 2
    assert "lets us in with none of what it was given; mend it in TIEOUT_PLACES_FILE" in str(problem)


@pytest.mark.parametrize(
    ("host_key", "sentence"),
    [
        ((), "found no host_key to know the server by (it shows SHA256:"),
        ("SHA256:another", "instead of SHA256:another; nothing was sent to it"),
    ],
)
def test_no_password_is_sent_to_a_server_that_is_not_the_one_that_is_known(
    host_key: object, sentence: str, bank_at: Callable[..., Bank], server: SftpServer
) -> None:
    bank = bank_at(f"{server.host}/outbox", known(server, host_key=host_key))
    (problem,) = bank.fetch().problems
    assert sentence in str(problem)
    assert server.fingerprint in str(problem)
    assert server.passwords == []


def test_too_large_a_file_is_told_of_and_the_others_are_fetched_up_to_the_limit_of_a_look(
    bank_at: Callable[..., Bank], outbox: Path
) -> None:
    bank = bank_at(outbox, bytes_max=10, files_max=2)
    for number in range(1, 4):
        (outbox / f"camt053_{number}.xml").write_bytes(b"small")
    (outbox / "camt053_0.xml").write_bytes(b"far too large")
    found = bank.fetch()
    assert [path.name for path in found.fetched] == ["camt053_1.xml", "camt053_2.xml"]
    (problem,) = found.problems
    assert str(problem) == (
        f"source bank, files.place {outbox}: expected camt053_0.xml to have at most 10 bytes, found 13; raise "
        "bytes_max of the source's files, or have it split."
    )
    assert [path.name for path in bank.fetch().fetched] == ["camt053_3.xml"]


def test_a_file_that_may_not_be_read_is_told_of_and_the_others_are_fetched(
    sftp_bank: Bank, server: SftpServer, outbox: Path
) -> None:
    for number in (1, 2):
        (outbox / f"camt053_{number}.xml").write_bytes(b"a statement")

    def vanish(path: Path) -> None:
        if path.name == "camt053_1.xml":
            path.unlink()

    server.opening = vanish
    found = sftp_bank.fetch()
    assert [path.name for path in found.fetched] == ["camt053_2.xml"]
    assert "expected to read camt053_1.xml, found nothing of that name" in str(found.problems[0])


def test_a_sensor_asks_for_what_waits_at_a_place_once_it_is_at_rest(sftp_bank: Bank, outbox: Path) -> None:
    (outbox / "camt053_main_2026-11-10.xml").write_bytes(b"a statement")
    found = definitions_of(sftp_bank.project.sources, today=datetime.now(UTC).date())
    repository = found.get_repository_def()
    cursor: str | None = None

    def tick() -> list[dg.RunRequest]:
        nonlocal cursor
        with dg.build_sensor_context(
            cursor=cursor, resources={"project": sftp_bank.project}, repository_def=repository
        ) as context:
            data = repository.get_sensor_def("bank_landing").evaluate_tick(context)
        cursor = data.cursor
        return list(data.run_requests or [])

    assert tick() == []  # seen for the first time
    sftp_bank.later(60)
    (request,) = tick()
    assert (request.job_name, request.partition_key) == ("bank_day", "2026-11-10")
    assert tick() == []
    assert sftp_bank.lying() == []  # a tick copies nothing
    sftp_bank.fetch()
    assert sftp_bank.look().waiting == {}


def test_the_password_of_a_place_is_never_shown(
    sftp_bank: Bank, server: SftpServer, outbox: Path, world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in (world / "days" / MONDAY.isoformat() / "bank").iterdir():
        (outbox / path.name).write_bytes(path.read_bytes())
    shown: list[str] = []
    for password in (CANARY, f"{CANARY}-outdated"):
        server.password = password
        with dg.DagsterInstance.ephemeral() as forgotten:
            found = definitions_of(Sources(version=1, sources=(sftp_bank.source,)), today=MONDAY)
            result = found.resolve_job_def("bank_intake").execute_in_process(
                partition_key=MONDAY.isoformat(),
                instance=forgotten,
                resources={"project": sftp_bank.project},
                run_config={"ops": {"bank__bank_delivery": {"config": {"at_rest_seconds": 0}}}},
            )
            assert result.success
            shown += [str(entry) for entry in forgotten.all_logs(result.run_id)]
    assert server.passwords[-1] == CANARY  # it was used, and refused
    assert "none of what it was given" in "".join(shown)
    shown += [repr(sftp_bank.project), str(sftp_bank.project.settings), *map(str, sftp_bank.alerts())]
    shown += [str(sftp_bank.look()), *capfd.readouterr()]
    home = sftp_bank.project.settings.home
    shown += [
        path.read_text(errors="replace")
        for path in home.rglob("*")
        if path.is_file() and path != sftp_bank.project.settings.places_file
    ]
    assert len(sftp_bank.alerts()) == 1
    assert not [text for text in shown if CANARY in text]


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        (
            f"sftp://bank.example: {{password: {CANARY}}}",
            0o644,
            "others may not read, found mode 0644; chmod 600 it",
        ),
        (f"sftp://bank.example: {{password: '{CANARY}", 0o600, "expected readable YAML"),
        (f"sftp://user:{CANARY}@bank.example: {{}}", 0o600, "place 1 as a URL without a user"),
        (f"sftp://bank.example: {CANARY}", 0o600, "place 1 with a map of options"),
        (f"- {CANARY}", 0o600, "a map of places to options"),
    ],
)
def test_a_file_of_places_that_cannot_be_used_is_refused_and_not_repeated(
    text: str, mode: int, sentence: str, project: Project, tmp_path: Path
) -> None:
    path = tmp_path / "places.yaml"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(SettingsError, match="TIEOUT_PLACES_FILE") as refusal:
        check_places(project.sources, path, landing=project.settings.landing)
    assert sentence in str(refusal.value)
    assert CANARY not in str(refusal.value)


def test_a_place_nobody_can_speak_to_or_that_is_the_landing_folder_is_refused(
    bank_at: Callable[..., Bank],
) -> None:
    for place, sentence in (
        ("gopher://bank.example/outbox", "found gopher://"),
        (bank_at("/").landing, "one in it"),
    ):
        bank = bank_at(place)
        with pytest.raises(SettingsError, match=sentence):
            check_places(bank.project.sources, None, landing=bank.project.settings.landing)


def test_the_options_of_a_place_are_those_of_its_host_and_of_no_other() -> None:
    bank: dict[str, Any] = {"username": "acme"}
    deep: dict[str, Any] = {"username": "deep"}
    places = {"sftp://bank.example": bank, "sftp://bank.example/special": deep}
    assert options_of("sftp://bank.example/outbox", places) is bank
    assert options_of("sftp://someone@bank.example/outbox", places) is bank
    assert options_of("sftp://bank.example/special/eur", places) is deep
    assert options_of("sftp://bank.example.evil.example/outbox", places) == {}
    assert options_of("sftp://bank.example:2222/outbox", places) == {}


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("a_2026-11-09.xml", "a_2026-11-09.2.xml"),
        ("a_20261109.csv.gz", "a_20261109.2.csv.gz"),
        ("SALES.20261109", "SALES.2.20261109"),
        ("plain", "plain.2"),
    ],
)
def test_a_second_file_of_a_name_keeps_ending_and_date(name: str, second: str, tmp_path: Path) -> None:
    assert free_name(tmp_path / name) == tmp_path / name
    (tmp_path / name).touch()
    assert free_name(tmp_path / name) == tmp_path / second
