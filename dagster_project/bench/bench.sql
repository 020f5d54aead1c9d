-- References of the benchmarks: the same rows, and nothing but the rows. For scratch databases only.

-- name: make_bare_entries
-- As the ledger's door takes them, under a key of two columns.
CREATE TABLE bare_entry (
    entry_key text, ordinal bigint, effective_at timestamptz, account text, amount_minor bigint, asset text, layer text, corrects text, kind text,
    description text, counterparty text, batch_ref text, ref_end_to_end text, ref_uetr text, ref_servicer text,
    ref_psp text, ref_merchant text, ref_payout text, ref_arn text, ref_rrn text, ref_auth_code text, fx_rate numeric,
    fx_asset text, fx_amount_minor bigint, metadata jsonb,
    CONSTRAINT bare_entry_key PRIMARY KEY (entry_key, ordinal)
)

-- name: make_bare_lines
-- As a reader hands them on, without a key.
CREATE TABLE bare_line (
    statement_no integer, record_no bigint, detail_no integer, native_id text, status text, booking_date date, value_date date,
    settlement_date date, event_at timestamptz, amount_minor bigint, asset text, fee_minor bigint, fees text,
    original_amount_minor bigint, original_asset text, fx_rate text, fx_numerator bigint, fx_denominator bigint,
    ref_end_to_end text, ref_uetr text, ref_servicer text, ref_psp text, ref_merchant text, ref_payout text, ref_arn text,
    ref_rrn text, ref_auth_code text, other_refs text, batch_ref text, batch_minor bigint, counterparty text,
    counterparty_account text, counterparty_bic text, text text, kind text, type_code text, reason_code text,
    reversal boolean, card_token text, card_truncated text, byte_offset bigint, byte_length integer
)

-- name: lines_out
-- What matching sees of a source's lines, and nothing else asked.
SELECT l.line_id, l.line_key, l.version, l.account, l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor,
    l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
    l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.kind, l.counterparty_account, l.text, l.fx_numerator, l.fx_denominator
FROM recon.line AS l WHERE l.source_id = %(source)s

-- name: journal_out
-- What matching sees of the journal lines on some accounts.
SELECT j.entry_id, j.line_no, j.entry_key, j.account, j.amount_minor, j.asset, j.kind, j.ref_end_to_end, j.ref_uetr,
    j.ref_servicer, j.ref_psp, j.ref_merchant, j.ref_payout, j.ref_arn, j.ref_rrn, j.ref_auth_code, j.batch_ref,
    j.counterparty, j.fx_rate::text AS fx_rate, j.fx_asset, j.fx_amount_minor, j.effective_at, j.description,
    coalesce(j.reverses_entry_key, j.corrects_entry_key) AS corrects_entry_key
FROM ledger.journal_line_v1 AS j WHERE j.account = ANY(%(accounts)s)

-- name: make_bare_pairs
CREATE TEMPORARY TABLE bare_pair (line_id bigint NOT NULL, entry_id bigint NOT NULL) ON COMMIT DROP
