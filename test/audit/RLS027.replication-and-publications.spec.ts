import { SERVER_VERSION } from '../support/database.js';
import { createNoteDatabase, A, B, type NoteDatabase } from './audit-support.js';

// Row filters are PostgreSQL 15.
const since15 = SERVER_VERSION >= 150000 ? it : it.skip;

describe('RLS027 replication-and-publications', () => {
  let db: NoteDatabase;
  let consumer: string;

  beforeAll(async () => {
    db = await createNoteDatabase();
    consumer = `consumer_${db.roles.app}`;
    // No privilege on any table.
    await db.asSuperuser(`CREATE ROLE ${consumer} REPLICATION`);
  });
  afterAll(async () => {
    await db.asSuperuser(
      `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database();
       DROP ROLE ${consumer}`,
    );
    await db.drop();
  });

  const asConsumer = (sql: string) => db.asSuperuser<{ data: string }>(`SET ROLE ${consumer}; ${sql}`);
  let id = 1000;
  const write = async (body: string) => {
    // What is not flushed is not decoded yet.
    await db.asTenantA(`SET synchronous_commit = on; INSERT INTO note VALUES (${id++}, '${A}', '${body}')`);
    await db.as(
      'app',
      `SET synchronous_commit = on; SET rls.current_tenant = '${B}'; INSERT INTO note VALUES (${id++}, '${B}', '${body} of b')`,
    );
  };
  /** What the protocol of subscriptions carries of the writes, its texts in it. */
  const published = async (publication: string, body: string) => {
    await db.asSuperuser(`SELECT pg_create_logical_replication_slot('subscription', 'pgoutput')`);
    await write(body);
    const rows = await asConsumer(
      `SELECT encode(data, 'escape') AS data FROM pg_logical_slot_peek_binary_changes('subscription', NULL, NULL,
         'proto_version', '1', 'publication_names', '${publication}')`,
    );
    // A subscription's slot is no finding: what it sends is up to publications.
    expect(await findings()).not.toContainEqual(
      expect.objectContaining({ object: 'replication slot "subscription"' }),
    );
    await db.asSuperuser(`SELECT pg_drop_replication_slot('subscription')`);
    return rows.map(({ data }) => data).join('\n');
  };
  const findings = () => db.findingsOf('RLS027');

  it('a slot that decodes every change gives a role without any privilege the rows of both tenants, and is found', async () => {
    await db.asSuperuser(`SELECT pg_create_logical_replication_slot('changes', 'test_decoding')`);
    await write('first');
    await expect(asConsumer('SELECT body FROM note')).rejects.toThrow('permission denied');
    const rows = await asConsumer(`SELECT data FROM pg_logical_slot_peek_changes('changes', NULL, NULL)`);
    const text = rows.map(({ data }) => data).join('\n');
    expect(text).toContain("'first'");
    expect(text).toContain("'first of b'");
    const found = await db.findingsOf('RLS027');
    expect(found).toMatchObject([
      {
        severity: 'warning',
        object: 'replication slot "changes"',
        message: expect.stringContaining('test_decoding'),
      },
    ]);

    await db.asSuperuser(found[0]!.fix);
    expect(await db.findingsOf('RLS027')).toEqual([]);
  });

  it.each(['FOR ALL TABLES', 'FOR TABLE note'])(
    'a publication %s sends both tenants’ rows, and is found',
    async (what) => {
      await db.asSuperuser(`CREATE PUBLICATION everything ${what}`);
      const sent = await published('everything', 'second');
      expect(sent).toContain('second');
      expect(sent).toContain('second of b');
      const found = await findings();
      expect(found).toMatchObject([
        { object: 'publication "everything"', message: expect.stringContaining('public.note') },
      ]);

      await db.asSuperuser(found[0]!.fix);
      expect(await findings()).toEqual([]);
    },
  );

  it('a publication of a table of nobody’s is no finding', async () => {
    await db.asSuperuser('CREATE TABLE country (id int); CREATE PUBLICATION countries FOR TABLE country');
    expect(await findings()).toEqual([]);
  });

  since15(
    'a row filter of one tenant sends that tenant’s rows only; another filter does not do',
    async () => {
      await db.asSuperuser(
        `ALTER TABLE note REPLICA IDENTITY FULL; CREATE PUBLICATION of_a FOR TABLE note WHERE (tenant_id = '${A}' AND id > 0)`,
      );
      const sent = await published('of_a', 'third');
      expect(sent).toContain('third');
      expect(sent).not.toContain('third of b');
      expect(await findings()).toEqual([]);

      await db.asSuperuser(`CREATE PUBLICATION others FOR TABLE note WHERE (tenant_id <> '${A}')`);
      expect(await findings()).toMatchObject([{ object: 'publication "others"' }]);
    },
  );
});
