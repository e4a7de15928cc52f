import { parseArgs } from 'node:util';
import { PARTS } from './parts.js';
import { writeReport } from './report/report.js';
import { describeMachine } from './support/machine.js';
import { runOnMeasuredNode } from './support/node.js';
import type { BenchContext, Part } from './support/part.js';
import { writeResult, type Result } from './support/results.js';

const HELP = `Usage: npm run bench -- [options] [part…]

Measures, keeps the results in bench/results, and writes docs/benchmarks.md from them.
Parts: ${PARTS.map(({ name }) => name).join(', ')}. Without a part: all of them, one after the other.

Options:
  --quick    small sizes, few rounds: shows that everything runs; nothing is kept
  --report   writes docs/benchmarks.md from the results that are kept, without measuring
  --help     this text

Examples:
  npm run bench
  npm run bench -- statements
  npm run bench -- --quick`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      report: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const unknown = positionals.filter((name) => !PARTS.some((part) => part.name === name));
  if (unknown.length > 0) {
    console.error(`There is no part "${unknown[0]}".\n\n${HELP}`);
    return 2;
  }
  if (!values.quick && !values.report) {
    const code = await runOnMeasuredNode(console.error);
    if (code !== undefined) return code;
  }
  const parts = PARTS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  if (!values.report) for (const part of parts) await measure(part, values.quick);
  if (!values.quick) await writeReport(PARTS);
  return 0;
}

async function measure(part: Part<unknown>, quick: boolean): Promise<void> {
  const context: BenchContext = {
    quick,
    log: (message) => console.error(`${part.name}: ${message}`),
  };
  const started = performance.now();
  const measuredAt = new Date().toISOString();
  const data = await part.run(context);
  const minutes = Math.round((performance.now() - started) / 6_000) / 10;
  const result: Result<unknown> = { part: part.name, measuredAt, minutes, machine: describeMachine(), data };
  const { markdown, targets } = part.report(data);
  console.log(`\n# ${part.title}\n\n${markdown}`);
  for (const target of targets) {
    console.log(
      `${target.met ? 'met' : 'NOT MET'}: ${target.what}: ${target.measured} (target ${target.target})`,
    );
  }
  if (!quick) await writeResult(result);
}

process.exitCode = await main();
