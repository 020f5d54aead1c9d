"""The ledger as an asset: its trial balance at the end of the day, and its laws looked at again as checks."""

from collections.abc import Sequence

import dagster as dg

from dagster_project.assets.days import Result, day_of
from dagster_project.metadata import of_trial_balance, uneven
from dagster_project.pipeline import ledger_checks, ledger_trial_balance
from dagster_project.project import Project
from ledger_core.money import exponent_of, format_minor
from ledger_core.verify import CHECKS, CheckOutcome

JOURNAL = dg.AssetKey(["ledger", "ledger_journal"])
TRIAL_BALANCE = "trial_balance"


def ledger_assets(days: dg.PartitionsDefinition[str]) -> Sequence[dg.AssetsDefinition]:
    """The assets of the group ``ledger``."""

    @dg.asset(
        key=JOURNAL,
        group_name="ledger",
        partitions_def=days,
        description=(
            "The journal at the end of the business date: the trial balance, and every law of the ledger checked again "
            "over every posted row."
        ),
        kinds={"postgres", "sql"},
        owners=["team:finance-ops"],
        tags={"recon/source": "ledger"},
        check_specs=[
            dg.AssetCheckSpec(TRIAL_BALANCE, asset=JOURNAL, description="Debits equal credits in every asset."),
            *(
                dg.AssetCheckSpec(code, asset=JOURNAL, description=f"{name[0].upper()}{name[1:]}.")
                for code, name in CHECKS.items()
            ),
        ],
    )
    def ledger_journal(
        context: dg.AssetExecutionContext, project: dg.ResourceParam[Project]
    ) -> Result:
        rows = ledger_trial_balance(project, day_of(context))
        rests = uneven(rows)
        return dg.MaterializeResult(
            metadata=of_trial_balance(rows),
            check_results=[
                dg.AssetCheckResult(
                    check_name=TRIAL_BALANCE,
                    passed=not rests,
                    metadata={asset: format_minor(rest, exponent_of(asset)) for asset, rest in rests.items()},
                ),
                *(
                    dg.AssetCheckResult(
                        check_name=check.code,
                        passed=check.outcome is CheckOutcome.OK,
                        metadata={"Outcome": check.outcome.value, "Offences": check.offences, "First": check.detail},
                    )
                    for check in ledger_checks(project)
                ),
            ],
        )

    return [ledger_journal]
