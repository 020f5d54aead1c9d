"""What roles may do is one table, here and in the database."""

import psycopg
import pytest

from reconciliation.people.permissions import DEEDS, ROLES, permits, roles_that_may

# Written out once more, row by deed, so that neither copy can change alone.
TABLE = """
look        viewer analyst approver controller auditor admin
export      analyst approver controller auditor
work        analyst approver controller
propose     analyst approver controller
judge       approver controller
prepare     analyst approver controller
review      approver controller
audit       controller auditor admin
administer  admin
operate     analyst approver controller admin
"""
EXPECTED = {deed: tuple(roles) for deed, *roles in (line.split() for line in TABLE.strip().split("\n"))}


def test_each_role_may_what_the_table_says_and_nothing_else() -> None:
    assert {deed: roles_that_may(deed) for deed in DEEDS} == EXPECTED
    assert not permits(ROLES, "delete the evidence")
    assert not permits((), "look")
    assert not permits(("root",), "administer")


def test_the_database_says_the_same_for_every_set_of_roles_and_every_deed(
    connection: psycopg.Connection,
) -> None:
    sets = [
        tuple(role for place, role in enumerate(ROLES) if number >> place & 1)
        for number in range(2 ** len(ROLES))
    ]
    asked = [(list(roles), deed) for roles in sets for deed in (*DEEDS, "delete the evidence", "")]
    with connection.cursor() as cursor:
        cursor.executemany("SELECT recon.permits(%s, %s)", asked, returning=True)
        answers = [result.fetchone() for result in cursor.results()]
    assert answers == [(permits(roles, deed),) for roles, deed in asked]


@pytest.mark.parametrize("role", ["tieout_analyst", "tieout_auditor", "tieout_doorkeeper"])
def test_whoever_serves_people_may_ask_the_table(role: str, connection: psycopg.Connection) -> None:
    connection.execute(psycopg.sql.SQL("SET LOCAL ROLE {}").format(psycopg.sql.Identifier(role)))
    assert connection.execute("SELECT recon.permits('{admin}', 'administer')").fetchone() == (True,)
