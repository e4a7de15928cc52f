// `node test/matrix/run.mjs [--list] [--quick] [name…]`: runs cells one after the other and prints a table of them.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { CELLS, DIFFERENT, PACKAGE_SETS, SUITES } from './cells.mjs';
import {
  emptyDirectory,
  installPackages,
  installPostgres,
  nodeBinary,
  npm,
  packLibrary,
  ROOT,
  versionOf,
} from './install.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: 'boolean' }, quick: { type: 'boolean' }, help: { type: 'boolean' } },
});
if (values.help) {
  console.log(
    `Usage: node test/matrix/run.mjs [--list] [--quick] [name…]
  Runs the cells of test/matrix/cells.mjs: with --quick the small selection, with names those of that name, or whose
  names hold it; else all but the small selection's own. Needs \`npm run build:lib\`. The exit code is 1 if a cell failed.`,
  );
  process.exit(0);
}

const names = new Set(CELLS.map(({ name }) => name));
const chosen = CELLS.filter(({ name, quick }) =>
  positionals.length > 0
    ? positionals.some((part) => (names.has(part) ? name === part : name.includes(part)))
    : values.quick
      ? quick
      : !name.startsWith('quick-'),
);
if (chosen.length === 0) {
  console.error(`No cell is named ${positionals.join(' or ')}. --list names them.`);
  process.exit(2);
}
if (values.list) {
  for (const cell of chosen) console.log(`${cell.name.padEnd(22)} ${describe(cell)}`);
  process.exit(0);
}

const rows = [];
for (const cell of chosen) {
  console.log(`\n=== ${cell.name}: ${describe(cell)}`);
  const started = Date.now();
  let result;
  try {
    result = cell.consumer ? await runConsumer(cell) : runSuites(cell);
  } catch (error) {
    console.error(error.stderr?.toString() || error.stdout?.toString() || error);
    result = { passed: 0, failed: 1, skipped: 0, versions: 'could not be set up' };
  }
  rows.push({
    cell: cell.name,
    result: result.failed === 0 && result.passed > 0 ? 'passed' : 'FAILED',
    ...result,
    seconds: Math.round((Date.now() - started) / 1000),
  });
}

console.log();
printTable(rows);
process.exit(rows.every(({ result }) => result === 'passed') ? 0 : 1);

/** The cell's suites under Jest. */
function runSuites({ name, node, postgres, packages, suites, different = [] }) {
  installPostgres(postgres);
  const program = nodeBinary(node);
  const set = PACKAGE_SETS[packages];
  const directory = Object.keys(set).length > 0 ? installPackages(packages, set) : undefined;
  const output = join(ROOT, `.data/matrix/${name}.json`);
  mkdirSync(dirname(output), { recursive: true });
  rmSync(output, { force: true });
  const files = suites.flatMap((suite) => SUITES[suite]);
  const without = different.flatMap((set) => DIFFERENT[set]);
  const { status } = spawnSync(
    program,
    [
      join(ROOT, 'node_modules/jest/bin/jest.js'),
      '--config',
      'test/matrix/jest.config.js',
      '--json',
      `--outputFile=${output}`,
      '--silent',
      ...(without.length > 0 ? ['--testNamePattern', `^(?!.*(?:${without.join('|')}))`] : []),
      ...files,
    ],
    {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...environment(program, postgres),
        ...(directory && { MATRIX_PACKAGES: directory }),
        SCHEDULE_OPERATIONS: process.env.SCHEDULE_OPERATIONS ?? '2000',
      },
    },
  );
  const versions = versionsOf(program, directory ?? ROOT, postgres);
  if (!existsSync(output)) return { passed: 0, failed: 1, skipped: 0, versions };
  const report = JSON.parse(readFileSync(output, 'utf8'));
  return {
    passed: report.numPassedTests,
    // A suite that does not load has no tests to fail.
    failed:
      report.numFailedTests + report.numRuntimeErrorTestSuites + (status !== 0 && report.success ? 1 : 0),
    skipped: report.numPendingTests,
    versions,
  };
}

/** An application that installs the packed library, is type-checked and compiled, and serves two tenants. */
async function runConsumer({ name, consumer, node, postgres, install }) {
  installPostgres(postgres);
  const program = nodeBinary(node);
  const directory = emptyDirectory(name);
  cpSync(join(ROOT, 'test/matrix/consumer'), directory, { recursive: true });
  writeFileSync(
    join(directory, 'package.json'),
    JSON.stringify({
      name,
      private: true,
      type: consumer,
      dependencies: { ...install, 'nestjs-rls-tenants': `file:${packLibrary()}` },
    }),
  );
  npm(directory, 'install', '--no-package-lock');
  const env = environment(program, postgres);
  if (env.POSTGRES) process.env.POSTGRES = env.POSTGRES;
  else delete process.env.POSTGRES;
  const { default: start } = await import('../support/global-setup.mjs');
  const { default: stop } = await import('../support/global-teardown.mjs');
  const given = process.env.TEST_DATABASE_URL;
  await start();
  let passed = 0;
  let failed = 0;
  try {
    const steps = [
      [join(directory, 'node_modules/typescript/bin/tsc'), '-p', directory],
      [join(directory, 'dist/application.js')],
      [join(directory, 'dist/entries.js')],
    ];
    for (const step of steps) {
      const { status } = spawnSync(program, step, {
        cwd: directory,
        stdio: 'inherit',
        env: { ...env, TEST_DATABASE_URL: process.env.TEST_DATABASE_URL },
      });
      if (status === 0) passed++;
      else failed++;
    }
  } finally {
    await stop();
    if (given === undefined) delete process.env.TEST_DATABASE_URL;
  }
  return { passed, failed, skipped: 0, versions: versionsOf(program, directory, postgres) };
}

function environment(program, postgres) {
  const { POSTGRES: _postgres, ...env } = process.env;
  return {
    ...env,
    PATH: `${dirname(program)}${delimiter}${env.PATH}`,
    ...(postgres !== 18 && { POSTGRES: String(postgres) }),
  };
}

function describe(cell) {
  const what = cell.consumer ? `${cell.consumer} consumer` : `${cell.packages}: ${cell.suites.join(', ')}`;
  return `Node ${cell.node}, PostgreSQL ${cell.postgres}, ${what}`;
}

/** What ran, as it was found, not as it was asked for. */
function versionsOf(program, directory, postgres) {
  const node = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout.trim().slice(1);
  const names = { '@nestjs/core': 'nest', typeorm: 'typeorm', 'nestjs-cls': 'cls', pg: 'pg' };
  const found = Object.entries(names).map(([name, label]) => `${label} ${versionOf(name, directory)}`);
  return [`node ${node}`, `postgres ${postgres}`, ...found].join(', ');
}

function printTable(lines) {
  const columns = ['cell', 'result', 'passed', 'failed', 'skipped', 'seconds', 'versions'];
  const width = (column) => Math.max(column.length, ...lines.map((line) => String(line[column]).length));
  const print = (cells) => console.log(cells.join('  ').trimEnd());
  print(columns.map((column) => column.padEnd(width(column))));
  for (const line of lines) print(columns.map((column) => String(line[column]).padEnd(width(column))));
}
