-- The product's roles. Roles belong to the whole cluster, so two databases may create them at the same moment: whoever
-- comes second finds them there. None can log in; a login user is granted them and takes one per transaction.
DO $$
DECLARE
  wanted text;
  pair text[];
  -- From 16 on being a member does not imply that SET ROLE is allowed.
  right_needed text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
  FOREACH wanted IN ARRAY ARRAY[
    'tieout_owner', 'tieout_poster', 'tieout_ledger_reader', 'tieout_intake', 'tieout_matcher', 'tieout_analyst', 'tieout_auditor',
    'tieout_doorkeeper'
  ] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
      END;
    END IF;
    IF NOT pg_has_role(current_user, wanted, right_needed) THEN
      BEGIN
        EXECUTE format('GRANT %I TO %I', wanted, current_user);
      EXCEPTION WHEN unique_violation OR internal_error THEN
        NULL; -- another process granted the same at this moment
      END;
    END IF;
  END LOOP;
  -- Whoever explains differences or audits them also reads the ledger's views.
  FOREACH pair SLICE 1 IN ARRAY ARRAY[
    ['tieout_ledger_reader', 'tieout_matcher'], ['tieout_ledger_reader', 'tieout_analyst'], ['tieout_ledger_reader', 'tieout_auditor']
  ] LOOP
    IF NOT pg_has_role(pair[2], pair[1], 'USAGE') THEN
      BEGIN
        EXECUTE format('GRANT %I TO %I', pair[1], pair[2]);
      EXCEPTION WHEN unique_violation OR internal_error THEN
        NULL;
      END;
    END IF;
  END LOOP;
END;
$$;
