-- The ledger's tables, for reading. Databases are built by migrations/versions; a test proves both equal. The laws over
-- several rows are triggers (laws.sql), the doors are functions (posting.sql and what follows), the windows are views.
-- Amounts are signed integers of minor units: debit positive. What can be a key, a domain or a grant is one; domains
-- stand where one would expect CHECKs, because PostgreSQL parses every CHECK of a table anew in each statement
-- (measured: eight of them double the cost of a single INSERT) and keeps those of a domain ready.

CREATE DOMAIN ledger.reference AS text CONSTRAINT reference_length CHECK (length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN ledger.label AS text CONSTRAINT label_length CHECK (length(VALUE) BETWEEN 1 AND 64);
CREATE DOMAIN ledger.words AS text CONSTRAINT words_length CHECK (length(VALUE) BETWEEN 1 AND 1000);
CREATE DOMAIN ledger.asset_code AS text COLLATE "C" CONSTRAINT asset_code_form CHECK (VALUE ~ '^[A-Z0-9][A-Z0-9._-]{0,15}$');
CREATE DOMAIN ledger.account_code AS text COLLATE "C"
  CONSTRAINT account_code_form CHECK (length(VALUE) <= 200 AND VALUE ~ '^[A-Za-z0-9._-]+(:[A-Za-z0-9._-]+)*$');
-- The smallest bigint has no negative: it could never be reversed.
CREATE DOMAIN ledger.amount AS bigint CONSTRAINT amount_not_zero CHECK (VALUE <> 0)
  CONSTRAINT amount_negatable CHECK (VALUE > -9223372036854775808);
CREATE DOMAIN ledger.instant AS timestamptz CONSTRAINT instant_finite CHECK (isfinite(VALUE));
CREATE DOMAIN ledger.digest AS bytea CONSTRAINT digest_length CHECK (octet_length(VALUE) = 32);
-- Kept exactly as sent: what would have to be rounded is refused (20 digits before, 18 after the mark).
CREATE DOMAIN ledger.rate AS numeric CONSTRAINT rate_exact CHECK (VALUE > 0 AND VALUE < 1e20 AND scale(VALUE) <= 18);
CREATE DOMAIN ledger.object AS jsonb CONSTRAINT object_form CHECK (jsonb_typeof(VALUE) = 'object');
-- No entry has one line. None at all: the request was refused, and keeps its key.
CREATE DOMAIN ledger.line_count AS integer CONSTRAINT line_count_form CHECK (VALUE = 0 OR VALUE >= 2);

-- Where a line counts. posted: it happened. outgoing, incoming: held, and taken off or added when it happens.
-- planned: expected, promised to nobody. Outgoing and incoming are the two ends of a hold and balance each other.
CREATE TYPE ledger.layer AS ENUM ('posted', 'outgoing', 'incoming', 'planned');

-- What may be said of a line beside account, amount and time; NULL where nothing is known.
CREATE TYPE ledger.line_detail AS (
  kind text, description text, counterparty text, batch_ref text, ref_end_to_end text, ref_uetr text, ref_servicer text,
  ref_psp text, ref_merchant text, ref_payout text, ref_arn text, ref_rrn text, ref_auth_code text, fx_rate numeric,
  fx_asset text, fx_amount_minor bigint, metadata jsonb
);

-- Prevents a second meaning of a currency code: the exponent belongs to the asset and never changes.
CREATE TABLE ledger.asset (
  code        ledger.asset_code NOT NULL,
  exponent    smallint          NOT NULL,
  recorded_at timestamptz       NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT asset_pkey PRIMARY KEY (code),
  CONSTRAINT asset_exponent_range CHECK (exponent BETWEEN 0 AND 18)
);

-- Prevents posting to a name nobody defined; one account holds one asset of one entity for ever. A summary account
-- (is_leaf false) takes no lines, a leaf has nothing below it; which it is, is settled when it is opened.
CREATE TABLE ledger.account (
  account_id   bigint              GENERATED ALWAYS AS IDENTITY,
  code         ledger.account_code NOT NULL,
  name         ledger.reference    NOT NULL,
  type         text                NOT NULL,
  asset        ledger.asset_code   NOT NULL,
  entity       ledger.label        COLLATE "C" NOT NULL,
  may_overdraw boolean             NOT NULL,
  is_leaf      boolean             NOT NULL,
  normal_sign  smallint            NOT NULL GENERATED ALWAYS AS (CASE WHEN type IN ('asset', 'expense') THEN 1 ELSE -1 END) STORED,
  recorded_at  timestamptz         NOT NULL DEFAULT clock_timestamp(),
  opened_by    text                NOT NULL DEFAULT session_user,
  CONSTRAINT account_pkey PRIMARY KEY (account_id),
  CONSTRAINT account_code_key UNIQUE (code),
  CONSTRAINT account_asset_fkey FOREIGN KEY (asset) REFERENCES ledger.asset (code),
  CONSTRAINT account_type_known CHECK (type IN ('asset', 'liability', 'equity', 'income', 'expense'))
);

-- Prevents closing an account without a trace: closed means there is a row here, and rows here never go.
CREATE TABLE ledger.account_closure (
  account_id  bigint           NOT NULL,
  reason      ledger.words     NOT NULL,
  authoriser  ledger.reference NOT NULL,
  recorded_at timestamptz      NOT NULL DEFAULT clock_timestamp(),
  closed_by   text             NOT NULL DEFAULT session_user,
  CONSTRAINT account_closure_pkey PRIMARY KEY (account_id),
  CONSTRAINT account_closure_account_fkey FOREIGN KEY (account_id) REFERENCES ledger.account (account_id)
);

-- Prevents posting into what was reported: nothing takes effect before the newest boundary. Boundaries only move on.
CREATE TABLE ledger.period (
  ends_at     ledger.instant   NOT NULL,
  starts_at   timestamptz      NOT NULL,
  reason      ledger.words     NOT NULL,
  authoriser  ledger.reference NOT NULL,
  recorded_at timestamptz      NOT NULL DEFAULT clock_timestamp(),
  closed_by   text             NOT NULL DEFAULT session_user,
  CONSTRAINT period_pkey PRIMARY KEY (ends_at),
  CONSTRAINT period_starts_key UNIQUE (starts_at),
  CONSTRAINT period_forward CHECK (starts_at < ends_at)
);

-- The claim on a key, with its entry's header. Prevents posting twice (entry_key), reversing twice and reversing without
-- reason and authoriser. Its outcome is the lines that line_count says or, with none, a row in refusal.
CREATE TABLE ledger.journal_entry (
  entry_id          bigint            GENERATED ALWAYS AS IDENTITY,
  xid               xid8              NOT NULL DEFAULT pg_current_xact_id(),
  effective_at      ledger.instant    NOT NULL,
  recorded_at       timestamptz       NOT NULL DEFAULT clock_timestamp(),
  line_count        ledger.line_count NOT NULL,
  hash_version      smallint          NOT NULL DEFAULT 2,
  entry_key         ledger.reference  NOT NULL,
  request_hash      ledger.digest     NOT NULL,
  posted_by         text              NOT NULL DEFAULT session_user,
  reverses_entry_id bigint,
  corrects_entry_id bigint,
  reason            ledger.words,
  authoriser        ledger.reference,
  CONSTRAINT journal_entry_pkey PRIMARY KEY (entry_id),
  CONSTRAINT journal_entry_key_key UNIQUE (entry_key)
);
CREATE UNIQUE INDEX journal_entry_reverses_key ON ledger.journal_entry (reverses_entry_id) WHERE reverses_entry_id IS NOT NULL;
CREATE INDEX journal_entry_corrects_idx ON ledger.journal_entry (corrects_entry_id) WHERE corrects_entry_id IS NOT NULL;
-- Prevents reading all entries for those that a snapshot did not show yet.
CREATE INDEX journal_entry_xid_idx ON ledger.journal_entry (xid);

-- Prevents a late retry from succeeding behind the caller's back: what was refused stays refused under its key.
CREATE TABLE ledger.refusal (
  entry_id bigint       NOT NULL,
  code     ledger.label NOT NULL,
  detail   ledger.words NOT NULL,
  CONSTRAINT refusal_pkey PRIMARY KEY (entry_id),
  CONSTRAINT refusal_entry_fkey FOREIGN KEY (entry_id) REFERENCES ledger.journal_entry (entry_id)
);

-- Prevents money without a place: each line is one signed amount on one account, in the account's asset and entity.
-- No foreign keys to entry and account: two row checks per line cost six times the statement trigger that replaces them,
-- and the referenced rows cannot be removed by anybody.
CREATE TABLE ledger.journal_line (
  entry_id     bigint        NOT NULL,
  xid          xid8          NOT NULL DEFAULT pg_current_xact_id(),
  account_id   bigint        NOT NULL,
  amount_minor ledger.amount NOT NULL,
  effective_at timestamptz   NOT NULL,
  line_no      integer       NOT NULL,
  layer        ledger.layer  NOT NULL DEFAULT 'posted',
  CONSTRAINT journal_line_pkey PRIMARY KEY (entry_id, line_no)
);
-- Prevents reading an account's whole history for an hour of it, and for what a snapshot did not show yet.
CREATE INDEX journal_line_account_effective_idx ON ledger.journal_line (account_id, effective_at) INCLUDE (amount_minor, layer);
CREATE INDEX journal_line_account_xid_idx ON ledger.journal_line (account_id, xid);

-- What is said of a line: the fields of ledger.line_detail in their order, then whose they are. Apart from the line, so that
-- money stays narrow: sums and checks read a third of the pages.
CREATE TABLE ledger.journal_line_detail (
  kind            ledger.label,
  description     ledger.words,
  counterparty    ledger.reference,
  batch_ref       ledger.reference,
  ref_end_to_end  ledger.reference,
  ref_uetr        ledger.reference,
  ref_servicer    ledger.reference,
  ref_psp         ledger.reference,
  ref_merchant    ledger.reference,
  ref_payout      ledger.reference,
  ref_arn         ledger.reference,
  ref_rrn         ledger.reference,
  ref_auth_code   ledger.reference,
  fx_rate         ledger.rate,
  fx_asset        ledger.asset_code,
  fx_amount_minor bigint,
  metadata        ledger.object,
  line_no         integer NOT NULL,
  entry_id        bigint  NOT NULL,
  CONSTRAINT journal_line_detail_pkey PRIMARY KEY (entry_id, line_no),
  CONSTRAINT journal_line_detail_fx_pair
    CHECK (num_nonnulls(fx_asset, fx_amount_minor) IN (0, 2) AND fx_amount_minor > -9223372036854775808)
);
-- Prevent full scans when a person or a rule looks for one reference or one word of the metadata.
CREATE INDEX journal_line_detail_batch_ref_idx ON ledger.journal_line_detail (batch_ref) WHERE batch_ref IS NOT NULL;
CREATE INDEX journal_line_detail_ref_end_to_end_idx ON ledger.journal_line_detail (ref_end_to_end) WHERE ref_end_to_end IS NOT NULL;
CREATE INDEX journal_line_detail_ref_uetr_idx ON ledger.journal_line_detail (ref_uetr) WHERE ref_uetr IS NOT NULL;
CREATE INDEX journal_line_detail_ref_servicer_idx ON ledger.journal_line_detail (ref_servicer) WHERE ref_servicer IS NOT NULL;
CREATE INDEX journal_line_detail_ref_psp_idx ON ledger.journal_line_detail (ref_psp) WHERE ref_psp IS NOT NULL;
CREATE INDEX journal_line_detail_ref_merchant_idx ON ledger.journal_line_detail (ref_merchant) WHERE ref_merchant IS NOT NULL;
CREATE INDEX journal_line_detail_ref_payout_idx ON ledger.journal_line_detail (ref_payout) WHERE ref_payout IS NOT NULL;
CREATE INDEX journal_line_detail_ref_arn_idx ON ledger.journal_line_detail (ref_arn) WHERE ref_arn IS NOT NULL;
CREATE INDEX journal_line_detail_ref_rrn_idx ON ledger.journal_line_detail (ref_rrn) WHERE ref_rrn IS NOT NULL;
CREATE INDEX journal_line_detail_metadata_idx ON ledger.journal_line_detail USING gin (metadata jsonb_path_ops) WHERE metadata IS NOT NULL;

-- A projection, never ahead of the journal: the sums over the lines that `snap` shows. A balance is this row plus the tail,
-- the lines it does not show. On guarded accounts the row is also the lock of a decision, and knows what was spent (every
-- decreasing line, at once) beside what was received (increasing lines, as far as folded): less than what is there, never more.
CREATE TABLE ledger.balance (
  account_id bigint      NOT NULL,
  spent      numeric     NOT NULL DEFAULT 0,
  received   numeric     NOT NULL DEFAULT 0,
  posted     numeric     NOT NULL DEFAULT 0,
  outgoing   numeric     NOT NULL DEFAULT 0,
  incoming   numeric     NOT NULL DEFAULT 0,
  planned    numeric     NOT NULL DEFAULT 0,
  snap       pg_snapshot NOT NULL DEFAULT '1:1:',
  CONSTRAINT balance_pkey PRIMARY KEY (account_id)
) WITH (fillfactor = 50);

-- The same sums by the hour and by the day (UTC) in which the lines take effect, so that a backdated line changes its own
-- hour and day and nothing else.
CREATE TABLE ledger.balance_span (
  account_id bigint      NOT NULL,
  is_day     boolean     NOT NULL,
  starts_at  timestamptz NOT NULL,
  posted     numeric     NOT NULL,
  outgoing   numeric     NOT NULL,
  incoming   numeric     NOT NULL,
  planned    numeric     NOT NULL,
  CONSTRAINT balance_span_pkey PRIMARY KEY (account_id, is_day, starts_at)
) WITH (fillfactor = 70);

-- How far the folder has looked for accounts with new lines, and how far for those with only a few: one row.
CREATE TABLE ledger.fold_mark (
  is_only       boolean     NOT NULL DEFAULT true,
  snap          pg_snapshot NOT NULL DEFAULT '1:1:',
  thorough_snap pg_snapshot NOT NULL DEFAULT '1:1:',
  CONSTRAINT fold_mark_pkey PRIMARY KEY (is_only),
  CONSTRAINT fold_mark_single CHECK (is_only)
);
INSERT INTO ledger.fold_mark DEFAULT VALUES;

-- Rates as they were quoted, for ever. Minor units of `to_asset` per minor unit of `from_asset` are the rate times
-- ten to the difference of their exponents; the rate itself is between major units.
CREATE TABLE ledger.fx_quote (
  quote_key   ledger.reference  NOT NULL,
  from_asset  ledger.asset_code NOT NULL,
  to_asset    ledger.asset_code NOT NULL,
  rate        ledger.rate       NOT NULL,
  purpose     text              NOT NULL,
  origin      ledger.reference  NOT NULL,
  quoted_at   ledger.instant    NOT NULL,
  expires_at  timestamptz       NOT NULL,
  recorded_at timestamptz       NOT NULL DEFAULT clock_timestamp(),
  recorded_by text              NOT NULL DEFAULT session_user,
  CONSTRAINT fx_quote_pkey PRIMARY KEY (quote_key),
  CONSTRAINT fx_quote_from_fkey FOREIGN KEY (from_asset) REFERENCES ledger.asset (code),
  CONSTRAINT fx_quote_to_fkey FOREIGN KEY (to_asset) REFERENCES ledger.asset (code),
  CONSTRAINT fx_quote_pair CHECK (from_asset <> to_asset),
  CONSTRAINT fx_quote_purpose_known CHECK (purpose IN ('locked', 'settlement')),
  CONSTRAINT fx_quote_lives CHECK (expires_at > quoted_at)
);

-- A business transaction and its life. The states and the moves between them are rows, so that an illegal jump, a false
-- previous state, a skipped step and a second settlement are all violations of keys.
CREATE TABLE ledger.business_transaction (
  transaction_id  bigint           GENERATED ALWAYS AS IDENTITY,
  transaction_key ledger.reference NOT NULL,
  kind            ledger.label     NOT NULL,
  metadata        ledger.object,
  CONSTRAINT business_transaction_pkey PRIMARY KEY (transaction_id),
  CONSTRAINT business_transaction_key_key UNIQUE (transaction_key)
);

CREATE TABLE ledger.transaction_move (
  previous_state text NOT NULL,
  state          text NOT NULL,
  CONSTRAINT transaction_move_pkey PRIMARY KEY (previous_state, state)
);
INSERT INTO ledger.transaction_move (previous_state, state) VALUES
  ('none', 'initiated'), ('initiated', 'held'), ('initiated', 'settled'), ('initiated', 'released'),
  ('held', 'partly_released'), ('held', 'released'), ('held', 'settled'),
  ('partly_released', 'partly_released'), ('partly_released', 'released'), ('partly_released', 'settled'),
  ('settled', 'reversed');

CREATE TABLE ledger.transaction_event (
  transaction_id bigint           NOT NULL,
  event_no       integer          NOT NULL,
  previous_state text             NOT NULL,
  state          text             NOT NULL,
  previous_no    integer          GENERATED ALWAYS AS (nullif(event_no - 1, 0)) STORED,
  event_key      ledger.reference NOT NULL,
  request_hash   ledger.digest    NOT NULL,
  authoriser     ledger.reference NOT NULL,
  reason         ledger.words,
  entry_id       bigint,
  quote_key      ledger.reference,
  expires_at     timestamptz,
  recorded_at    timestamptz      NOT NULL DEFAULT clock_timestamp(),
  recorded_by    text             NOT NULL DEFAULT session_user,
  CONSTRAINT transaction_event_pkey PRIMARY KEY (transaction_id, event_no),
  CONSTRAINT transaction_event_key_key UNIQUE (event_key),
  CONSTRAINT transaction_event_state_key UNIQUE (transaction_id, event_no, state),
  CONSTRAINT transaction_event_entry_key UNIQUE (entry_id),
  CONSTRAINT transaction_event_transaction_fkey FOREIGN KEY (transaction_id) REFERENCES ledger.business_transaction (transaction_id),
  CONSTRAINT transaction_event_entry_fkey FOREIGN KEY (entry_id) REFERENCES ledger.journal_entry (entry_id),
  CONSTRAINT transaction_event_quote_fkey FOREIGN KEY (quote_key) REFERENCES ledger.fx_quote (quote_key),
  CONSTRAINT transaction_event_move_fkey FOREIGN KEY (previous_state, state) REFERENCES ledger.transaction_move (previous_state, state),
  CONSTRAINT transaction_event_previous_fkey FOREIGN KEY (transaction_id, previous_no, previous_state)
    REFERENCES ledger.transaction_event (transaction_id, event_no, state),
  CONSTRAINT transaction_event_first CHECK ((event_no = 1) = (previous_state = 'none') AND event_no >= 1),
  CONSTRAINT transaction_event_money CHECK ((entry_id IS NULL) = (state = 'initiated') OR (state = 'released' AND previous_state = 'initiated')),
  CONSTRAINT transaction_event_expiry CHECK (expires_at IS NULL OR state = 'held')
);

-- A projection: what is still held, for reading a hold as released from the moment it is due.
CREATE TABLE ledger.open_hold (
  transaction_id bigint       NOT NULL,
  account_id     bigint       NOT NULL,
  layer          ledger.layer NOT NULL,
  expires_at     timestamptz  NOT NULL,
  held_minor     numeric      NOT NULL,
  CONSTRAINT open_hold_pkey PRIMARY KEY (transaction_id, account_id, layer)
);
CREATE INDEX open_hold_account_idx ON ledger.open_hold (account_id, expires_at);
CREATE INDEX open_hold_expires_idx ON ledger.open_hold (expires_at);

-- The order of the journal for others: dense, without gaps, given after the commit by one relay. A batch keeps the snapshot
-- up to which it looked, so that a late commit comes in the next one and is never skipped.
CREATE TABLE ledger.feed (
  position bigint NOT NULL,
  entry_id bigint NOT NULL,
  CONSTRAINT feed_pkey PRIMARY KEY (position),
  CONSTRAINT feed_entry_key UNIQUE (entry_id)
);

CREATE TABLE ledger.feed_batch (
  last_position bigint      NOT NULL,
  snap          pg_snapshot NOT NULL,
  recorded_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT feed_batch_pkey PRIMARY KEY (last_position)
);

-- The fingerprint of a closed period: the Merkle root over its entries in feed order, chained to the seal before.
CREATE TABLE ledger.period_seal (
  ends_at        timestamptz   NOT NULL,
  format_version smallint      NOT NULL,
  entry_count    bigint        NOT NULL,
  root           ledger.digest NOT NULL,
  seal           ledger.digest NOT NULL,
  recorded_at    timestamptz   NOT NULL DEFAULT clock_timestamp(),
  sealed_by      text          NOT NULL DEFAULT session_user,
  CONSTRAINT period_seal_pkey PRIMARY KEY (ends_at),
  CONSTRAINT period_seal_period_fkey FOREIGN KEY (ends_at) REFERENCES ledger.period (ends_at)
);

-- How far each consumer of the feed has come, as it said itself. Prevents starting over after a restart.
CREATE TABLE ledger.feed_consumer (
  consumer    ledger.reference NOT NULL,
  position    bigint           NOT NULL,
  recorded_at timestamptz      NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT feed_consumer_pkey PRIMARY KEY (consumer)
);
