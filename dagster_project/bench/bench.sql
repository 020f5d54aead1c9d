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
