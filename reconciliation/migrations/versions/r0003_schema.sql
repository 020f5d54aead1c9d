-- The full engine's side of the store: suggestions beside confirmed matches, decisions that two people make, what lags were seen,
-- and what is excluded in the bridge. Rows keep what they hold: every new column is empty or 0 for what was there.

ALTER TABLE recon.match_group
    DROP CONSTRAINT group_key_shape, DROP CONSTRAINT match_pass,
    ADD CONSTRAINT group_key_shape CHECK (octet_length(group_key) = 64 AND encode(decode(group_key, 'hex'), 'hex') = group_key),
    ADD CONSTRAINT match_pass CHECK (match_pass IN ('exact', 'normalised', 'net_of_fee', 'converted',
        'declared_group', 'reversal_family', 'in_text', 'near_reference', 'amount_and_lag', 'key_sum', 'chained_run', 'window_less_few',
        'bounded_subset', 'many_to_many', 'decision')),
    ADD COLUMN state text NOT NULL DEFAULT 'confirmed' CONSTRAINT match_state CHECK (state IN ('confirmed', 'suggested')),
    ADD COLUMN evidence_millibits bigint,
    ADD COLUMN margin_millibits bigint,
    ADD COLUMN solutions bigint,
    ADD CONSTRAINT weighed_is_not_negative CHECK (evidence_millibits >= 0 AND margin_millibits >= 0 AND solutions >= 0);
CREATE INDEX match_group_suggested ON recon.match_group (source_id) WHERE state = 'suggested';

