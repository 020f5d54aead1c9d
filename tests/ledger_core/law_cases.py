"""The laws of the ledger that one named object keeps, each with a way to break it and a way to remove the object."""

from ledger_core.reversal import reverse
from tests.ledger_core.books import BANK, NOON, OLD, SALES, WALLET, YEN, raw_entry
from tests.ledger_core.law_deeds import (
    GOOD,
    NO_LINE_LAWS,
    Case,
    account,
    closure,
    detail,
    domain,
    entry_id,
    event,
    header,
    id_of,
    key,
    line_law,
    mirror,
    period,
    quote,
    reversal,
    row,
    rows,
    seal,
    transaction,
    two_more_lines,
)

STARTED = rows(transaction(), event(1, "none", "initiated"))
JANUARY = period("-infinity", "2026-01-01Z")
YEN_PAIR = ({"account": YEN, "amount_minor": 3}, {"account": YEN, "amount_minor": -3})
SUMMARY = account(code="assets:all", is_leaf=False)
OTHER_ENTITY = account(code="assets:branch", entity="branch")
EDGE = -(2**63)

CHART_CASES = [
    key("asset", "asset_pkey", row("asset", code="EUR", exponent=3)),
    key("asset", "asset_exponent_range", row("asset", code="USD", exponent=19)),
    key("account", "account_pkey", account(account_id=1)),
    key("account", "account_code_key", account(code=BANK)),
    key("account", "account_asset_fkey", account(asset="USD")),
    key("account", "account_type_known", account(type="cash")),
    key("account_closure", "account_closure_pkey", lambda c: closure(id_of(c, OLD))(c)),
    key("account_closure", "account_closure_account_fkey", closure(99)),
    key("period", "period_pkey", JANUARY, period("2025-06-01Z", "2026-01-01Z"), alarm="period_chain"),
    key("period", "period_starts_key", JANUARY, period("-infinity", "2025-12-01Z"), alarm="period_chain"),
    key("period", "period_forward", period("2026-01-01Z", "2025-01-01Z"), alarm="period_chain"),
    key("period_seal", "period_seal_pkey", JANUARY, seal(), seal()),
    key("period_seal", "period_seal_period_fkey", seal(), alarm="period_seals"),
    Case(
        law="account_leaf",
        remove="DROP TRIGGER account_laws ON ledger.account",
        do=account(code="assets:bank:till"),
        alarm="account_leaf",
        name="an account below a leaf",
    ),
    Case(
        law="account_leaf",
        remove="DROP TRIGGER account_laws ON ledger.account",
        do=account(code="assets"),
        alarm="account_leaf",
        name="a leaf above accounts",
    ),
]

