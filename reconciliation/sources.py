"""``sources.yaml``: what each source is, and how it is read, timed, matched, weighed and told about.

Law: an unknown key is an error that names the nearest known one; a file with problems is refused whole, each problem
with its place. Does not open files, read the clock or know what the pipeline does with a source.
"""

import difflib
import hashlib
import json
from collections.abc import Iterable
from datetime import date, time
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from reconciliation.errors import SourcesError
from reconciliation.file_schedule import HIDDEN_KEYS, AccountFiles, FileSchedule
from reconciliation.mapping import MAPPING_MODELS, MappingRules
from reconciliation.match_rules import (
    EXTERNAL_REFERENCE_COLUMNS,
    PRESET_PASSES,
    AssetCode,
    FeeSchedule,
    GroupRule,
    LineKind,
    MatchLimits,
    MatchPass,
    MatchRules,
    ReferenceColumn,
    ReferencePair,
    Strict,
)
from reconciliation.review_rules import REVIEW_MODELS, Review, SignOff

__all__ = [
    "EXTERNAL_REFERENCE_COLUMNS",
    "PRESET_PASSES",
    "RESERVED_IDS",
    "AccountMapping",
    "FeeSchedule",
    "GroupRule",
    "Lag",
    "LegRule",
    "MatchLimits",
    "MatchPass",
    "MatchRules",
    "Rail",
    "ReferencePair",
    "Review",
    "Severity",
    "SignOff",
    "Source",
    "Sources",
    "parse_sources",
]

RESERVED_IDS: Final = frozenset({"ledger", "all_sources"})
"""Names that the shell gives to jobs and groups of its own."""

_MAPPED: Final = "mapped."
"""How the names of formats begin that are read by a source's own mapping."""

def _known_zone(name: str) -> str:
    if name not in available_timezones():
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        raise ValueError(f"no such time zone{f'; did you mean {near[0]}?' if near else ''}")
    return name


Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Zone = Annotated[str, AfterValidator(_known_zone)]


class AccountMapping(Strict):
    """Which account of the source is which account of the ledger. ``external`` is empty where the standard has none."""

    external: str = ""
    asset: AssetCode
    ledger: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*(:[a-z0-9][a-z0-9_-]*)*$")
    files: AccountFiles | None = None  # which files this account is owed, where not what its source is owed


class Lag(Strict):
    """Business days from the ledger's business date to the external line: the earliest, the expected, the latest."""

    earliest: int = Field(default=0, ge=0, le=60)
    expected: int = Field(default=1, ge=0, le=60)
    latest: int = Field(default=2, ge=0, le=60)

    @model_validator(mode="after")
    def _in_order(self) -> "Lag":
        if not self.earliest <= self.expected <= self.latest:
            raise ValueError("lag needs earliest <= expected <= latest")
        return self


class Rail(Strict):
    """A way that money takes: which kinds of lines it carries, when it is closed, how long it takes.

    ``kinds`` are those of ledger or external lines; left out, it carries every one. Its calendars come on top of the
    source's; its lag and cut-off stand in for the source's. A rail that names a kind goes before one for every kind.
    """

    name: Identifier
    kinds: tuple[str, ...] = ()
    calendars: tuple[str, ...] = ()
    lag: Lag | None = None
    cut_off: time | None = None


class LegRule(Strict):
    """Another source whose lines this source's ``kind`` lines must meet: a processor's payout arrives at the bank."""

    leg: Literal["payout", "settlement"]
    kind: LineKind
    reference: ReferenceColumn
    with_source: Identifier
    with_reference: ReferenceColumn


