"""What auditors and supervisors ask, and which files of a pack answer it. In our own words; no legal advice.

Law: a question that the product cannot answer says so, with where the answer is to be found; an answer names only files
that are in the pack. The texts of the rules themselves decide, not this list.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

CASS, PCI, SOC = "FCA CASS 15", "PCI DSS 4.0.1", "SOC 2"
STATEMENTS: Final = "statements/"
SIGNED: Final = "sign_offs/"
DEFINITIONS: Final = "rules/definitions/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question with the files that answer it (a folder where the name ends in a stroke), and what they do not say."""

    asker: str
    asks: str
    files: tuple[str, ...] = ()
    answer: str = ""
    open: str = ""


QUESTIONS: Final = (
    Question(
        asker=CASS,
        asks="Was each account reconciled on each reconciliation day, and at what time?",
        files=("reconciliation/balances.csv", "reconciliation/runs.csv", STATEMENTS, "statements_index.csv"),
        answer="One bridge for each account and business day; runs.csv has the instant and the starter of each run.",
    ),
    Question(
        asker=CASS,
        asks="Do our own books agree with those of the bank, and what explains each difference?",
        files=("reconciliation/balances.csv", "exceptions/exceptions.csv", "exceptions/lines.csv", STATEMENTS),
        answer="The external reconciliation, with every open item; unexplained_minor is what nothing explains.",
    ),
    Question(
        asker=CASS,
        asks="Do the balances of all customers add up to what must be safeguarded (the internal reconciliation)?",
        open="Not answered here: tieout reconciles accounts of the ledger with the outside. The roll-up of customers"
        " and the requirement are in the ledger: tieout ledger trial-balance, and ledger export.",
    ),
    Question(
        asker=CASS,
        asks="Was a shortfall paid in at once?",
        files=("decisions/adjustments.csv", "exceptions/exceptions.csv"),
        open="The files show entries that were booked for differences; the payment itself is a matter of the bank.",
    ),
    Question(
        asker=CASS,
        asks="What was done about each discrepancy: reason, action, person, time, age?",
        files=("exceptions/exceptions.csv", "exceptions/events.csv", "exceptions/attachments.csv"),
        answer="age_days and reason of each; events.csv has every step with actor and instant.",
    ),
    Question(
        asker=CASS,
        asks="By which documented method and threshold, in force when, and changed by whom?",
        files=("rules/versions.csv", "rules/changes.json", DEFINITIONS, "rules/calendars.csv"),
        answer="Tolerances, materiality, limits and calendars of each source, word for word, with every change.",
        open="The written policy and its owner are documents of the firm.",
    ),
    Question(
        asker=CASS,
        asks="Which records were missing, late, refused or corrected?",
        files=(
            "deliveries/deliveries.csv", "deliveries/missing_files.csv", "deliveries/statements.csv",
            "deliveries/releases.csv",
        ),
    ),
    Question(
        asker=CASS,
        asks="Who confirmed each day?",
        files=("sign_offs/sign_offs.csv", SIGNED, "statements_index.csv"),
        answer="Two names and two digests a day, and whether the signed books are still the books.",
    ),
    Question(
        asker=CASS,
        asks="Can the records of any past day be produced again?",
        files=("manifest.json", "README.md"),
        answer="Yes, to the byte: the manifest names the moment of knowledge that the same command takes.",
    ),
    Question(
        asker=CASS,
        asks="The monthly return and the schedule of breaches.",
        open="Not answered here: the return and the auditor's schedule are written by the firm; figures can be taken"
        " from the files above.",
    ),
    Question(
        asker=PCI,
        asks="Is there any full card number, track or verification code in what is kept and shown? (3.3, 3.4.1, 3.5.1)",
        files=("card_sweep.json",),
        answer="None in any file of this pack; the sweep reads every byte of it, and a find ends the work.",
        open="The sweep is of this pack. Tables and logs are kept clean by constraints and tests of the product.",
    ),
    Question(
        asker=PCI,
        asks="Are stand-ins of card numbers made with a key, and how are keys changed? (3.5.1.1)",
        open="Stand-ins are keyed (HMAC-SHA-256) and carry the id of their key. Keys are outside the database, and so"
        " is the record of changing them: it is kept by who runs the product.",
    ),
    Question(
        asker=PCI,
        asks="Who may see or change what? (7, 8)",
        files=(
            "access/people.csv", "access/who_could_do_what.csv", "access/permissions.csv",
            "access/database_grants.csv", "access/database_roles.csv",
        ),
    ),
    Question(
        asker=PCI,
        asks="What is logged, and is the audit trail safe from change? (10.2, 10.3)",
        files=(
            "exceptions/events.csv", "access/people_events.csv", "access/log_ins.csv", "access/server_settings.csv",
            "chain/verification.json",
        ),
        answer="Append-only by trigger and by grant; each event is a link of a chain that was computed again.",
    ),
    Question(
        asker=PCI,
        asks="Is the trail kept twelve months, three of them at hand? (10.5.1)",
        open="Nothing is ever removed from the database by the product; backups are kept by who runs it.",
    ),
    Question(
        asker=PCI,
        asks="Which software components in which versions? (6.3.2)",
        files=("software/components.csv",),
    ),
    Question(
        asker=SOC,
        asks="Who had access, and who could do what on a date? (CC6)",
        files=("access/people.csv", "access/people_events.csv", "access/who_could_do_what.csv", "access/log_ins.csv"),
    ),
    Question(
        asker=SOC,
        asks="Which checks failed, and how were they dealt with? (CC7)",
        files=(
            "deliveries/deliveries.csv", "reconciliation/runs.csv", "controls/alerts.csv", "exceptions/events.csv",
            "chain/verification.json",
        ),
    ),
    Question(
        asker=SOC,
        asks="What changed in rules and program, and by whom? (CC8)",
        files=("rules/versions.csv", "rules/changes.json", "rules/calendars.csv"),
        open="Changes of the program are in its version control; calendars.csv names the version that each run used.",
    ),
    Question(
        asker=SOC,
        asks="Is what came in complete: counts in equal counts out at each stage? (PI1)",
        files=("deliveries/deliveries.csv", "reconciliation/balances.csv", "statements_index.csv"),
        answer="counts_hold of each file (lines = added + changed + unchanged) and of each bridge (lines = matched +"
        " timing + genuine + excluded).",
    ),
    Question(
        asker=SOC,
        asks="Was each entry and each override authorised by two people? (PI1)",
        files=(
            "decisions/proposals.csv", "decisions/decisions.csv", "decisions/adjustments.csv",
            "decisions/undone_matches.csv",
        ),
        answer="Both names on each; undoing a match takes one, for it hides nothing.",
    ),
    Question(
        asker=SOC,
        asks="Is each report shown to be complete and unchanged? (PI1.4)",
        files=("manifest.json", "check.py"),
        answer="Every CSV ends with its question, rows, totals and digest; check.py computes all of it again.",
    ),
)  # fmt: skip