ENTRY_CASES = [
    key("journal_entry", "journal_entry_pkey", lambda c: header(entry_id=entry_id(c, "sale"))(c)),
    key("journal_entry", "journal_entry_key_key", lambda c: raw_entry(c, GOOD, entry_key="sale")),
    Case(
        law="journal_entry_reverses_key",
        remove="DROP INDEX ledger.journal_entry_reverses_key",
        do=rows(lambda c: reverse(c, "sale", reason="typo", authoriser="Ada"), reversal((-100, 100))),
        name="an entry reversed twice",
    ),
    key(
        "refusal",
        "refusal_pkey",
        header(entry_id=9999),
        *[row("refusal", entry_id=9999, code="c", detail="d")] * 2,
    ),
    key(
        "refusal",
        "refusal_entry_fkey",
        row("refusal", entry_id=9999, code="c", detail="d"),
        alarm="entry_outcome",
    ),
    key(
        "journal_line",
        "journal_line_pkey",
        lambda c: raw_entry(
            c,
            [
                GOOD[0] | {"amount_minor": 3},
                *[GOOD[0] | {"line_no": 3}] * 2,
                GOOD[1] | {"amount_minor": -13, "line_no": 4},
            ],
        ),
    ),
    key("journal_line_detail", "journal_line_detail_pkey", detail(kind="a"), detail(kind="b")),
    key("journal_line_detail", "journal_line_detail_fx_pair", detail(fx_asset="USD")),
    key(
        "journal_line_detail",
        "journal_line_detail_fx_pair",
        detail(fx_asset="USD", fx_amount_minor=EDGE),
        name="a foreign amount without a negative",
    ),
    Case(
        law="journal_line_detail_line",
        remove="DROP TRIGGER journal_line_detail_laws ON ledger.journal_line_detail",
        do=detail(line_no=3),
        alarm="line_detail",
        name="something said of no line",
    ),
    line_law(
        "journal_line_zero_sum",
        [GOOD[0], GOOD[1] | {"amount_minor": -4}],
        alarm="entry_zero_sum",
        name="unbalanced",
    ),
    line_law(
        "journal_line_zero_sum",
        [GOOD[0], {"account": YEN, "amount_minor": -5}],
        alarm="asset_zero_sum",
        name="zero over all but not per asset",
    ),
    line_law(
        "journal_line_zero_sum",
        [GOOD[0] | {"layer": "posted"}, GOOD[1] | {"layer": "planned"}],
        alarm="entry_zero_sum",
        name="zero over all but not per layer",
    ),
    line_law(
        "journal_line_zero_sum",
        [GOOD[0] | {"layer": "posted"}, GOOD[1] | {"layer": "incoming"}],
        alarm="entry_zero_sum",
        name="posted against held",
    ),
    line_law(
        "journal_line_zero_sum",
        [GOOD[0], {"account": "assets:branch", "amount_minor": -5}],
        alarm="entry_zero_sum",
        name="zero over all but not per entity",
        before=OTHER_ENTITY,
    ),
    line_law(
        "journal_line_entry_closed",
        [*GOOD, *GOOD],
        alarm="entry_complete",
        name="more lines than the header says",
        line_count=2,
    ),
    line_law(
        "journal_line_entry_closed",
        GOOD,
        alarm="entry_outcome",
        name="lines of a refused request",
        line_count=0,
    ),
    line_law(
        "journal_line_entry_closed",
        [GOOD[0] | {"line_no": 0}, GOOD[1]],
        alarm="entry_complete",
        name="lines not numbered from 1",
    ),
    line_law(
        "journal_line_entry_closed",
        [GOOD[0], GOOD[1] | {"effective_at": "2026-02-01Z"}],
        alarm="entry_complete",
        name="a line at another time than its header",
    ),
    line_law(
        "journal_line_entry_closed",
        [line | {"xid": "7"} for line in GOOD],
        alarm="entry_complete",
        name="lines that claim another transaction",
    ),
    line_law(
        "journal_line_account_unknown",
        [GOOD[0], GOOD[1] | {"account_id": 99}],
        alarm="line_account",
        name="unknown account",
    ),
    line_law(
        "journal_line_account_closed",
        [GOOD[0], GOOD[1] | {"account": OLD}],
        alarm="account_closed",
        name="closed account",
    ),
    line_law(
        "journal_line_account_summary",
        [GOOD[0], GOOD[1] | {"account": "assets:all"}],
        alarm="line_account",
        name="summary account",
        before=SUMMARY,
    ),
    line_law(
        "journal_line_period_open",
        GOOD,
        alarm="period_respected",
        name="a closed period",
        before=period("-infinity", "2026-02-01Z"),
    ),
    line_law(
        "journal_line_not_overdrawn",
        [{"account": BANK, "amount_minor": -5}, {"account": WALLET, "amount_minor": 5}],
        alarm="not_overdrawn",
        name="overdrawn",
    ),
    line_law(
        "journal_line_not_overdrawn",
        [
            {"account": BANK, "amount_minor": -5, "layer": "incoming"},
            {"account": WALLET, "amount_minor": 5, "layer": "outgoing"},
        ],
        alarm="not_overdrawn",
        name="a hold that overdraws",
    ),
    Case(
        law="journal_line_entry_closed",
        remove=NO_LINE_LAWS,
        do=two_more_lines,
        alarm="entry_complete",
        name="a pair joins a posted entry",
    ),
    mirror("reversal of another amount", (-99, 99)),
    mirror("reversal with lines swapped", (100, -100), (SALES, BANK)),
    mirror("reversal with more lines", (-100, 100, 7, -7), (BANK, SALES) * 2),
    mirror("reversal without a reason", (-100, 100), reason=None),
    mirror("reversal by nobody", (-100, 100), authoriser=None),
    mirror("reversal of nothing", (-100, 100), reverses_entry_id=4711),
]

DOMAIN_CASES = [
    domain("reference", "reference_length", header(entry_key="")),
    domain("label", "label_length", detail(kind="x" * 65)),
    domain("words", "words_length", detail(description="")),
    domain("asset_code", "asset_code_form", row("asset", code="eur", exponent=2)),
    domain("account_code", "account_code_form", account(code="assets::bank")),
    domain(
        "amount", "amount_not_zero", lambda c: raw_entry(c, [line | {"amount_minor": 0} for line in GOOD])
    ),
    domain(
        "amount",
        "amount_negatable",
        lambda c: raw_entry(c, [GOOD[0] | {"amount_minor": EDGE}, *[GOOD[0] | {"amount_minor": 2**62}] * 2]),
    ),
    domain("instant", "instant_finite", header(effective_at="infinity")),
    domain("digest", "digest_length", header(request_hash=b"short")),
    domain("rate", "rate_exact", quote(rate="1e-19")),
    domain("rate", "rate_exact", quote(rate="-1"), name="a negative rate"),
    domain("object", "object_form", detail(metadata="[1]")),
    domain("line_count", "line_count_form", header(line_count=1)),
]

