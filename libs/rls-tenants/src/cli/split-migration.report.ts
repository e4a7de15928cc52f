import type { PlannedFile, RenderedFile, SplitFile, Step } from '../generate/index.js';
import type { CliOutput } from './cli-output.js';
import { notesText } from './generate-migration.report.js';

/** The plan: the files, what is in each, and what is not as it was. */
export function splitPlanText(
  { planned, files, notes }: SplitFile,
  colors: Pick<CliOutput, 'colors'>,
): string {
  const plan = files.map((file, index) => fileText(file, planned[index]!));
  return [...plan, ...(notes.length > 0 ? ['\n', notesText(notes, colors)] : [])].join('');
}

function fileText({ name }: RenderedFile, { transaction, steps }: PlannedFile): string {
  const head = `${name}  ${transaction ? 'in a transaction' : 'without a transaction'}\n`;
  return `${head}${steps.map((step) => `    ${stepText(step)}\n`).join('')}`;
}

function stepText(step: Step): string {
  const text = (step.kind === 'sql' ? step.up : step.code).replaceAll(/\s+/g, ' ').trim();
  return text.length > 110 ? `${text.slice(0, 107)}...` : text;
}
