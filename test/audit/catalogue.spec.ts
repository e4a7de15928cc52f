import { readFileSync } from 'node:fs';
import { AUDIT_RULES, TIERS } from '../../libs/rls-tenants/src/audit/index.js';

const OVERVIEW = 'docs/rules/README.md';

/** The sections of the overview, as the rules have them: a heading for each tier, a line for each rule. */
function catalogue(): string {
  return TIERS.map((title, tier) => {
    const lines = AUDIT_RULES.filter((rule) => rule.tier === tier).map(
      ({ id, title: name, severity, reason }) => `- [${id} ${name}](${id}.md), ${severity}. ${reason}\n`,
    );
    return `### Tier ${tier}: ${title}\n\n${lines.join('')}`;
  }).join('\n');
}

describe('the overview of the rules', () => {
  it('lists every rule by tier, with its severity and reason', () => {
    const text = readFileSync(OVERVIEW, 'utf8');
    const listed = text.slice(text.indexOf('### Tier 0'), text.indexOf('### The driver'));
    expect(listed.trimEnd()).toBe(catalogue().trimEnd());
  });

  it('says which rules are off unless asked for', () => {
    const off = AUDIT_RULES.filter((rule) =>
      rule
        .skips({ server: { versionNumber: 180000 }, seals: [] } as never, {
          tables: [],
          adminRoles: [],
          requested: new Set(),
          database: undefined,
        })
        ?.includes('off unless asked for'),
    ).map(({ id }) => `[${id}](${id}.md)`);
    expect(readFileSync(OVERVIEW, 'utf8')).toContain(
      `${off.slice(0, -1).join(', ')} and ${off.at(-1)} are off unless asked for`,
    );
  });
});
