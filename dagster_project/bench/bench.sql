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
    statement_no integer, record_no bigint, native_id text, booking_date date, value_date date, event_at timestamptz,
    amount_minor bigint, asset text, fee_minor bigint, original_amount_minor bigint, original_asset text, fx_rate text,
    ref_end_to_end text, ref_uetr text, ref_servicer text, ref_psp text, ref_merchant text, ref_payout text, ref_arn text,
    ref_rrn text, ref_auth_code text, batch_ref text, counterparty text, text text, kind text, type_code text,
    reversal boolean, card_token text, card_truncated text
)
