"""The assets of one source, made by a factory: delivery, lines, matches, exceptions, statement.

Law: each step is one call to the pipeline, safe to repeat, and no check stops another step: a missing file must reach
the exceptions as a missing file, not as a failed run. Figures and checks tell how the books stand when the step runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

import dagster as dg

from dagster_project.assets.days import Result, day_of
from dagster_project.assets.ledger import JOURNAL
from dagster_project.metadata import (
    matched_percent,
    of_chains,
    of_delivery,
    of_exceptions,
    of_lines,
    of_matches,
    of_statement,
)
from dagster_project.pipeline import absent_files, chains_of, is_open, reconcile_source, source_day, timing_of
from dagster_project.project import Project, deliver_alerts
from dagster_project.receiving import ingest_landed
from dagster_project.web.links import review_address
from reconciliation.sources import Source

SHARE_MATCHED_MIN_PERCENT = 90
TIMING_JUDGED_OVER = timedelta(days=30)
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


class DeliveryConfig(dg.Config):
    """How long a file must have been left alone to be taken in: a younger one may still be being written."""

    at_rest_seconds: int = 5


def key_of(source_id: str, name: str) -> dg.AssetKey:
    """The asset's key; its last part alone tells in the graph what it is."""
    return dg.AssetKey([source_id, f"{source_id}_{name}"])


