import { a, attempt, become, loot, lootAfter, nobody, READ, type Attack } from './attack.js';

const own = `current_setting('rls.seal', true)`;
/** A's own seal with one of its fields changed. */
const changed = (field: number, value: string) =>
  `(SELECT string_agg(CASE WHEN n = ${field} THEN ${value} ELSE f END, '.' ORDER BY n) ` +
  `FROM unnest(string_to_array(${own}, '.')) WITH ORDINALITY AS u(f, n))`;
const forged = (seal: string) => [loot(become(seal))];
const NO_KEY = `repeat('0', 64)`;

export const forging: readonly Attack[] = [
  {
    id: 'F01',
    title: 'the setting alone',
    tries: 'sets the tenant to B for the transaction and reads',
    steps: [loot(`PERFORM set_config('rls.current_tenant', '{B}', true);`)],
    plain: 'leaks',
  },
  {
    id: 'F02',
    title: 'the setting for the session',
    tries: 'leaves B behind as the tenant of whoever has none',
    steps: [a(`SELECT set_config('rls.current_tenant', '{B}', false)`), nobody(READ)],
    plain: 'leaks',
  },
  {
    id: 'F03',
    title: 'SET in a text of several statements',
    tries: 'sets the tenant in one statement and reads in the next',
    steps: [a(`SET rls.current_tenant = '{B}'; ${READ}`)],
    plain: 'leaks',
  },
  {
    id: 'F04',
    title: 'SET LOCAL behind a BEGIN',
    tries: 'opens a transaction of its own and sets tenant and seal in it',
    steps: [
      a(`BEGIN; SET LOCAL rls.current_tenant = '{B}'; SET LOCAL rls.seal = '1.first.9.0.0'; ${READ}; COMMIT`),
    ],
    plain: 'leaks',
  },
  {
    id: 'F05',
    title: 'the setting in another spelling',
    tries: 'sets RLS.Current_Tenant: names of settings know no case',
    steps: [a(`SET "RLS.Current_Tenant" = '{B}'; ${READ}`), loot(attempt(`SET RLS.CURRENT_TENANT = '{B}'`))],
    plain: 'leaks',
  },
  {
    id: 'F06',
    title: 'an empty seal',
    tries: 'B as the tenant, and nothing as the seal',
    steps: forged(`''`),
    plain: 'leaks',
  },
  {
    id: 'F07',
    title: 'garbage for a seal',
    tries: 'dots, spaces, arrays, a number',
    steps: [`'....'`, `' '`, `'{1,first}'`, `'0'`, `repeat('1.', 1000)`].flatMap(forged),
    plain: 'leaks',
  },
  {
    id: 'F08',
    title: 'the own seal for another tenant',
    tries: "keeps A's genuine seal and changes the tenant",
    steps: forged(own),
    plain: 'leaks',
  },
  {
    id: 'F09',
    title: 'the own seal with a later expiry',
    tries: 'changes the third field',
    steps: forged(changed(3, `'99999999999'`)),
    plain: 'leaks',
  },
  {
    id: 'F10',
    title: 'the own seal for another backend',
    tries: 'changes the fourth field to any backend, and to its own',
    steps: [...forged(changed(4, `'0'`)), ...forged(changed(4, 'pg_backend_pid()::text'))],
    plain: 'leaks',
  },
  {
    id: 'F11',
    title: 'the own seal with another key id',
    tries: 'names a key that does not exist, and none',
    steps: [...forged(changed(2, `'second'`)), ...forged(changed(2, `''`)), ...forged(changed(2, `'_'`))],
    plain: 'leaks',
  },
  {
    id: 'F12',
    title: 'SQL in the key id',
    tries: 'hopes that the verifier builds its query from text',
    steps: [`''' OR true --'`, `'%'`, `'first'' UNION SELECT'`].flatMap((id) => forged(changed(2, id))),
    plain: 'leaks',
  },
  {
    id: 'F13',
    title: 'a version that does not exist',
    tries: 'an older and a newer version, which might be checked less',
    steps: [`'0'`, `'2'`, `''`, `'1 '`, `'01'`].flatMap((version) => forged(changed(1, version))),
    plain: 'leaks',
  },
  {
    id: 'F14',
    title: 'a truncated MAC',
    tries: 'half of a genuine MAC, hoping that only what is there is compared',
    steps: [...forged(`left('{genuine}', -32)`), ...forged(`left('{genuine}', -1)`)],
    plain: 'leaks',
  },
  {
    id: 'F15',
    title: 'a MAC in another spelling',
    tries: 'a genuine MAC in capitals, with \\x in front, with a space behind',
    steps: [
      `left('{genuine}', -64) || upper(right('{genuine}', 64))`,
      `left('{genuine}', -64) || '\\x' || right('{genuine}', 64)`,
      `'{genuine}' || ' '`,
      `'{genuine}' || chr(10)`,
      `' ' || '{genuine}'`,
    ].flatMap(forged),
    plain: 'leaks',
  },
  {
    id: 'F16',
    title: 'too many fields',
    tries: 'fields between the last one and the MAC',
    steps: [
      `'{genuine}' || '.' || right('{genuine}', 64)`,
      `left('{genuine}', -65) || '.0.' || right('{genuine}', 64)`,
      `left('{genuine}', -65) || chr(10) || '36' || '.' || right('{genuine}', 64)`,
    ].flatMap(forged),
    plain: 'leaks',
  },
  {
    id: 'F17',
    title: 'fields that PostgreSQL reads as the same number',
    tries: 'leading zeros, signs, spaces, hexadecimal and other digits for expiry and backend',
    steps: [
      ...[`'+99999999999'`, `'0x7fffffffff'`, `'99_999_999_999'`, `' 99999999999'`].flatMap((v) =>
        forged(changed(3, v)),
      ),
      ...[`'00'`, `'-0'`, `' 0'`, `U&'\\0660'`].flatMap((v) => forged(changed(4, v))),
    ],
    plain: 'leaks',
  },
  {
    id: 'F18',
    title: 'numbers that overflow',
    tries: 'an expiry whose sum with the clock skew is no bigint, and infinity',
    steps: [`'9223372036854775807'`, `'infinity'`, `'NaN'`, `'-1'`].flatMap((v) => forged(changed(3, v))),
    plain: 'leaks',
  },
  {
    id: 'F19',
    title: 'bytes moved from the tenant to what a set reads',
    tries: "cuts A's id in two, so that tenant and list read the same in a row, and B behind them",
    steps: [
      loot(
        `PERFORM set_config('rls.current_tenant', left('{A}', 35), true),
           set_config('rls.readable_tenants', right('{A}', 1) || ',{B}', true);`,
        'SELECT body FROM memo',
      ),
      loot(
        `PERFORM set_config('rls.current_tenant', '{B}', true), set_config('rls.readable_tenants', ',{B}', true);`,
        'SELECT body FROM memo',
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'F20',
    title: 'a longer list for a set context',
    tries: "keeps A's tenant and seal, and adds B to what a set context reads",
    steps: [
      loot(`PERFORM set_config('rls.readable_tenants', ',{B}', true);`, 'SELECT body FROM memo'),
      a(`SET rls.readable_tenants = ',{B}'; SELECT body FROM memo`),
      a('SELECT body FROM memo'),
    ],
    plain: 'leaks',
  },
  {
    id: 'F21',
    title: 'a line break in the tenant',
    tries: "writes what is signed into the tenant itself: B's id behind A's, in lines",
    steps: [
      loot(`PERFORM set_config('rls.current_tenant', '{A}' || chr(10) || '{B}', true);`),
      loot(`PERFORM set_config('rls.current_tenant', '{B}' || chr(10) || '36' || chr(10) || '{A}', true);`),
    ],
    plain: 'holds',
  },
  {
    id: 'F22',
    title: 'the tenant in another spelling',
    tries: "B's uuid in braces, in capitals, without hyphens, with spaces",
    steps: [`'{' || '{B}' || '}'`, `upper('{B}')`, `replace('{B}', '-', '')`, `' {B} '`].map((tenant) =>
      loot(`PERFORM set_config('rls.current_tenant', ${tenant}, true);`),
    ),
    plain: 'leaks',
  },
  {
    id: 'F23',
    title: 'a key of the attacker',
    tries: 'inserts a key whose pads it knows, and replaces the real one',
    steps: [
      lootAfter(
        `INSERT INTO rls.seal_key (id, inner_pad, outer_pad) VALUES ('evil', decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'))
           ON CONFLICT (id) DO UPDATE SET inner_pad = EXCLUDED.inner_pad`,
        `SELECT ${become('NULL').slice(8, -1)}, body FROM note`,
      ),
      loot(
        `${attempt(`UPDATE rls.seal_key SET expires_at = NULL, outer_pad = inner_pad`)} ${become(changed(2, `'evil'`))}`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'F24',
    title: 'HMAC without a key',
    tries: 'computes the MAC with an empty key, and with one of zeros, for the key id of nobody',
    steps: [
      ...[`''`, `'first'`].flatMap((id) =>
        forged(
          `'1.' || ${id} || '.99999999999.0.' || encode(sha256(decode(repeat('5c', 64), 'hex') || sha256(decode(repeat('36', 64), 'hex') ||
            convert_to('rls.current_tenant' || chr(10) || '1.' || ${id} || '.99999999999.0' || chr(10) || '36' || chr(10) || '{B}', 'UTF8'))), 'hex')`,
        ),
      ),
      ...forged(`'1.first.99999999999.0.' || ${NO_KEY}`),
    ],
    plain: 'leaks',
  },
  {
    id: 'F25',
    title: 'SHA-256 that goes on where another ended',
    tries: "takes the MAC of A's seal for the state of a hash, and B for what follows (length extension)",
    steps: [
      loot(
        `PERFORM set_config('rls.current_tenant', '{A}' || chr(128) || repeat(chr(1), 20) || '{B}', true),
           set_config('rls.seal', left(${own}, -64) || encode(sha256(decode(right(${own}, 64), 'hex') || convert_to('{B}', 'UTF8')), 'hex'), true);`,
      ),
      ...forged(
        `left(${own}, -64) || encode(sha256(decode(right(${own}, 64), 'hex') || convert_to('{B}', 'UTF8')), 'hex')`,
      ),
    ],
    plain: 'leaks',
  },
  {
    id: 'F26',
    title: 'in a condition of the application',
    tries: 'breaks out of a quoted value and sets the tenant in the WHERE clause',
    steps: [
      {
        by: 'A',
        search: `' OR (SELECT set_config('rls.current_tenant', '{B}', true)) = '{B}' --`,
      },
      {
        by: 'A',
        search: `' UNION ALL SELECT query_to_xml('${READ}', true, true, '')::text FROM (SELECT set_config('rls.current_tenant', '{B}', true) OFFSET 0) AS s --`,
      },
    ],
    plain: 'leaks',
  },
  {
    id: 'F27',
    title: 'in a condition of a query builder',
    tries: 'the same in the `where` of a TypeORM query builder, past auto-scoping',
    steps: [
      {
        by: 'A',
        filter: `1 = 1) OR set_config('rls.current_tenant', '{B}', true) IS NULL OR (1 = 1`,
      },
      {
        by: 'A',
        filter: `1 = 0) UNION ALL SELECT NULL::int, NULL::uuid, query_to_xml('${READ}', true, true, '')::text, NULL, NULL FROM (SELECT set_config('rls.current_tenant', '{B}', true) OFFSET 0) AS s, note WHERE (1 = 1`,
      },
    ],
    plain: 'leaks',
  },
  {
    id: 'F28',
    title: 'stacked behind a statement of the application',
    tries: 'ends the quoted value and the statement, and adds its own',
    steps: [{ by: 'A', search: `'; SET rls.current_tenant = '{B}'; ${READ}; --` }],
    plain: 'leaks',
  },
  {
    id: 'F29',
    title: 'writing as B',
    tries: 'sets the tenant, then inserts a row, changes and deletes those of B',
    steps: [
      loot(
        `${become(own)} INSERT INTO note (tenant_id, body) VALUES ('{B}', 'planted'); UPDATE note SET body = 'defaced';`,
      ),
      a(
        `SELECT set_config('rls.current_tenant', '{B}', true); INSERT INTO note (tenant_id, body) VALUES ('{B}', 'planted')`,
      ),
      a(`SELECT set_config('rls.current_tenant', '{B}', true); UPDATE note SET body = 'defaced'`),
      a(`SELECT set_config('rls.current_tenant', '{B}', true); DELETE FROM note`),
    ],
    plain: 'leaks',
  },
];