-- New members add up to their group; external ones take exactly their line, which must still speak. All of a confirmed group
-- live and none of a suggested one; a group of one side alone cancels out.
CREATE OR REPLACE FUNCTION recon.check_members() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT m.group_id INTO wrong
    FROM (
        SELECT n.group_id,
               coalesce(sum(n.allocated_minor) FILTER (WHERE n.side = 'external'), 0) AS external_minor,
               coalesce(sum(n.allocated_minor) FILTER (WHERE n.side = 'ledger'), 0) AS ledger_minor,
               min(n.side) = max(n.side) AS one_sided, min(n.live::integer) AS all_live, max(n.live::integer) AS any_live,
               count(DISTINCT n.asset) AS assets, min(n.asset) AS asset, max(n.business_date) AS as_of, min(n.leg) AS leg, count(*) AS members
        FROM new_member AS n
        GROUP BY n.group_id
    ) AS m
    LEFT JOIN recon.match_group AS g ON g.group_id = m.group_id
    WHERE g.group_id IS NULL OR m.assets <> 1 OR m.asset <> g.asset OR m.external_minor <> g.external_minor
       OR m.ledger_minor <> g.ledger_minor OR m.as_of > g.as_of OR m.leg <> g.leg OR m.members < 2
       OR (m.one_sided AND g.difference_minor <> 0)
       OR (g.state = 'confirmed')::integer <> m.all_live OR (g.state = 'confirmed')::integer <> m.any_live
       OR m.members <> (SELECT count(*) FROM recon.match_member AS s WHERE s.group_id = m.group_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'members of match group % do not add up to it: both sides, asset, leg, date and state must agree', wrong
            USING ERRCODE = 'TR002';
    END IF;
    SELECT n.line_id INTO wrong
    FROM new_member AS n
    JOIN recon.line AS l ON l.line_id = n.line_id
    WHERE n.allocated_minor <> l.amount_minor OR n.asset <> l.asset
       OR EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = n.line_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'allocation of external line % is not its amount, or the line was superseded or withdrawn', wrong
            USING ERRCODE = 'TR003';
    END IF;
    RETURN NULL;
END
$$;

ALTER TABLE recon.exception_event DROP CONSTRAINT exception_event_name, ADD CONSTRAINT exception_event_name
    CHECK (event IN ('opened', 'changed', 'cleared', 'reopened', 'taken', 'commented', 'proposed', 'approved', 'rejected', 'withdrawn'));

-- What a person wants decided, as it was when it was said: the members are kept with account, asset and amount. It waits until
-- another person judges it.
CREATE TABLE recon.proposal (
    proposal_id  bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT proposal_key PRIMARY KEY,
    source_id    text NOT NULL,
    exception_id bigint CONSTRAINT proposal_exception REFERENCES recon.exception ON DELETE RESTRICT,
    action       text NOT NULL CONSTRAINT proposal_action CHECK (action IN ('force_match', 'not_duplicate', 'exclude')),
    members      jsonb NOT NULL CONSTRAINT proposal_names_members CHECK (jsonb_typeof(members) = 'array' AND members <> '[]'),
    reason       text NOT NULL CONSTRAINT proposal_has_a_reason CHECK (reason <> ''),
    proposed_by  text NOT NULL CONSTRAINT proposal_has_a_proposer CHECK (proposed_by <> ''),
    proposed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_on   date, -- last business date on which it may be approved
    CONSTRAINT proposal_without_card_number CHECK (reason !~ '[0-9]{13}' OR NOT recon.holds_card_number(reason))
);
CREATE INDEX proposal_by_source ON recon.proposal (source_id, proposal_id);
CREATE INDEX proposal_by_exception ON recon.proposal (exception_id) WHERE exception_id IS NOT NULL;

CREATE TABLE recon.proposal_verdict (
    proposal_id bigint CONSTRAINT judged_once PRIMARY KEY CONSTRAINT verdict_proposal REFERENCES recon.proposal ON DELETE RESTRICT,
    verdict     text NOT NULL CONSTRAINT verdict_word CHECK (verdict IN ('approved', 'rejected', 'withdrawn')),
    actor       text NOT NULL CONSTRAINT verdict_has_an_actor CHECK (actor <> ''),
    note        text,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT refusal_has_a_reason CHECK (verdict = 'approved' OR note <> '' AND note IS NOT NULL),
    CONSTRAINT verdict_without_card_number CHECK (note !~ '[0-9]{13}' OR NOT recon.holds_card_number(note))
);

-- Nobody approves their own proposal, and only who made it takes it back. Names are compared without case and outer blanks.
CREATE FUNCTION recon.check_verdict() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own boolean;
BEGIN
    SELECT lower(btrim(p.proposed_by)) = lower(btrim(NEW.actor)) INTO own FROM recon.proposal AS p WHERE p.proposal_id = NEW.proposal_id;
    IF own AND NEW.verdict = 'approved' THEN
        RAISE EXCEPTION 'proposal %: expected the approval of another person, found %, who proposed it', NEW.proposal_id, NEW.actor
            USING ERRCODE = 'TR007', HINT = 'Ask a colleague to approve it.';
    ELSIF NOT own AND NEW.verdict = 'withdrawn' THEN
        RAISE EXCEPTION 'proposal %: expected it to be taken back by who proposed it, found %', NEW.proposal_id, NEW.actor
            USING ERRCODE = 'TR007', HINT = 'Reject it instead.';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER verdict_by_the_right_person BEFORE INSERT ON recon.proposal_verdict
    FOR EACH ROW EXECUTE FUNCTION recon.check_verdict();

ALTER TABLE recon.decision DROP CONSTRAINT decision_kind, DROP CONSTRAINT decided_once;
ALTER TABLE recon.decision
    ADD COLUMN as_of date,
    ADD COLUMN approved_by text,
    ADD COLUMN proposal_id bigint CONSTRAINT decision_proposal REFERENCES recon.proposal ON DELETE RESTRICT,
    ADD CONSTRAINT decision_kind CHECK (kind IN ('reject_match', 'force_match', 'not_duplicate', 'exclude')),
    ADD CONSTRAINT decided_by_two CHECK (kind = 'reject_match' OR num_nulls(as_of, approved_by, proposal_id) = 0
        AND approved_by <> '' AND lower(btrim(approved_by)) <> lower(btrim(actor))),
    ADD CONSTRAINT decided_once UNIQUE (source_id, kind, content_key, proposal_id);
CREATE INDEX decision_by_content ON recon.decision (source_id, content_key, decision_id);

-- The lines of a decision, by content. `allocated_minor` is the amount they had when it was made.
CREATE TABLE recon.decision_member (
    decision_id     bigint NOT NULL CONSTRAINT decision_member_decision REFERENCES recon.decision ON DELETE RESTRICT,
    member_no       integer NOT NULL,
    side            text NOT NULL CONSTRAINT decision_member_side CHECK (side IN ('external', 'ledger')),
    line_key        text,
    version         integer,
    entry_key       text,
    line_no         integer,
    role            text NOT NULL CONSTRAINT decision_member_role CHECK (role IN ('principal', 'fee', 'fx', 'rounding')),
    allocated_minor bigint NOT NULL,
    CONSTRAINT decision_member_key PRIMARY KEY (decision_id, member_no),
    CONSTRAINT decision_member_names_its_line CHECK (
        CASE side WHEN 'external' THEN num_nulls(line_key, version) = 0 AND num_nonnulls(entry_key, line_no) = 0
                  ELSE num_nulls(entry_key, line_no) = 0 AND num_nonnulls(line_key, version) = 0 END)
);
CREATE INDEX decision_member_by_line ON recon.decision_member (line_key, version) WHERE side = 'external';
CREATE INDEX decision_member_by_entry ON recon.decision_member (entry_key, line_no) WHERE side = 'ledger';

-- A decision of two people has members, told in the same statement, and rests on a proposal of the one that the other approved.
CREATE FUNCTION recon.check_decision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT n.decision_id INTO wrong
    FROM new_decision AS n
    WHERE n.kind <> 'reject_match' AND NOT EXISTS (
        SELECT FROM recon.proposal AS p
        JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id AND v.verdict = 'approved' AND v.actor = n.approved_by
        WHERE p.proposal_id = n.proposal_id AND p.source_id = n.source_id AND p.action = n.kind AND p.proposed_by = n.actor)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'decision %: expected a proposal of its actor that another person approved, found none', wrong
            USING ERRCODE = 'TR007';
    END IF;
    SELECT n.decision_id INTO wrong
    FROM new_decision AS n
    WHERE (n.kind <> 'reject_match') <> EXISTS (SELECT FROM recon.decision_member AS m WHERE m.decision_id = n.decision_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'decision %: expected members with it, unless it undoes a match', wrong USING ERRCODE = 'TR002';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER decision_rests_on_a_proposal AFTER INSERT ON recon.decision
    REFERENCING NEW TABLE AS new_decision FOR EACH STATEMENT EXECUTE FUNCTION recon.check_decision();

-- How often each day's matches by agreeing references had each lag, in business days. A projection: every run writes its own days.
CREATE TABLE recon.lag_observation (
    source_id         text NOT NULL,
    as_of             date NOT NULL,
    lag_business_days integer NOT NULL,  -- external less ledger
    observations      bigint NOT NULL CONSTRAINT lag_was_observed CHECK (observations > 0),
    CONSTRAINT lag_observation_key PRIMARY KEY (source_id, as_of, lag_business_days)
);

ALTER TABLE recon.balance_proof
    ADD COLUMN excluded_external_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN excluded_ledger_minor bigint NOT NULL DEFAULT 0;
ALTER TABLE recon.balance_proof DROP CONSTRAINT bridge_adds_up, ADD CONSTRAINT bridge_adds_up CHECK (
        closing_minor::numeric = ledger_minor::numeric + timing_external_minor + genuine_external_minor + excluded_external_minor
            - timing_ledger_minor - genuine_ledger_minor - excluded_ledger_minor + allocation_difference_minor + unexplained_minor);

DO $$
DECLARE
    evidence text;
BEGIN
    FOREACH evidence IN ARRAY ARRAY['proposal', 'proposal_verdict', 'decision_member'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON recon.%I
            FOR EACH STATEMENT EXECUTE FUNCTION recon.refuse_change()', evidence || '_append_only', evidence);
    END LOOP;
END
$$;

DROP VIEW recon.line_v1, recon.match_v1, recon.balance_proof_v1;
-- Every version of every line with the bucket it is in: excluded by a decision or before its source's start, none until a run
-- has seen it.
CREATE VIEW recon.line_v1 AS
SELECT l.source_id AS source, l.line_key, d.file_name, d.file_sha256, l.record_no, s.statement_ref, l.booking_date, l.value_date,
    l.amount_minor, l.asset, l.fee_minor, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant,
    l.ref_payout, l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.text, l.kind, l.version,
    CASE WHEN c.line_id IS NOT NULL THEN c.reason
         WHEN m.line_id IS NOT NULL THEN 'matched'
         WHEN e.class = 'timing' THEN 'timing'
         WHEN e.class IS NOT NULL THEN 'genuine'
         WHEN x.line_key IS NOT NULL OR l.booking_date < v.start_date THEN 'excluded'
         END AS status,
    l.line_id, l.account
FROM recon.line AS l
JOIN recon.statement AS s ON s.statement_id = l.statement_id
JOIN recon.delivery AS d ON d.delivery_id = s.delivery_id
LEFT JOIN recon.line_closure AS c ON c.line_id = l.line_id
LEFT JOIN recon.match_member AS m ON m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger'
LEFT JOIN recon.exception_member AS o ON o.line_id = l.line_id
LEFT JOIN recon.exception AS e ON e.exception_id = o.exception_id
LEFT JOIN (
    SELECT DISTINCT n.source_id, r.line_key, r.version
    FROM recon.decision AS n
    JOIN recon.decision_member AS r ON r.decision_id = n.decision_id AND r.side = 'external'
    WHERE n.kind = 'exclude'
) AS x ON x.source_id = l.source_id AND x.line_key = l.line_key AND x.version = l.version
LEFT JOIN (
    SELECT DISTINCT ON (s.source_id) s.source_id, (s.definition ->> 'start_date')::date AS start_date
    FROM recon.source_version AS s
    ORDER BY s.source_id, s.loaded_at DESC
) AS v ON v.source_id = l.source_id;

-- Every group with its members and state. Bits are kept in thousandths.
CREATE VIEW recon.match_v1 AS
SELECT g.group_id, g.group_key, g.source_id AS source, g.leg, g.as_of, g.match_pass,
    CASE WHEN r.group_id IS NULL THEN g.state ELSE 'revoked' END AS state,
    m.side, l.line_key, m.entry_key, m.line_no, m.allocated_minor, m.asset, m.role, g.difference_minor, g.evidence,
    round(g.evidence_millibits / 1000.0, 3) AS evidence_bits, round(g.margin_millibits / 1000.0, 3) AS margin_bits, g.solutions
FROM recon.match_group AS g
JOIN recon.match_member AS m ON m.group_id = g.group_id
LEFT JOIN recon.line AS l ON l.line_id = m.line_id
LEFT JOIN recon.match_revocation AS r ON r.group_id = g.group_id;

-- The latest proof of each account and day.
CREATE VIEW recon.balance_proof_v1 AS
SELECT DISTINCT ON (p.source_id, p.account, p.business_date)
    p.proof_id, p.run_id, p.source_id AS source, p.account, p.asset, p.business_date, p.basis, p.opening_minor, p.movement_minor,
    p.closing_minor, p.ledger_minor, p.timing_external_minor, p.timing_ledger_minor, p.genuine_external_minor,
    p.genuine_ledger_minor, p.excluded_external_minor, p.excluded_ledger_minor, p.allocation_difference_minor, p.unexplained_minor,
    p.matched_count, p.timing_count, p.genuine_count, p.excluded_count, p.line_count, p.proved_at
FROM recon.balance_proof AS p
ORDER BY p.source_id, p.account, p.business_date, p.proof_id DESC;

-- Every proposal with what became of it: it waits until somebody judges it, or the source is reconciled past its last day.
CREATE VIEW recon.proposal_v1 AS
SELECT p.proposal_id, p.source_id AS source, p.exception_id, p.action,
    coalesce(v.verdict, CASE WHEN p.expires_on < r.done_to THEN 'expired' ELSE 'waiting' END) AS state, p.members, p.reason,
    p.proposed_by, p.proposed_at, p.expires_on, v.actor AS judged_by, v.note, v.at AS judged_at,
    (SELECT min(d.as_of) FROM recon.decision AS d WHERE d.proposal_id = p.proposal_id) AS acts_from
FROM recon.proposal AS p
LEFT JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id
LEFT JOIN LATERAL (
    SELECT max(n.business_date) AS done_to FROM recon.run AS n WHERE n.source_id = p.source_id AND n.state = 'succeeded'
) AS r ON true;

-- Undo a match: revoke the group and remember that it must not be made again. Of what people say about one content the last
-- word holds: a rejection undoes a forced match, and a match forced later undoes the rejection.
CREATE OR REPLACE FUNCTION recon.reject_match(rejected_group_id bigint, rejected_reason text, rejected_by text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Not in the middle of a run, which would make the match once more.
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || g.source_id, 0)) FROM recon.match_group AS g
    WHERE g.group_id = rejected_group_id;
    INSERT INTO recon.decision (source_id, kind, content_key, reason, actor)
    SELECT g.source_id, 'reject_match', g.group_key, rejected_reason, rejected_by FROM recon.match_group AS g
    WHERE g.group_id = rejected_group_id AND 'reject_match' IS DISTINCT FROM (
        SELECT x.kind FROM recon.decision AS x
        WHERE x.source_id = g.source_id AND x.content_key = g.group_key ORDER BY x.decision_id DESC LIMIT 1);
    INSERT INTO recon.match_revocation (group_id, reason, actor) VALUES (rejected_group_id, rejected_reason, rejected_by);
END
$$;

-- Lines that a proposal names, as they are now, numbered in canonical order, each with what stands against it.
CREATE FUNCTION recon.named_lines(of_source text, named jsonb) RETURNS TABLE (
    member_no integer, side text, line_key text, version integer, entry_key text, line_no integer, role text, account text, asset text,
    amount_minor bigint, identity text, problem text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH wanted AS (
        SELECT w.side, w.line_key, w.version, w.entry_key, w.line_no, coalesce(w.role, 'principal') AS role,
            CASE w.side WHEN 'external' THEN format('line %s version %s', w.line_key, w.version)
                        ELSE format('entry %s line %s', w.entry_key, w.line_no) END AS name,
            -- the name that group keys are made of
            format('%s:%s:%s:%s', w.side, length(coalesce(w.line_key, w.entry_key)), coalesce(w.line_key, w.entry_key),
                coalesce(w.version, w.line_no)) AS identity
        FROM jsonb_to_recordset(named) AS w (side text, line_key text, version integer, entry_key text, line_no integer, role text)
    ), found AS (
        SELECT w.side, w.line_key, w.version, w.entry_key, w.line_no, w.role, w.name, w.identity, coalesce(l.account, j.account) AS account, coalesce(l.asset, j.asset) AS asset,
            coalesce(l.amount_minor, j.amount_minor) AS amount_minor, l.line_id, j.entry_id, c.reason AS closed
        FROM wanted AS w
        LEFT JOIN recon.line AS l ON w.side = 'external' AND l.source_id = of_source AND l.line_key = w.line_key AND l.version = w.version
        LEFT JOIN recon.line_closure AS c ON c.line_id = l.line_id
        LEFT JOIN ledger.journal_line_v1 AS j ON w.side = 'ledger' AND j.entry_key = w.entry_key AND j.line_no = w.line_no
            AND j.layer = 'posted' AND j.account IN (
                SELECT a.value ->> 'ledger' FROM jsonb_array_elements((
                    SELECT s.definition -> 'accounts' FROM recon.source_version AS s
                    WHERE s.source_id = of_source ORDER BY s.loaded_at DESC LIMIT 1)) AS a)
    )
    SELECT row_number() OVER (ORDER BY f.identity COLLATE "C")::integer, f.side, f.line_key, f.version, f.entry_key, f.line_no, f.role,
        f.account, f.asset, f.amount_minor, f.identity,
        CASE WHEN f.side IS NULL OR f.side NOT IN ('external', 'ledger') OR f.role NOT IN ('principal', 'fee', 'fx', 'rounding')
                 THEN 'a member has no side or role that is known'
             WHEN f.account IS NULL THEN format('%s: expected one on the accounts of source %s, found none', f.name, of_source)
             WHEN f.closed IS NOT NULL THEN format('%s was %s', f.name, f.closed)
             WHEN t.group_id IS NOT NULL THEN format('%s is in match %s', f.name, t.group_id)
             WHEN x.decision_id IS NOT NULL AND x.kind = 'exclude' THEN format('%s was excluded by decision %s', f.name, x.decision_id)
             WHEN x.decision_id IS NOT NULL THEN format('%s is in decision %s, which the next run carries out', f.name, x.decision_id)
             END
    FROM found AS f
    LEFT JOIN LATERAL (
        SELECT m.group_id FROM recon.match_member AS m
        WHERE f.side = 'external' AND m.live AND m.leg = 'ledger' AND m.side = 'external' AND m.line_id = f.line_id
        UNION ALL
        SELECT m.group_id FROM recon.match_member AS m
        WHERE f.side = 'ledger' AND m.live AND m.leg = 'ledger' AND m.side = 'ledger' AND m.entry_id = f.entry_id AND m.line_no = f.line_no
        LIMIT 1
    ) AS t ON true
    LEFT JOIN LATERAL (
        SELECT d.decision_id, d.kind FROM recon.decision_member AS n
        JOIN recon.decision AS d ON d.decision_id = n.decision_id AND d.source_id = of_source
        WHERE (n.side = 'external' AND n.line_key = f.line_key AND n.version = f.version
               OR n.side = 'ledger' AND n.entry_key = f.entry_key AND n.line_no = f.line_no)
          AND (d.kind = 'exclude' OR d.kind = 'force_match' AND NOT EXISTS (
              SELECT FROM recon.run AS r
              WHERE r.source_id = of_source AND r.state = 'succeeded' AND r.business_date >= d.as_of
                AND pg_visible_in_snapshot(d.xid, r.data_snapshot)))
        ORDER BY d.decision_id LIMIT 1
    ) AS x ON true
$$;

-- By what content a decision is known: a match by its group key, a line by side and digest. The engine makes the same keys.
CREATE FUNCTION recon.content_key(of_action text, identities text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE of_action
        WHEN 'force_match' THEN encode(sha256(convert_to('ledger' || E'\n' || string_agg(i, E'\n' ORDER BY i COLLATE "C"), 'UTF8')), 'hex')
        ELSE split_part(min(i), ':', 1) || ':' || encode(sha256(convert_to(min(i), 'UTF8')), 'hex') END
    FROM unnest(identities) AS i
$$;

-- What stands against a proposal as things are now; null where it is sound.
CREATE FUNCTION recon.proposal_problem(of_source text, of_action text, named jsonb) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told record;
BEGIN
    SELECT count(*) AS members, count(DISTINCT m.identity) AS different, count(DISTINCT m.asset) AS assets,
        count(DISTINCT m.account) AS accounts, count(DISTINCT m.side) AS sides, bool_or(m.role <> 'principal') AS owned,
        coalesce(sum(m.amount_minor) FILTER (WHERE m.side = 'external'), 0)
            - coalesce(sum(m.amount_minor) FILTER (WHERE m.side = 'ledger'), 0) AS difference_minor,
        string_agg(m.problem, '; ' ORDER BY m.member_no) AS problems, array_agg(m.identity) AS identities
    INTO told FROM recon.named_lines(of_source, named) AS m;
    RETURN CASE
        WHEN told.members = 0 THEN 'it names no line'
        WHEN told.problems IS NOT NULL THEN told.problems
        WHEN told.different < told.members THEN 'it names a line twice'
        WHEN of_action = 'force_match' AND told.sides < 2 THEN 'expected lines of both sides, found one side alone'
        WHEN of_action = 'force_match' AND (told.assets > 1 OR told.accounts > 1) THEN
            format('expected lines of one account and asset, found %s accounts and %s assets', told.accounts, told.assets)
        WHEN of_action = 'force_match' AND told.difference_minor <> 0 AND NOT told.owned THEN
            format('the two sides differ by %s minor units and no line says why (as fee, fx or rounding)', told.difference_minor)
        WHEN of_action = 'force_match' THEN (
            SELECT format('decision %s says the same', x.decision_id) FROM recon.decision AS x
            WHERE x.source_id = of_source AND x.content_key = recon.content_key(of_action, told.identities) AND x.kind = 'force_match'
              AND NOT EXISTS (SELECT FROM recon.decision AS y WHERE y.source_id = x.source_id AND y.content_key = x.content_key
                              AND y.decision_id > x.decision_id)
            LIMIT 1)
        ELSE (
            SELECT format('decision %s says the same', min(x.decision_id)) FROM recon.decision AS x
            JOIN unnest(told.identities) AS i ON x.content_key = recon.content_key(of_action, ARRAY[i])
            WHERE x.source_id = of_source AND x.kind = of_action
            HAVING count(*) > 0)
        END;
END
$$;

-- Ask for a decision: what it names is checked and kept as it is now. Returns the proposal's number.
CREATE FUNCTION recon.propose(of_source text, about_exception bigint, wanted_action text, named jsonb, why text, proposer text,
    last_day date DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told text;
    kept jsonb;
    known bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || of_source, 0));
    IF about_exception IS NOT NULL AND NOT EXISTS (SELECT FROM recon.exception AS e
            WHERE e.exception_id = about_exception AND e.source_id = of_source AND e.status <> 'cleared') THEN
        RAISE EXCEPTION 'exception %: expected an open one of source %', about_exception, of_source USING ERRCODE = 'TR004';
    END IF;
    told := recon.proposal_problem(of_source, wanted_action, named);
    IF told IS NOT NULL THEN
        RAISE EXCEPTION 'this cannot be proposed: %', told USING ERRCODE = 'TR008';
    END IF;
    SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('side', m.side, 'line_key', m.line_key, 'version', m.version, 'entry_key',
        m.entry_key, 'line_no', m.line_no, 'role', m.role, 'account', m.account, 'asset', m.asset, 'amount_minor', m.amount_minor))
        ORDER BY m.member_no)
    INTO kept FROM recon.named_lines(of_source, named) AS m;
    SELECT min(p.proposal_id) INTO known FROM recon.proposal_v1 AS p
    WHERE p.source = of_source AND p.action = wanted_action AND p.members = kept AND p.state = 'waiting';
    IF known IS NOT NULL THEN
        RAISE EXCEPTION 'this cannot be proposed: proposal % says the same and waits', known USING ERRCODE = 'TR008';
    END IF;
    INSERT INTO recon.proposal (source_id, exception_id, action, members, reason, proposed_by, expires_on)
    VALUES (of_source, about_exception, wanted_action, kept, why, proposer, last_day) RETURNING proposal_id INTO known;
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, note)
    SELECT e.exception_id, 'proposed', proposer, e.as_of, format('proposal %s, %s: %s', known, wanted_action, why)
    FROM recon.exception AS e WHERE e.exception_id = about_exception;
    RETURN known;
