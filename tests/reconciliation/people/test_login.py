"""Coming in: one answer for every wrong try, longer waits for each further one, and a provider's word on roles."""

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciliation.people.login import (
    NOT_LET_IN,
    WRONG,
    LoginOutcome,
    log_in,
    log_in_vouched,
    waiting_seconds,
)
from reconciliation.people.registry import find_person, password_hash, set_password_text
from tests.reconciliation.people.conftest import PASSWORD, SALT, Door


def come(door: Door, login: str, password: str, mark: str = "token") -> LoginOutcome:
    with door.session("tieout_doorkeeper") as connection:
        return log_in(connection, login, password, token=mark, salt=SALT)


def attempts(door: Door, login: str) -> list[str]:
    with door.session("tieout_doorkeeper") as connection:
        rows = connection.execute(
            "SELECT a.outcome FROM recon.login_attempt AS a WHERE a.login = %s ORDER BY a.attempt_id",
            (login,),
        )
        return [outcome for (outcome,) in rows]


def test_only_the_right_password_of_an_active_person_opens_and_all_else_gets_one_answer(door: Door) -> None:
    door.make("ada", password=PASSWORD)
    door.make("off", password=PASSWORD)
    door.change("off", state="disabled")
    door.make("bare")
    opened = come(door, " ADA ", PASSWORD)
    assert opened.session_id is not None
    found = door.who("token")
    assert found is not None
    assert found.login == "ada"
    for login, password in (
        ("ada", PASSWORD + "!"), ("ada", ""), ("off", PASSWORD), ("bare", PASSWORD), ("nobody", PASSWORD),
        ("a b", PASSWORD), ("\0", "\ud800"), ("'; DROP TABLE recon.person --", "x"),
    ):  # fmt: skip
        assert come(door, login, password, "other") == LoginOutcome(said=WRONG), login
    assert door.who("other") is None
    assert attempts(door, "ada") == ["opened", "refused", "refused"]
    assert attempts(door, "nobody") == []


def test_a_password_typed_where_the_name_belongs_is_not_kept_and_its_tries_are_counted_all_the_same(
    door: Door,
) -> None:
    for _ in range(5):
        assert come(door, "my-secret-password", "").wait_seconds == 0
    assert (
        come(door, "My-Secret-Password ", "").wait_seconds > 0
    )  # so nobody learns by this which names there are
    assert come(door, "another", "").wait_seconds == 0
    with door.session("tieout_doorkeeper") as connection:
        kept = connection.execute(
            "SELECT a.login, count(*) FROM recon.login_attempt AS a GROUP BY 1"
        ).fetchall()
    assert sorted(count for _, count in kept) == [1, 5]
    assert not [login for login, _ in kept if "secret" in login or not login.startswith("unknown:")]


def test_many_guesses_at_once_are_counted_one_by_one(door: Door) -> None:
    door.make("ada", password=PASSWORD)
    with ThreadPoolExecutor(8) as guessers:
        outcomes = list(guessers.map(lambda number: come(door, "ada", f"guess {number}"), range(8)))
    assert sorted(outcome.said == WRONG for outcome in outcomes) == [False] * 3 + [True] * 5
    assert attempts(door, "ada") == ["refused"] * 5


def test_after_five_wrong_tries_even_the_right_password_has_to_wait(door: Door) -> None:
    door.make("ada", password=PASSWORD)
    for _ in range(4):
        come(door, "ada", "wrong again")
    assert come(door, "ada", PASSWORD).session_id is not None  # which forgets the four
    for _ in range(5):
        assert come(door, "ada", "wrong again").wait_seconds == 0
        with door.session("tieout_owner") as connection:  # another person's door is not shut by it
            assert connection.execute(
                "SELECT count(*) FROM recon.login_attempt WHERE login = 'bob'"
            ).fetchone() == (0,)
    refused = come(door, "ada", PASSWORD, "early")
    assert refused.session_id is None
    assert 0 < refused.wait_seconds <= 2
    assert f"try again in {refused.wait_seconds} s" in refused.said
    assert door.who("early") is None
    assert attempts(door, "ada") == ["refused"] * 4 + ["opened"] + ["refused"] * 5


def test_waits_double_up_to_a_quarter_of_an_hour() -> None:
    assert [waiting_seconds(tries) for tries in range(16)] == [
        0, 0, 0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900,
    ]  # fmt: skip
    assert waiting_seconds(10**9) == 900


def test_a_hash_of_old_is_made_anew_when_its_password_comes(door: Door) -> None:
    door.make("ada")
    old = hashlib.scrypt(PASSWORD.encode(), salt=b"an old salt", n=1024, r=8, p=1, dklen=32)
    text = f"scrypt$1024$8$1${base64.b64encode(b'an old salt').decode()}${base64.b64encode(old).decode()}"
    with door.session("tieout_doorkeeper") as connection:
        set_password_text(connection, "ada", text, by_whom="root")
    come(door, "ada", "wrong again")
    with door.session("tieout_doorkeeper") as connection:
        assert password_hash(connection, "ada") == text
    assert come(door, "ada", PASSWORD).session_id is not None
    with door.session("tieout_doorkeeper") as connection:
        assert str(password_hash(connection, "ada")).startswith("scrypt$32768$8$1$AAECAwQF")
    assert come(door, "ada", PASSWORD, "again").session_id is not None


@pytest.mark.parametrize("channel", ["proxy", "oidc"])
def test_whom_somebody_vouches_for_comes_in_with_the_roles_that_hold_now(channel: str, door: Door) -> None:
    def vouched(login: str, roles: tuple[str, ...] | None, newcomers: tuple[str, ...] = ()) -> LoginOutcome:
        with door.session("tieout_doorkeeper") as connection:
            return log_in_vouched(
                connection, login, name="Ada L.", roles=roles, newcomer_roles=newcomers, channel=channel,
                token=f"{login} {roles} {newcomers}",
            )  # fmt: skip

    def roles_of(login: str) -> tuple[str, ...] | None:
        with door.session("tieout_auditor") as connection:
            person = find_person(connection, login)
        return None if person is None else person.roles

    refused = LoginOutcome(said=NOT_LET_IN)
    assert vouched("ada", None) == refused
    assert roles_of("ada") is None
    assert attempts(door, "ada") == ["refused"]
    assert vouched("Ada", None, ("viewer",)).session_id is not None
    assert roles_of("ada") == ("viewer",)
    assert vouched("ada", ("analyst", "approver")).session_id is not None
    assert roles_of("ada") == ("analyst", "approver")
    assert vouched("ada", None).session_id is not None  # the provider says nothing of roles: they stay
    assert vouched("ada", ()) == refused  # it says that there are none any more
    assert roles_of("ada") == ("analyst", "approver")
    door.change("ada", state="disabled")
    assert vouched("ada", ("admin",)) == refused  # who was sent away here stays away
    assert roles_of("ada") == ("analyst", "approver")
    assert vouched("a/b", ("admin",)) == refused
    assert vouched("bob", ("auditor",)).session_id is not None
