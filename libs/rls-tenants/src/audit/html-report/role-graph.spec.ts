import type { AuditReport } from '../audit.js';
import type { ReportedRole } from '../reported-roles.js';
import { roleGraph } from './role-graph.js';

const role = (name: string, rest: Partial<ReportedRole> = {}): ReportedRole => ({
  name,
  superuser: false,
  bypassRls: false,
  createRole: false,
  login: true,
  audited: false,
  admin: false,
  ownedTables: 0,
  ...rest,
});
const member = (name: string, of: string, inherit = true) => ({
  member: name,
  role: of,
  inherit,
  set: true,
  admin: false,
});

/** Texts of the boxes, and of the arrows between them. */
function drawn(report: Pick<AuditReport, 'roles' | 'memberships'>) {
  const { markup } = roleGraph(report as AuditReport);
  const texts = (kind: string) =>
    [...markup.matchAll(new RegExp(`<g class="${kind} [^"]*">[\\s\\S]*?</g>`, 'g'))].map(([group]) =>
      [...group.matchAll(/<text[^>]*>(.*?)<\/text>/g)].map(([, text]) => text!.trim()).join(': '),
    );
  return { boxes: texts('node'), arrows: texts('edge'), markup };
}

describe('roleGraph', () => {
  const logins = ['ann', 'ben', 'cem', 'dan', 'eve'];
  const owner = role('owner', { ownedTables: 1, login: false });

  it('draws logins that are members of the same roles in the same way as one box, from four on', () => {
    const { boxes, arrows } = drawn({
      roles: [...logins.map((name) => role(name)), owner],
      memberships: logins.map((name) => member(name, 'owner')),
    });
    expect(boxes).toEqual(['ann: and 4 others like it', 'owner: owns 1 table']);
    expect(arrows).toEqual(['inherits, SET']);
  });

  it('keeps apart whoever may do more, or is more', () => {
    const { boxes, arrows } = drawn({
      roles: [...logins.map((name) => role(name, { bypassRls: name === 'ann' })), owner],
      memberships: logins.map((name) => member(name, 'owner', name !== 'ben')),
    });
    expect(boxes).toHaveLength(6);
    expect(arrows.sort()).toEqual(['SET', ...logins.slice(1).map(() => 'inherits, SET')]);
  });

  it('shortens long names and shows what cannot be seen; the title has the whole name', () => {
    const long = 'a_name_that_is_as_long_as_PostgreSQL_allows_them_to_be_63_chars';
    const { boxes, markup } = drawn({ roles: [role(long), role('a\u202Eb<')], memberships: [] });
    expect(boxes).toEqual(['a_name_that_is_as_long_…: login', 'a⟨U+202E⟩b&lt;: login']);
    expect(markup).toContain(`<title>${long}</title>`);
  });

  it('tells where the audited role gets to, step by step, from the rest', () => {
    const { markup } = drawn({
      roles: [role('app', { audited: true }), role('a'), role('b'), role('c')],
      memberships: [member('app', 'a', false), member('a', 'b'), member('c', 'b')],
    });
    expect([...markup.matchAll(/class="edge \w+ (\w+)"/g)].map(([, heat]) => heat)).toEqual([
      'hot',
      'hot',
      'plain',
    ]);
  });
});