END
$$;

-- Judge a proposal; returns the verdict. What was approved becomes a decision, if what it rests on is still so, which acts from the
-- last day that was reconciled, or from a later one. Who turns down their own proposal takes it back.
CREATE FUNCTION recon.judge_proposal(judged_id bigint, given_verdict text, judge text, judge_note text DEFAULT NULL,
    acts_from date DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    judged record;
    told text;
    of_all text; -- content key of all lines together, where they are one decision
    done_to date;
BEGIN
    SELECT p.proposal_id, p.source_id, p.exception_id, p.action, p.members, p.reason, p.proposed_by, p.expires_on INTO judged
    FROM recon.proposal AS p WHERE p.proposal_id = judged_id;
    IF judged.proposal_id IS NULL THEN
        RAISE EXCEPTION 'proposal %: expected one that exists, found none', judged_id USING ERRCODE = 'TR004';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || judged.source_id, 0));
    SELECT format('%s by %s', v.verdict, v.actor) INTO told FROM recon.proposal_verdict AS v WHERE v.proposal_id = judged_id;
    IF told IS NOT NULL THEN
        RAISE EXCEPTION 'proposal %: expected one that waits, found it %', judged_id, told USING ERRCODE = 'TR004';
    END IF;
    IF given_verdict = 'rejected' AND lower(btrim(judge)) = lower(btrim(judged.proposed_by)) THEN
        given_verdict := 'withdrawn';
    END IF;
    INSERT INTO recon.proposal_verdict (proposal_id, verdict, actor, note) VALUES (judged_id, given_verdict, judge, judge_note);
    IF given_verdict = 'approved' THEN
        SELECT max(r.business_date) INTO done_to FROM recon.run AS r WHERE r.source_id = judged.source_id AND r.state = 'succeeded';
        told := CASE
            WHEN done_to IS NULL THEN format('source %s was never reconciled', judged.source_id)
            WHEN acts_from < done_to THEN format('it would act from %s on, and the source is reconciled to %s', acts_from, done_to)
            WHEN judged.expires_on < coalesce(acts_from, done_to) THEN format('it was good until %s', judged.expires_on)
            ELSE recon.proposal_problem(judged.source_id, judged.action, judged.members) END;
        IF told IS NOT NULL THEN
            RAISE EXCEPTION 'proposal % cannot be approved: %', judged_id, told
                USING ERRCODE = 'TR008', HINT = 'Reject it, and propose anew what holds now.';
        END IF;
        IF judged.action = 'force_match' THEN
            SELECT recon.content_key(judged.action, array_agg(m.identity)) INTO of_all
            FROM recon.named_lines(judged.source_id, judged.members) AS m;
        END IF;
        WITH line AS (
            SELECT m.member_no, m.side, m.line_key, m.version, m.entry_key, m.line_no, m.role, m.amount_minor,
                coalesce(of_all, recon.content_key(judged.action, ARRAY[m.identity])) AS content_key
            FROM recon.named_lines(judged.source_id, judged.members) AS m
        ), made AS (
            INSERT INTO recon.decision (source_id, kind, content_key, reason, actor, as_of, approved_by, proposal_id)
            SELECT judged.source_id, judged.action, l.content_key, judged.reason, judged.proposed_by, coalesce(acts_from, done_to), judge, judged_id
            FROM line AS l GROUP BY l.content_key ORDER BY min(l.member_no)
            RETURNING decision_id, content_key
        )
        INSERT INTO recon.decision_member (decision_id, member_no, side, line_key, version, entry_key, line_no, role, allocated_minor)
        SELECT n.decision_id, row_number() OVER (PARTITION BY n.decision_id ORDER BY l.member_no), l.side, l.line_key, l.version,
            l.entry_key, l.line_no, l.role, l.amount_minor
        FROM made AS n JOIN line AS l ON l.content_key = n.content_key;
    END IF;
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, note)
    SELECT e.exception_id, given_verdict, judge, e.as_of, concat_ws(': ', format('proposal %s', judged_id), judge_note)
    FROM recon.exception AS e WHERE e.exception_id = judged.exception_id;
    RETURN given_verdict;
