import { loadModule, parseSync, scanSync } from 'libpg-query';
import { splitStatements } from './split-statements.js';

const textsOf = (text: string) => splitStatements(text).map((part) => part.text.trim());

describe('splitStatements', () => {
  it.each<[string, string[]]>([
    ['SELECT 1', ['SELECT 1']],
    ['SELECT 1;', ['SELECT 1']],
    ['SELECT 1; SELECT 2', ['SELECT 1', 'SELECT 2']],
    ['SELECT 1;SELECT 2;', ['SELECT 1', 'SELECT 2']],
    ['(SELECT 1); (SELECT 2)', ['(SELECT 1)', '(SELECT 2)']],
  ])('splits %j at semicolons', (text, parts) => {
    expect(textsOf(text)).toEqual(parts);
  });

  it.each<[string, string]>([
    ['a literal', `SELECT ';'`],
    ['a literal with a quote in it', `SELECT 'it''s; mine'`],
    ['a literal with a backslash at its end', `SELECT '\\', ';'`],
    ['a literal with a comment in it', `SELECT '--', '/*', ';'`],
    ['an escape string', `SELECT E'\\';'`],
    ['an escape string in lower case', `SELECT e'it''s \\\\\\'; mine'`],
    ['an escape string that goes on in the next line', `SELECT E'a'\n'\\'; b'`],
    ['an escape string that goes on behind a comment', `SELECT E'a' -- ' \\'\n  -- '\n'\\'; b'`],
    ['a literal behind an escape string', `SELECT E'a' || '\\', ';'`],
    ['a literal behind a word that ends in e', `SELECT name'a;\\'`],
    ['a literal with Unicode escapes', `SELECT U&'\\003b;' UESCAPE '!'`],
    ['a bit string and a national one', `SELECT B'1;', X'f;', N';'`],
    ['an identifier', `SELECT 1 AS ";"`],
    ['an identifier with quotes in it', `SELECT 1 AS "a"";""b"`],
    ['an identifier with Unicode escapes', `SELECT 1 AS U&";\\003b"`],
    ['an identifier with a literal in it', `SELECT 1 AS "';"`],
    ['dollar quotes', 'SELECT $$;$$'],
    ['dollar quotes with a tag', 'SELECT $a$;$$;$b$;$ a$;$a$'],
    ['dollar quotes with a tag of other letters', 'SELECT $é1$;$é1$'],
    ['dollar quotes that end behind a similar tag', 'SELECT $b$;$a$b$'],
    ['dollar quotes behind a parameter', 'SELECT $1$a$;$a$'],
    ['a block that runs', `DO $$ BEGIN PERFORM 1; PERFORM ';'; END $$`],
    ['a comment to the end of the line', 'SELECT 1 -- ; it\'s "here" $$ /* \n + 1'],
    ['a comment that ends in a quote', `SELECT 1 -- e'\n || ';'`],
    ['a comment behind an operator', 'SELECT 1 +-- ;\n 1'],
    ['a block comment', `SELECT 1 /* ; ' " $$ -- */ + 1`],
    ['a nested block comment', 'SELECT 1 /* ; /* ; */ ; */ + 1'],
    ['a block comment behind an operator', 'SELECT 2 */* ; */ 1'],
    ['a comment in front', '-- ;\n/* ; */ SELECT 1'],
    [
      'the parentheses of a rule',
      'CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a DEFAULT VALUES; NOTIFY b)',
    ],
    ['the body of a function', 'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END'],
    [
      'the body of a procedure with CASE in it',
      'CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT (CASE 1 WHEN 1 THEN 2 END); END',
    ],
  ])('leaves a semicolon alone in %s', (_where, statement) => {
    expect(textsOf(statement)).toEqual([statement]);
    expect(textsOf(`SELECT 1; ${statement}; SELECT 2`)).toEqual(['SELECT 1', statement, 'SELECT 2']);
  });

  it.each(["'", '"', "E'", "E'\\'", '$$', '$a$ $b$', '/*', '/* /* */', '('])(
    'takes what is behind an unclosed %s for a part of it',
    (opening) => {
      const rest = `SELECT ${opening} ; SELECT 2; SELECT 3`;
      expect(textsOf(`SELECT 1; ${rest}`)).toEqual(['SELECT 1', rest]);
    },
  );

  it.each<[string, string[]]>([
    ['SELECT 1 AS begin; SELECT 2 AS "end"', ['SELECT 1 AS begin', 'SELECT 2 AS "end"']],
    ['BEGIN; SELECT CASE WHEN true THEN 1 END; END', ['BEGIN', 'SELECT CASE WHEN true THEN 1 END', 'END']],
    ['CREATE TABLE t (begin int, a int); SELECT 1', ['CREATE TABLE t (begin int, a int)', 'SELECT 1']],
    [
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2'; SELECT 3",
      ["CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2'", 'SELECT 3'],
    ],
  ])('is not led astray by words of a routine body elsewhere: %j', (text, parts) => {
    expect(textsOf(text)).toEqual(parts);
  });

  it.each([';', ' ;; ; ', '-- nothing\n;', '/* ; */; -- ;', '/* /* */ ; */;'])(
    'has no statement for %j',
    (text) => {
      expect(splitStatements(text)).toEqual([]);
      expect(textsOf(`${text}\n; SELECT 1`)).toEqual([expect.stringMatching(/SELECT 1$/)]);
    },
  );

  it('keeps a statement that PostgreSQL will refuse', () => {
    expect(textsOf('SELECT 1; nonsense; 1; \u00a0')).toEqual(['SELECT 1', 'nonsense', '1', '']);
    expect(splitStatements('SELECT 1; \u00a0')).toHaveLength(2); // no white space to PostgreSQL
  });

  it("says where each statement begins, in PostgreSQL's characters", () => {
    const text = "SELECT '🏢é'; SELECT 2;; SELECT 3";
    expect(splitStatements(text).map(({ position }) => position)).toEqual([0, 12, 23]);
    for (const { text: part, position } of splitStatements(text))
      expect(Array.from(text).slice(position).join('').startsWith(part)).toBe(true);
  });

  it('takes time in proportion to the length', () => {
    const started = performance.now();
    expect(splitStatements('SELECT 1;'.repeat(100_000))).toHaveLength(100_000);
    expect(
      splitStatements(`SELECT '${"''".repeat(10_000_000)}'; SELECT E'${'a'.repeat(20_000_000)}'`),
    ).toHaveLength(2);
    expect(splitStatements(`SELECT E'${"'\n--\n'".repeat(100_000)}'; SELECT 1`)).toHaveLength(2);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

// PostgreSQL's own grammar tells where each statement is; its lexer tells what of it is no comment.
describe("splitStatements against PostgreSQL's parser", () => {
  const seed = Number(process.env.SPLIT_SEED ?? Math.floor(Math.random() * 1e6));
  beforeAll(() => loadModule());

  const tokensOf = (text: string) =>
    scanSync(text)
      .tokens.filter(({ tokenName }) => !tokenName.endsWith('COMMENT'))
      .map((token) => token.text);

  /** The statements as PostgreSQL finds them, as tokens; undefined for what it does not parse. */
  function parsed(text: string): string[][] | undefined {
    const bytes = Buffer.from(text);
    try {
      return (parseSync(text).stmts ?? []).map(({ stmt_location: from = 0, stmt_len: length }) =>
        tokensOf(bytes.subarray(from, length ? from + length : undefined).toString()),
      );
    } catch {
      return undefined;
    }
  }

  it(`finds the same statements in texts at random, seed ${seed}`, () => {
    const random = mulberry32(seed);
    const found = { texts: 0, parsed: 0, several: 0 };
    while (found.parsed < 3_000 && found.texts < 100_000) {
      const text = textAtRandom(random);
      found.texts += 1;
      const expected = parsed(text);
      if (expected === undefined) continue;
      found.parsed += 1;
      if (expected.length > 1) found.several += 1;
      const parts = splitStatements(text).filter((part) => tokensOf(part.text).length > 0);
      expect({ text, parts: parts.map((part) => tokensOf(part.text)) }).toEqual({ text, parts: expected });
    }
    expect(found.several).toBeGreaterThan(1_000);
  }, 60_000);

  it(`makes two statements of one in no text at random that PostgreSQL refuses, seed ${seed}`, () => {
    const random = mulberry32(seed + 1);
    let refused = 0;
    for (let n = 0; n < 20_000; n += 1) {
      const text = `SELECT ${pick(random, QUOTED)}${pick(random, QUOTED)}; ${pick(random, QUOTED)}${pick(random, STATEMENTS)}`;
      const parts = splitStatements(text);
      if (parsed(text) !== undefined) continue;
      refused += 1;
      // The batch stops at the first part that does not parse: some part of it must not.
      expect({ text, runs: parts.every((part) => parsed(part.text) !== undefined) }).toEqual({
        text,
        runs: false,
      });
    }
    expect(refused).toBeGreaterThan(1_000);
  }, 60_000);
});

type Random = () => number;

function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)]!;
}

/** What text is made of inside quotes and comments. */
const INSIDE = [
  ';',
  "''",
  '""',
  '$$',
  '$a$',
  '--',
  '/*',
  '*/',
  '\\',
  "\\'",
  ' ',
  '\n',
  'é',
  '🏢',
  '(',
  ')',
  'x',
];
const QUOTED = [
  "'",
  "E'",
  "e'",
  '"',
  '$$',
  '$a$',
  "U&'",
  'U&"',
  '--',
  '/*',
  '*/',
  '\n',
  "'\n'",
  ' ',
  "\\'",
  "''",
  'x',
  '',
];
const STATEMENTS = ['SELECT 1', 'COMMIT', 'SELECT 1; SELECT 2', 'TABLE note', ''];

function inside(random: Random, ...without: string[]): string {
  const pieces = Array.from({ length: Math.floor(random() * 5) }, () => pick(random, INSIDE));
  return pieces.filter((piece) => !without.some((part) => piece.includes(part))).join('');
}

/** Something that PostgreSQL takes for a value, most of the time. */
function valueAtRandom(random: Random): string {
  const values: (() => string)[] = [
    () => `'${inside(random, '"')}'`,
    () => `E'${inside(random, '"')}'`,
    () => `E'a'${pick(random, ['\n', ' -- x\n', "\n\n -- ' \n"])}'${inside(random, '"')}'`,
    () => `U&'${inside(random, '\\')}'`,
    () => `"${inside(random, "''")}x"`,
    () => `$$${inside(random, '$$')}$$`,
    () => `$b$${inside(random)}$b$`,
    () => `/* ${inside(random)} */ 1`,
    () => `-- ${inside(random)}\n 1`,
    () => '1 +-- ;\n 1',
    () => `'begin; case ; end'`,
    () => '/* begin */ 1 -- case begin\n',
    () => '(CASE WHEN true THEN 1 END)',
    () => 'CASE 1 WHEN 1 THEN 2 END',
    () => '$1',
  ];
  return pick(random, values)();
}

function statementAtRandom(random: Random): string {
  const value = () => valueAtRandom(random);
  const statements: (() => string)[] = [
    () => `SELECT ${value()}, ${value()}`,
    () => `(SELECT ${value()})`,
    () => `INSERT INTO note VALUES (${value()}, ${value()})`,
    () => `CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT ${value()}; SELECT ${value()}; END`,
    () => `CREATE OR REPLACE PROCEDURE p(a int DEFAULT 1) BEGIN ATOMIC SELECT ${value()}; END`,
    () => `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $f$ ${inside(random)} $f$`,
    () => `CREATE RULE r AS ON UPDATE TO note DO ALSO (NOTIFY a; SELECT ${value()})`,
    () => 'DO $$ BEGIN PERFORM 1; END $$',
    () => 'BEGIN',
    () => 'END',
    () => `/* ${inside(random)} */`,
    () => `-- ${inside(random)}\n`,
    () => '',
  ];
  return pick(random, statements)();
}

function textAtRandom(random: Random): string {
  return Array.from({ length: 1 + Math.floor(random() * 4) }, () => statementAtRandom(random)).join(
    pick(random, [';', '; ', ' ;\n', ';;']),
  );
}

function mulberry32(start: number): Random {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