def source_assets(source: Source, days: dg.PartitionsDefinition[str]) -> Sequence[dg.AssetsDefinition]:
    """The five assets of a source, in the order of the work."""
    maker = _Maker(source=source, days=days)
    return [make(maker) for make in (_delivery, _lines, _matches, _exceptions, _statement)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """What all assets of a source have in common."""

    source: Source
    days: dg.PartitionsDefinition[str]

    def asset(
        self,
        name: str,
        *,
        description: str,
        kinds: set[str],
        deps: Sequence[dg.AssetKey] = (),
        checks: Mapping[str, str] = MappingProxyType({}),
    ) -> Callable[[Callable[..., Result]], dg.AssetsDefinition]:
        """The decorator of one asset; ``checks`` maps the name of a check to what it says when it passes."""
        key = key_of(self.source.id, name)
        return dg.asset(
            key=key,
            group_name=self.source.id,
            partitions_def=self.days,
            deps=list(deps),
            description=description,
            kinds=kinds,
            owners=["team:finance-ops"],
            tags={"recon/source": self.source.id, "recon/kind": self.source.kind},
            check_specs=[
                dg.AssetCheckSpec(check, asset=key, description=words) for check, words in checks.items()
            ],
        )


def _delivery(maker: _Maker) -> dg.AssetsDefinition:
    source = maker.source

    @maker.asset(
        "delivery",
        description=f"Files of {source.id} as they arrived: each taken in whole or refused with its reason.",
        kinds={"file", source.format.partition(".")[0]},
        checks={"file_arrived": "Every file that is due for the business date has been taken in."},
    )
    def delivery(
        context: dg.AssetExecutionContext, config: DeliveryConfig, project: dg.ResourceParam[Project]
    ) -> Result:
        taken = ingest_landed(
            project, source, at_rest_seconds=config.at_rest_seconds, warn=context.log.warning
        )
        outcomes = [outcome for _, outcome in taken]
        for outcome in outcomes:
            context.log.info(outcome.sentence)
        deliver_alerts(project)
        absent = absent_files(project, source, day_of(context))
        arrived = dg.AssetCheckResult(
            check_name="file_arrived",
            passed=not absent.missing,
            severity=WARN,
            metadata={
                "Missing for": ", ".join(absent.missing) or "nothing",
                "Not yet due for": ", ".join(absent.awaited) or "nothing",
            },
        )
        return dg.MaterializeResult(metadata=of_delivery(outcomes, absent.missing), check_results=[arrived])

    return delivery


def _lines(maker: _Maker) -> dg.AssetsDefinition:
    source = maker.source

    @maker.asset(
        "lines",
        description=f"Lines that {source.id} told for the business date, in one form for all sources.",
        kinds={"postgres"},
        deps=[key_of(source.id, "delivery")],
    )
    def lines(context: dg.AssetExecutionContext, project: dg.ResourceParam[Project]) -> Result:
        return dg.MaterializeResult(metadata=of_lines(source_day(project, source, day_of(context))))

    return lines


def _matches(maker: _Maker) -> dg.AssetsDefinition:
    source = maker.source
    partners = sorted({leg.with_source for leg in source.legs})

    @maker.asset(
        "matches",
        description=(
            f"Lines of {source.id} and journal lines explained together, each match with its evidence; everything in "
            "play up to the business date."
        ),
        kinds={"postgres", "pyarrow"},
        deps=[key_of(source.id, "lines"), JOURNAL, *(key_of(partner, "lines") for partner in partners)],
        checks={"share_matched": f"At least {SHARE_MATCHED_MIN_PERCENT} % of the day's lines are matched."},
    )
    def matches(context: dg.AssetExecutionContext, project: dg.ResourceParam[Project]) -> Result:
        day = day_of(context)
        outcome = reconcile_source(project, source, day, actor=f"dagster run {context.run_id}")
        found = source_day(project, source, day)
        share = matched_percent(found)
        enough = dg.AssetCheckResult(
            check_name="share_matched",
            passed=share >= SHARE_MATCHED_MIN_PERCENT,
            severity=WARN,
            metadata={"Matched %": share},
        )
        return dg.MaterializeResult(metadata=of_matches(found, outcome), check_results=[enough])

    return matches


def _exceptions(maker: _Maker) -> dg.AssetsDefinition:
    source = maker.source
    gaps = {"sequence": "sequence_gap", "control_totals": "control_total"}

    @maker.asset(
        "exceptions",
        description=(
            f"What is open at {source.id}: timing, genuine differences, gaps in the files. "
            "The page to start the day on."
        ),
        kinds={"postgres"},
        deps=[key_of(source.id, "matches")],
        checks={
            "sequence": "No statement number is missing.",
            "control_totals": "Every file of the source proves its own totals.",
            "nothing_critical_open": "No critical exception is open.",
            "history_unbroken": "Every event of the source is the link of a chain that nobody changed or cut.",
        },
    )
    def exceptions(context: dg.AssetExecutionContext, project: dg.ResourceParam[Project]) -> Result:
        day = source_day(project, source, day_of(context))
        counts = {name: day.count(kind=kind) for name, kind in gaps.items()}
        counts["nothing_critical_open"] = day.count(at_least="critical")
        results = [
            dg.AssetCheckResult(check_name=name, passed=count == 0, severity=ERROR, metadata={"Open": count})
            for name, count in counts.items()
        ]
        chains = chains_of(project, source)
        results.append(
            dg.AssetCheckResult(
                check_name="history_unbroken", passed=chains.sound, severity=ERROR, metadata=of_chains(chains)
            )
        )
        timing = timing_of(project, source, from_date=day.day - TIMING_JUDGED_OVER, to_date=day.day)
        told = of_exceptions(day, source, timing, review_address(project.settings))
        return dg.MaterializeResult(metadata=told, check_results=results)

    return exceptions


def _statement(maker: _Maker) -> dg.AssetsDefinition:
    source = maker.source

    @maker.asset(
        "statement",
        description=(
            f"The bridge from the ledger's balance to that of {source.id}, account by account, to the minor unit."
        ),
        kinds={"postgres"},
        deps=[key_of(source.id, "exceptions")],
        checks={"tie_out": "Every account's bridge leaves nothing unexplained."},
    )
    def statement(context: dg.AssetExecutionContext, project: dg.ResourceParam[Project]) -> Result:
        day = source_day(project, source, day_of(context))
        tied = dg.AssetCheckResult(
            check_name="tie_out",
            passed=day.tied_out or not is_open(source, day.day),
            severity=ERROR,
            metadata={"Accounts not tied out": day.unexplained_count, "Accounts proved": len(day.proofs)},
        )
        told = of_statement(day, review_address(project.settings))
        return dg.MaterializeResult(metadata=told, check_results=[tied])

    return statement