class Severity(Strict):
    """Exposure bands in minor units by asset; what is missing falls back to the asset's exponent (100, 10 000, 100
    000).

    ``de_minimis_minor``: what is smaller never comes above medium unless it is systemic; the medium band if left out.
    ``safeguarding``: all accounts of the source hold safeguarded money; ``safeguarding_accounts``: these do. There a
    shortfall above ``materiality_minor`` (any, where none is written) is critical and due the same day.
    ``systemic_count``: from how many exceptions of a kind with one batch or counterparty on a day they have one cause.
    """

    medium_minor: dict[AssetCode, int] = Field(default_factory=dict)
    high_minor: dict[AssetCode, int] = Field(default_factory=dict)
    critical_minor: dict[AssetCode, int] = Field(default_factory=dict)
    de_minimis_minor: dict[AssetCode, int] = Field(default_factory=dict)
    client_money: bool = False
    safeguarding: bool = False
    safeguarding_accounts: tuple[str, ...] = ()
    materiality_minor: dict[AssetCode, int] = Field(default_factory=dict)
    systemic_count: int = Field(default=5, ge=2)


class Source(Strict):
    """One source. Times are local to ``time_zone``."""

    id: Identifier
    kind: Literal["bank", "processor", "card_clearing"]
    format: str
    intraday: tuple[str, ...] = ()  # further formats: reports of the day that the statement replaces
    accounts: tuple[AccountMapping, ...] = Field(min_length=1)
    start_date: date
    time_zone: Zone = "UTC"
    cut_off: time = time(23, 59, 59)
    calendars: tuple[str, ...] = ("ECB",)
    asset_calendars: dict[AssetCode, tuple[str, ...]] = Field(default_factory=dict)  # where two assets meet
    lag: Lag = Lag()
    rails: tuple[Rail, ...] = ()
    ledger_lag_latest: int = Field(default=1, ge=0, le=60)
    files: FileSchedule = FileSchedule()
    natural_key: tuple[str, ...] = ("native_id",)
    match: MatchRules
    legs: tuple[LegRule, ...] = ()
    never_in_ledger: tuple[LineKind, ...] = ("fee", "interest")
    settings: dict[str, str] = Field(default_factory=dict)
    mapping: MappingRules | None = None  # how a file that follows no standard is read
    tables: dict[str, str] = Field(
        default_factory=dict
    )  # name of a reader's table -> file beside sources.yaml
    severity: Severity = Severity()
    alerts: tuple[str, ...] = ()
    sign_off: SignOff = SignOff()
    review: Review = Review()
    schedule_after: time | None = None  # when the day's run starts; the file deadline if left out

    @model_validator(mode="before")
    @classmethod
    def _passes_of_its_kind(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("kind") not in PRESET_PASSES:
            return given
        match = given.get("match")
        if not isinstance(match, dict) or "passes" in match:
            return given
        return given | {"match": match | {"passes": PRESET_PASSES[given["kind"]]}}

    @model_validator(mode="after")
    def _mapped(self) -> "Source":
        mapped = [name for name in self.formats if name.startswith(_MAPPED)]
        if mapped and self.mapping is None:
            raise ValueError(f"format {mapped[0]} needs a mapping, which says what the columns mean")
        if self.mapping is not None and not mapped:
            raise ValueError(
                f"a mapping goes with the formats {_MAPPED}*; {self.format} knows its own columns"
            )
        return self

    @model_validator(mode="after")
    def _rails_do_not_compete(self) -> "Source":
        _no_repeats("rail", (rail.name for rail in self.rails))
        _no_repeats("kind", (kind for rail in self.rails for kind in rail.kinds or ("of every line",)))
        return self

    @model_validator(mode="after")
    def _safeguarded_accounts_are_its_own(self) -> "Source":
        for account in self.severity.safeguarding_accounts:
            if account not in self.ledger_accounts:
                raise ValueError(
                    f"severity.safeguarding_accounts: {account} is no ledger account of this source, which are "
                    f"{', '.join(self.ledger_accounts)}"
                )
        return self

    @model_validator(mode="after")
    def _owed_by_account(self) -> "Source":
        if self.files.per == "source" and any(account.files for account in self.accounts):
            raise ValueError("files of an account go with files.per: account; here one file serves all accounts")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the files this source may deliver, the one of its statements first."""
        return (self.format, *self.intraday)

    @property
    def ledger_accounts(self) -> tuple[str, ...]:
        """Ledger accounts this source reconciles, in the file's order."""
        return tuple(account.ledger for account in self.accounts)

    @property
    def rules_digest(self) -> str:
        """SHA-256 over the canonical form of this source's settings: every run names the rules it ran with."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def ledger_account(self, external: str | None, asset: str) -> str | None:
        """The ledger account of an external account and asset; None when the source does not know it."""
        for account in self.accounts:
            if account.asset == asset and account.external in ("", external):
                return account.ledger
        return None


class Sources(Strict):
    """The whole file."""

    version: Literal[1]
    sources: tuple[Source, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Sources":
        _no_repeats("source id", (source.id for source in self.sources))
        _no_repeats("ledger account", (code for source in self.sources for code in source.ledger_accounts))
        known = {source.id for source in self.sources}
        if known & RESERVED_IDS:
            raise ValueError(
                f"source id {', '.join(sorted(known & RESERVED_IDS))} is a name of the product's own"
            )
        for source in self.sources:
            for leg in source.legs:
                if leg.with_source not in known:
                    raise ValueError(f"source {source.id}: leg with unknown source {leg.with_source}")
        return self

    def __getitem__(self, source_id: str) -> Source:
        """The source of that id.

        Raises:
            SourcesError: there is none; the message lists those that exist.
        """
        for source in self.sources:
            if source.id == source_id:
                return source
        known = ", ".join(source.id for source in self.sources)
        raise SourcesError((f"no source {source_id!r}; sources.yaml has: {known}",))


def _no_repeats(what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} appears twice")
        seen.add(value)


class _EachKeyOnce(yaml.SafeLoader):
    """Refuses a mapping that has a key twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, its keys looked at first."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse_sources(text: str, *, name: str = "sources.yaml") -> Sources:
    """The sources that a YAML text describes.

    Raises:
        SourcesError: the text is not YAML, or has unknown keys, wrong values or contradictions; every problem is named
            with its place, and an unknown key with the nearest known one.
    """
    try:
        raw = yaml.load(text, _EachKeyOnce)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
        raise SourcesError((f"{place}: not YAML: {getattr(error, 'problem', error)}",)) from None
    if not isinstance(raw, dict):
        raise SourcesError(
            (f"{name}: expected a mapping with 'version' and 'sources', found {type(raw).__name__}",)
        )
    try:
        return Sources.model_validate(raw)
    except ValidationError as error:
        raise SourcesError(tuple(_sentence(name, raw, problem) for problem in error.errors())) from None


def _sentence(name: str, raw: Any, problem: Any) -> str:
    place = [str(part) for part in problem["loc"]]
    where = f"{name}: {_named_place(raw, problem['loc'])}" if place else name
    if problem["type"] == "extra_forbidden":
        known = _known_keys(of_mapping="mapping" in place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.5)
        hint = f"; the nearest known one is '{near[0]}'" if near else ""
        return f"{where}: unknown key '{place[-1]}'{hint}"
    if problem["type"] == "missing":
        return f"{where}: is required and missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    found = None if HIDDEN_KEYS & set(place) else problem["input"]
    return f"{where}: {message}" + (
        f", found {found!r}" if isinstance(found, str | int | float | bool) else ""
    )


def _named_place(raw: Any, location: tuple[int | str, ...]) -> str:
    """Dotted path, with a source's id in place of its position where it has one."""
    parts: list[str] = []
    here = raw
    for step in location:
        here = here[step] if _has(here, step) else None
        if isinstance(step, int) and isinstance(here, dict) and isinstance(here.get("id"), str):
            parts.append(here["id"])
        else:
            parts.append(str(step))
    return ".".join(parts)


def _has(container: Any, step: int | str) -> bool:
    if isinstance(container, dict):
        return step in container
    return isinstance(container, list) and isinstance(step, int) and step < len(container)


def _known_keys(*, of_mapping: bool) -> list[str]:
    models: tuple[type[BaseModel], ...] = (
        Sources,
        Source,
        AccountMapping,
        AccountFiles,
        Lag,
        Rail,
        FileSchedule,
        ReferencePair,
        FeeSchedule,
        GroupRule,
        MatchLimits,
        MatchRules,
        LegRule,
        Severity,
        *REVIEW_MODELS,
    )
    if of_mapping:
        models = MAPPING_MODELS
    return sorted({key for model in models for key in model.model_fields})
