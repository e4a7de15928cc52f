import { a, attempt, b, become, loot, nobody, READ, TO_B, type Attack } from './attack.js';

const COUNT = 'SELECT count(*) FROM note';
const SEAL = `SELECT current_setting('rls.current_tenant') AS tenant, current_setting('rls.seal', true) AS seal`;

/** Genuine seals at the wrong time and place, and what a transaction remembers of another tenant. */
export const replaying: readonly Attack[] = [
  {
    id: 'R01',
    title: 'a seal that expired',
    tries: "a genuine seal of B's, from a log of an hour ago",
    steps: [loot(become(`'{expired}'`))],
    plain: 'leaks',
  },
  {
    id: 'R02',
    title: 'a seal of another backend',
    tries: "a genuine seal of B's that is bound to B's connection",
    steps: [loot(become(`'{elsewhere}'`))],
    plain: 'leaks',
  },
  {
    id: 'R03',
    title: 'a seal by a retired key',
    tries: 'a genuine seal whose key the database lets no longer count, and one whose key it never knew',
    steps: [loot(become(`'{retired}'`)), loot(become(`'{unknown}'`))],
    plain: 'leaks',
  },
  {
    id: 'R04',
    title: "the settings of the connection's last request",
    tries: "reads what B's request left in the session",
    steps: [
      b(COUNT),
      a(SEAL),
      nobody(SEAL),
      a(`SELECT * FROM pg_settings WHERE name LIKE 'rls.%'`),
      a('SHOW ALL'),
      a('SHOW rls.seal'),
      nobody(READ),
    ],
    plain: 'holds',
  },
  {
    id: 'R05',
    title: 'ROLLBACK TO SAVEPOINT',
    tries: "goes back, in a transaction that two tenants share, to a savepoint set behind B's statement",
    steps: [
      {
        together: [
          b(COUNT),
          b('SAVEPOINT here'),
          a('SELECT 1'),
          a(`ROLLBACK TO SAVEPOINT here; ${SEAL}; ${READ}`),
        ],
      },
    ],
    plain: 'holds',
  },
  {
    id: 'R06',
    title: 'a savepoint of its own',
    tries: "sets it behind B's statement (alone, so that nothing is carried), then goes back",
    steps: [
      {
        together: [
          b(COUNT),
          a('SAVEPOINT here'),
          a('SELECT 1'),
          a('ROLLBACK TO SAVEPOINT here'),
          a(SEAL),
          a(READ),
        ],
      },
      {
        together: [
          b(COUNT),
          a('SAVEPOINT here'),
          a(`/* */ ROLLBACK TO here; RELEASE here; ${READ}`),
          a(`ROLLBACK TO here /* ; */; ${READ}`),
        ],
      },
    ],
    plain: 'holds',
  },
  {
    id: 'R07',
    title: 'COMMIT in front of a statement',
    tries: 'ends the shared transaction, so that what was carried is gone',
    steps: [
      { together: [b(COUNT), a(`COMMIT; ${SEAL}; ${READ}`)] },
      { together: [b(COUNT), a(`COMMIT AND CHAIN; ${SEAL}; ${READ}`)] },
      { together: [b(COUNT), a(`ROLLBACK AND CHAIN; ${SEAL}; ${READ}`)] },
      { together: [b(COUNT), a(`ROLLBACK; BEGIN; ${SEAL}; ${READ}; END`)] },
    ],
    plain: 'holds',
  },
  {
    id: 'R08',
    title: 'a block with an exception',
    tries: "undoes what was carried for A by an EXCEPTION clause, so that B's comes back",
    steps: [
      {
        together: [
          b(COUNT),
          a(`DO $$ DECLARE l text; BEGIN BEGIN PERFORM set_config('rls.current_tenant', '', true), 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END;
               SELECT string_agg(body, ',') || current_setting('rls.seal', true) INTO l FROM note; RAISE EXCEPTION 'loot: %', l; END $$`),
        ],
      },
    ],
    plain: 'holds',
  },
  {
    id: 'R09',
    title: 'RESET of what was carried',
    tries: 'resets the settings to what they were before',
    steps: [
      { together: [b(COUNT), a(`RESET rls.current_tenant; ${READ}`)] },
      { together: [b(COUNT), a(`DO $$ BEGIN ${attempt('RESET rls.seal')} END $$; ${SEAL}`)] },
      { together: [b(COUNT), a('RESET ALL'), a(READ)] },
      { together: [b(COUNT), a('DISCARD ALL'), a(READ)] },
    ],
    plain: 'holds',
  },
  {
    id: 'R10',
    title: 'a held cursor that the shared transaction fills',
    tries:
      "declares a cursor WITH HOLD and does not fetch: PostgreSQL runs it at COMMIT, behind B's statement",
    steps: [
      { together: [a(`DECLARE held CURSOR WITH HOLD FOR ${READ}`), b(COUNT)] },
      a('FETCH ALL FROM held'),
      {
        together: [a(`DO $$ BEGIN EXECUTE 'DECLARE hidden CURSOR WITH HOLD FOR ${READ}'; END $$`), b(COUNT)],
      },
      a('FETCH ALL FROM hidden'),
    ],
    plain: 'holds',
  },
  {
    id: 'R11',
    title: 'a held cursor that its own COMMIT fills',
    tries: "the same, and commits the shared transaction itself behind B's statement",
    steps: [
      {
        together: [a(`DECLARE held CURSOR WITH HOLD FOR ${READ}`), b(COUNT), a('COMMIT')],
      },
      a('FETCH ALL FROM held'),
      {
        together: [
          a(`DECLARE again CURSOR WITH HOLD FOR ${READ}`),
          b(COUNT),
          a('COMMIT; FETCH ALL FROM again'),
        ],
      },
      {
        together: [
          a(`DECLARE chained CURSOR WITH HOLD FOR ${READ}`),
          b(COUNT),
          a('/* */ COMMIT AND CHAIN /* */; FETCH ALL FROM chained'),
        ],
      },
      {
        together: [
          a(`DECLARE ended CURSOR WITH HOLD FOR ${READ}`),
          b('SAVEPOINT here'),
          b(COUNT),
          a('END TRANSACTION'),
        ],
      },
      a('FETCH ALL FROM ended'),
    ],
    plain: 'holds',
  },
  {
    id: 'R12',
    title: "a held cursor over B's seal",
    tries: 'selects the setting itself, which PostgreSQL reads at COMMIT, and replays what it finds',
    steps: [
      { together: [a(`DECLARE held CURSOR WITH HOLD FOR ${SEAL}`), b(COUNT)] },
      a('FETCH ALL FROM held'),
      loot(`PERFORM ${TO_B};`),
    ],
    plain: 'leaks',
  },
  {
    id: 'R13',
    title: 'a transaction left open for the next request',
    tries: 'BEGIN without an end, and a held cursor that waits for B',
    steps: [
      a('BEGIN'),
      a(`DECLARE held CURSOR WITH HOLD FOR ${READ}`),
      b(COUNT),
      a('COMMIT'),
      a('FETCH ALL FROM held'),
      a(`BEGIN; DECLARE two CURSOR WITH HOLD FOR ${READ}`),
      b(COUNT),
      a('COMMIT; FETCH ALL FROM two'),
    ],
    plain: 'holds',
  },
  {
    id: 'R14',
    title: "undoing the next tenant's writes",
    tries: 'leaves a transaction open, lets B write in it, and rolls it back',
    steps: [
      a('BEGIN'),
      { by: 'B', save: 'saved in the open transaction' },
      a('ROLLBACK'),
      a('BEGIN; SAVEPOINT s'),
      { by: 'B', save: 'saved behind the savepoint' },
      a('ROLLBACK TO s'),
      a('ROLLBACK'),
      a('START TRANSACTION READ ONLY'),
      { by: 'B', save: 'saved in the read-only transaction' },
    ],
    plain: 'holds',
  },
  {
    id: 'R15',
    title: 'an aborted transaction left for the next request',
    tries: 'BEGIN and an error: in an aborted transaction nothing is carried',
    steps: [
      a('BEGIN; SELECT 1 / 0'),
      b(READ),
      a(READ),
      a('BEGIN; SAVEPOINT s; SELECT 1 / 0'),
      b(READ),
      a(`ROLLBACK TO s; ${READ}`),
    ],
    plain: 'holds',
  },
  {
    id: 'R16',
    title: 'COMMIT inside a DO block',
    tries: 'ends the transaction that carries A from inside, and sets B for the session',
    steps: [
      a(`DO $$ DECLARE l text; BEGIN PERFORM set_config('rls.current_tenant', '{B}', false); COMMIT;
           SELECT string_agg(body, ',') INTO l FROM note; RAISE EXCEPTION 'loot: %', l; END $$`),
      a(`DO $$ BEGIN PERFORM set_config('rls.current_tenant', '{B}', false); ROLLBACK; END $$`),
      nobody(READ),
    ],
    plain: 'holds',
  },
  {
    id: 'R17',
    title: 'a prepared transaction',
    tries: 'PREPARE TRANSACTION takes the settings along, and somebody commits it later',
    steps: [
      { together: [a(`DECLARE held CURSOR FOR ${READ}`), b(COUNT), a(`PREPARE TRANSACTION 'mine'`)] },
      a(`COMMIT PREPARED 'mine'`),
      a(`ROLLBACK PREPARED 'mine'`),
    ],
    plain: 'holds',
  },
  {
    id: 'R18',
    title: 'SQL inside what looks like transaction control',
    tries:
      "hides a query in what the library might take for a COMMIT, which goes out alone behind B's statement",
    steps: [
      `COMMIT PREPARED E'\\'' ; ${READ} --'`,
      `COMMIT PREPARED $$'$$ ; ${READ} --'`,
      `ROLLBACK PREPARED E'\\'' ; ${READ} --'`,
      `SET TRANSACTION SNAPSHOT E'\\'' ; ${READ} --'`,
      `SAVEPOINT "a'" ; ${READ} --'`,
      `ROLLBACK TO SAVEPOINT U&"a" ; ${READ}`,
      `COMMIT /* /* */ ; ${READ} -- */`,
      `BEGIN -- ' \n ; ${READ} --'`,
      `RELEASE $1; ${READ}`,
    ].flatMap((sql) => [
      { together: [b(COUNT), a('SAVEPOINT s'), b(COUNT), a(sql), a(READ)] },
      a(`SET standard_conforming_strings = off`),
      a(sql),
    ]),
    plain: 'holds',
  },
  {
    id: 'R19',
    title: 'the own seal, left in the session',
    tries: "sets A's tenant and seal for the session, so that what B writes next is A's",
    steps: [
      a(
        `SELECT set_config('rls.current_tenant', current_setting('rls.current_tenant'), false), set_config('rls.seal', current_setting('rls.seal', true), false)`,
      ),
      { by: 'B', save: 'saved after A left its seal' },
      b(COUNT),
      a(READ),
    ],
    plain: 'holds',
  },
  {
    id: 'R20',
    title: 'COPY in the middle of a text',
    tries: 'brings the protocol out of step, so that the answer to B reaches A',
    steps: [
      a('COPY country (name) FROM STDIN'),
      b(READ),
      a(READ),
      a(`SELECT 1; COPY country (name) FROM STDIN; ${READ}`),
      b(READ),
      a(READ),
      a(`BEGIN; COPY country (name) FROM STDOUT; ${READ}`),
      b(READ),
      a(READ),
      a(`COPY note TO STDOUT; COPY (${READ}) TO STDOUT; ; -- ;\n ; SELECT 1; `),
      b(READ),
      a(READ),
      a(''),
      a(';;'),
      a(`${READ};;/* */;`),
      b(READ),
      a(READ),
    ],
    plain: 'holds',
  },
  {
    id: 'R21',
    title: 'ROLLBACK TO SAVEPOINT in an aborted transaction',
    tries: 'fails on purpose, where nothing can be carried, then goes back and reads in one text',
    steps: [
      {
        together: [
          b(COUNT),
          a('SAVEPOINT here'),
          a('SELECT 1 / 0'),
          a(`ROLLBACK TO here; ${SEAL}; ${READ}`),
          a('SELECT 1 / 0'),
          a(`ROLLBACK TO here; COMMIT; ${READ}`),
        ],
      },
      {
        together: [
          a(`DECLARE held CURSOR WITH HOLD FOR ${READ}`),
          b(COUNT),
          a('SAVEPOINT here'),
          a('SELECT 1 / 0'),
          a(`ROLLBACK TO here; COMMIT; FETCH ALL FROM held`),
        ],
      },
      {
        together: [
          a(`DECLARE held CURSOR WITH HOLD FOR ${READ}`),
          b(COUNT),
          a('SAVEPOINT here'),
          a('SELECT 1 / 0'),
          a('ROLLBACK TO here'),
        ],
      },
      a('FETCH ALL FROM held'),
    ],
    plain: 'holds',
  },
  {
    id: 'R22',
    title: "a held cursor that B's application left open",
    tries: 'finds it in pg_cursors, and fetches what PostgreSQL keeps there for B',
    steps: [
      b(`DECLARE theirs CURSOR WITH HOLD FOR ${READ}`),
      a('SELECT name FROM pg_cursors'),
      a('FETCH ALL FROM theirs'),
    ],
    open: 'PostgreSQL keeps the rows for the session, whoever asks. Close cursors `WITH HOLD` in the request that opens them, or use streams.',
    plain: 'leaks',
  },
];
