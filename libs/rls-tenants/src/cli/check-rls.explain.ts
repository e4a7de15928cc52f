import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AUDIT_RULES, PROBE_RULES, TIERS, type Rule } from '../audit/index.js';
import { RlsConfigurationError } from '../errors.js';
import { paint, type CliOutput } from './cli-output.js';

/** The pages of docs/rules, which the build puts beside the compiled rules. */
const PAGES = join(import.meta.dirname, '../audit/pages');

/**
 * What a rule is about: its page, with what leaks, how to reproduce it and how to fix it. Needs no database.
 *
 * @throws RlsConfigurationError if there is no such rule.
 */
export async function explainRule(id: string, colors: Pick<CliOutput, 'colors'>): Promise<string> {
  const tried = PROBE_RULES.find((one) => one.id === id);
  if (tried) {
    const { title, severity, reason } = tried;
    return highlighted(`# ${id} ${title}\n\nSeverity: ${severity}\n\n${reason}\n`, colors);
  }
  const rule = AUDIT_RULES.find((one) => one.id === id);
  const page = /^RLS\d{3}$/.test(id) ? await readPage(id) : undefined;
  if (page !== undefined) return highlighted(rule ? withTier(page, rule) : page, colors);
  throw new RlsConfigurationError(
    `There is no rule ${JSON.stringify(id)}.`,
    `The rules are ${AUDIT_RULES[0]!.id} to ${AUDIT_RULES.at(-1)!.id}: each finding names its own.`,
  );
}

async function readPage(id: string): Promise<string | undefined> {
  try {
    return await readFile(join(PAGES, `${id}.md`), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** After the line of the severity. */
function withTier(page: string, { tier }: Rule): string {
  return page.replace(/^Severity: .*$/m, (line) => `${line}\nTier ${tier}: ${TIERS[tier]}`);
}

function highlighted(page: string, colors: Pick<CliOutput, 'colors'>): string {
  const text = page.replaceAll(/^#+ .*$/gm, (heading) => paint(colors, 'bold', heading));
  return text.endsWith('\n') ? text : `${text}\n`;
}
