/** A table with a deferred trigger, that tells by a notice whose tenant's it is when PostgreSQL runs it. For the migrator. */
export const TELL_AT_COMMIT = `
  CREATE TABLE waiting (id serial PRIMARY KEY);
  GRANT INSERT ON waiting TO PUBLIC;
  GRANT USAGE ON SEQUENCE waiting_id_seq TO PUBLIC;
  CREATE FUNCTION tell_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE NOTICE '%', current_setting('rls.current_tenant', true); RETURN NULL; END $$;
  CREATE CONSTRAINT TRIGGER tell AFTER INSERT ON waiting DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION tell_tenant()`;

export const WAIT_FOR_COMMIT = 'INSERT INTO waiting DEFAULT VALUES';