END
$$;

DO $$
DECLARE
    thing text;
BEGIN
    FOREACH thing IN ARRAY ARRAY['TABLE recon.proposal', 'TABLE recon.proposal_verdict', 'TABLE recon.decision_member',
        'TABLE recon.lag_observation', 'VIEW recon.line_v1', 'VIEW recon.match_v1', 'VIEW recon.balance_proof_v1', 'VIEW recon.proposal_v1'] LOOP
        EXECUTE format('ALTER %s OWNER TO tieout_owner', thing);
    END LOOP;
    FOREACH thing IN ARRAY ARRAY['check_verdict()', 'check_decision()', 'named_lines(text, jsonb)', 'content_key(text, text[])',
        'proposal_problem(text, text, jsonb)', 'propose(text, bigint, text, jsonb, text, text, date)',
        'judge_proposal(bigint, text, text, text, date)'] LOOP
        EXECUTE format('ALTER FUNCTION recon.%s OWNER TO tieout_owner', thing);
        EXECUTE format('REVOKE ALL ON FUNCTION recon.%s FROM PUBLIC', thing);
    END LOOP;
END
$$;
GRANT SELECT ON recon.line_v1, recon.match_v1, recon.balance_proof_v1, recon.proposal, recon.proposal_verdict, recon.proposal_v1,
    recon.decision_member, recon.lag_observation TO tieout_matcher, tieout_analyst, tieout_auditor;
GRANT INSERT, DELETE ON recon.lag_observation TO tieout_matcher;
GRANT EXECUTE ON FUNCTION recon.propose(text, bigint, text, jsonb, text, text, date), recon.judge_proposal(bigint, text, text, text, date)
    TO tieout_analyst;