def answered(paths: Collection[str]) -> list[dict[str, Any]]:
    """The questions with the files that are in a pack of these paths."""
    return [
        {
            "asker": question.asker,
            "asks": question.asks,
            "files": [path for name in question.files for path in _of(name, paths)],
            "answer": question.answer,
            "not_answered": question.open,
        }
        for question in QUESTIONS
    ]


def readme(head: list[str], says: dict[str, str], paths: Collection[str]) -> str:
    """The index of a pack as a text for people."""
    lines = [*head, "", "## What is asked, and where it is answered", ""]
    for asker in (CASS, PCI, SOC):
        lines += [f"### {asker}", ""]
        for question in (one for one in QUESTIONS if one.asker == asker):
            named = [f"`{name}`" for name in question.files if _of(name, paths)]
            words = [question.answer, f"See {', '.join(named)}." if named else "", question.open]
            lines += [f"- **{question.asks}** {' '.join(word for word in words if word)}"]
        lines.append("")
    lines += ["## The files", ""]
    lines += [f"- `{path}`: {says[path]}" for path in sorted(says)]
    return "\n".join(lines) + "\n"


def _of(name: str, paths: Collection[str]) -> list[str]:
    if name.endswith("/"):
        return sorted(path for path in paths if path.startswith(name))
    return [name] if name in paths else []