LIFE_CASES = [
    key("fx_quote", "fx_quote_pkey", quote(), quote()),
    key("fx_quote", "fx_quote_from_fkey", quote(from_asset="USD")),
    key("fx_quote", "fx_quote_to_fkey", quote(to_asset="USD")),
    key("fx_quote", "fx_quote_pair", quote(to_asset="EUR")),
    key("fx_quote", "fx_quote_purpose_known", quote(purpose="hope")),
    key("fx_quote", "fx_quote_lives", quote(expires_at=NOON)),
    key("business_transaction", "business_transaction_pkey", transaction(), transaction(1, "u")),
    key("business_transaction", "business_transaction_key_key", transaction(), transaction(2)),
    key(
        "transaction_move",
        "transaction_move_pkey",
        row("transaction_move", previous_state="none", state="initiated"),
    ),
    key(
        "transaction_event",
        "transaction_event_pkey",
        STARTED,
        event(2, "initiated", "settled", "sale"),
        event(2, "initiated", "released"),
        alarm="transaction_chain",
        name="two second steps",
    ),
    key(
        "transaction_event",
        "transaction_event_key_key",
        STARTED,
        event(2, "initiated", "released", event_key="1 initiated"),
    ),
    key(
        "transaction_event",
        "transaction_event_entry_key",
        STARTED,
        event(2, "initiated", "held", "sale"),
        event(3, "held", "settled", "sale"),
    ),
    key("transaction_event", "transaction_event_transaction_fkey", event(1, "none", "initiated")),
    key(
        "transaction_event",
        "transaction_event_entry_fkey",
        STARTED,
        event(2, "initiated", "settled", entry_id=4711),
        alarm="transaction_chain",
    ),
    key(
        "transaction_event",
        "transaction_event_quote_fkey",
        STARTED,
        event(2, "initiated", "held", "sale", quote_key="none"),
    ),
    key(
        "transaction_event",
        "transaction_event_move_fkey",
        STARTED,
        event(2, "initiated", "reversed", "sale"),
        alarm="transaction_chain",
        name="an illegal jump",
    ),
    key(
        "transaction_event",
        "transaction_event_previous_fkey",
        STARTED,
        event(2, "held", "settled", "sale"),
        alarm="transaction_chain",
        name="a false previous state",
    ),
    key(
        "transaction_event",
        "transaction_event_previous_fkey",
        STARTED,
        event(3, "initiated", "settled", "sale"),
        alarm="transaction_chain",
        name="a skipped step",
    ),
    key(
        "transaction_event",
        "transaction_event_first",
        transaction(),
        event(1, "initiated", "held", "sale"),
        alarm="transaction_chain",
        name="a first step with a past",
    ),
    key(
        "transaction_event",
        "transaction_event_money",
        STARTED,
        event(2, "initiated", "settled"),
        name="a settlement without money",
    ),
    key(
        "transaction_event",
        "transaction_event_expiry",
        STARTED,
        event(2, "initiated", "settled", "sale", expires_at=NOON),
    ),
]

PROJECTION_CASES = [
    key("balance", "balance_pkey", *[row("balance", account_id=1)] * 2),
    key(
        "balance_span",
        "balance_span_pkey",
        *[
            row(
                "balance_span",
                account_id=1,
                is_day=True,
                starts_at=NOON,
                posted=0,
                outgoing=0,
                incoming=0,
                planned=0,
            )
        ]
        * 2,
    ),
    key("fold_mark", "fold_mark_pkey", row("fold_mark", is_only=True), alarm="fold_mark"),
    key("fold_mark", "fold_mark_single", row("fold_mark", is_only=False), alarm="fold_mark"),
    key(
        "open_hold",
        "open_hold_pkey",
        *[row("open_hold", transaction_id=1, account_id=1, layer="outgoing", expires_at=NOON, held_minor=1)]
        * 2,
        alarm="open_hold",
    ),
    key(
        "feed",
        "feed_pkey",
        row("feed", position=1, entry_id=1),
        row("feed", position=1, entry_id=2),
        alarm="feed_dense",
    ),
    key(
        "feed",
        "feed_entry_key",
        row("feed", position=1, entry_id=1),
        row("feed", position=2, entry_id=1),
        alarm="feed_complete",
    ),
    key(
        "feed_batch",
        "feed_batch_pkey",
        *[row("feed_batch", last_position=1, snap="1:1:")] * 2,
        alarm="feed_dense",
    ),
    key("feed_consumer", "feed_consumer_pkey", *[row("feed_consumer", consumer="c", position=0)] * 2),
]

CASES = [*CHART_CASES, *ENTRY_CASES, *DOMAIN_CASES, *LIFE_CASES, *PROJECTION_CASES]

# In the catalogue, and no case of its own.
WITHOUT_CASE = {
    "transaction_event_state_key": "refused by the primary key already; the foreign key to the previous step needs it",
}

APPEND_ONLY = (
    "asset",
    "account",
    "account_closure",
    "period",
    "journal_entry",
    "refusal",
    "journal_line",
    "journal_line_detail",
    "fx_quote",
    "business_transaction",
    "transaction_move",
    "transaction_event",
    "feed",
    "feed_batch",
    "period_seal",
)
