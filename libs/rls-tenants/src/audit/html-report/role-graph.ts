import type { AuditReport } from '../audit.js';
import type { CatalogMembership } from '../database-catalog.js';
import type { ReportedRole } from '../reported-roles.js';
import { layOut, type GraphEdge, type GraphNode, type PlacedEdge, type PlacedNode } from './graph-layout.js';
import { html, plural, visible, visibleText, type Html } from './html.js';

/** From so many on, logins that are members of the same roles in the same way are one box. */
const ALIKE = 4;
/** Characters of a name that are drawn; the table has the whole name. */
const NAME = 24;
// Of the monospaced fonts that systems have, the widest is 0.61 em: at 13 and 10.5 px.
const NAME_WIDTH = 8;
const NOTE_WIDTH = 6.5;

interface RoleNode extends GraphNode {
  /** As drawn. */
  readonly name: string;
  readonly fullName: string;
  readonly note: string;
  readonly kind: 'audited' | 'admin' | 'exempt' | 'owner' | 'other';
}

interface MembershipEdge extends GraphEdge {
  readonly label: string;
  readonly kind: 'inherit' | 'set' | 'admin' | 'none';
  /** The audited role gets here. */
  readonly reached: boolean;
}

/** Who may become whom, as a picture; {@link rolesSection}'s tables say the same. */
export function roleGraph({ roles, memberships }: AuditReport): Html {
  const boxOf = boxes(roles, memberships);
  const nodes = [...new Map([...boxOf.values()].map((node) => [node.id, node])).values()];
  const reached = reachedFrom(roles.find(({ audited }) => audited)?.name, memberships);
  const edges = new Map(
    memberships.map((membership): [string, MembershipEdge] => {
      const [from, to] = [boxOf.get(membership.member)!.id, boxOf.get(membership.role)!.id];
      const edge = { from, to, ...meaningOf(membership), reached: reached.has(membership.member) };
      return [`${from}\0${to}`, edge];
    }),
  );
  const graph = layOut(nodes, [...edges.values()]);
  const [width, height] = [Math.ceil(graph.width) + 4, Math.ceil(graph.height) + 4];
  return html`<svg
    class="graph"
    width="${width}"
    height="${height}"
    viewBox="-2 -2 ${width} ${height}"
    role="img"
    aria-label="Graph of ${plural(roles.length, 'role')} and ${plural(memberships.length, 'membership')}. The tables below say the same."
  >
    <defs>
      ${['plain', 'hot'].map(
        (id) =>
          html`<marker
            id="arrow-${id}"
            class="${id}"
            viewBox="0 0 8 8"
            refX="7.5"
            refY="4"
            markerWidth="8"
            markerHeight="8"
            markerUnits="userSpaceOnUse"
            orient="auto"
          >
            <path d="M0 .6L8 4 0 7.4z" />
          </marker>`,
      )}
    </defs>
    ${graph.edges.map(drawEdge)} ${graph.nodes.map(drawNode)}
  </svg>`;
}

/** What a role is, in the words of the graph and the tables. */
export function roleNotes(role: ReportedRole): string[] {
  return [
    ...(role.audited ? ['audited role'] : []),
    ...(role.admin ? ['admin role'] : []),
    ...(role.superuser ? ['superuser'] : []),
    ...(role.bypassRls && !role.superuser ? ['BYPASSRLS'] : []),
    ...(role.ownedTables > 0 ? [`owns ${plural(role.ownedTables, 'table')}`] : []),
    ...(role.createRole && !role.superuser ? ['CREATEROLE'] : []),
  ];
}

function boxes(
  roles: readonly ReportedRole[],
  memberships: readonly CatalogMembership[],
): Map<string, RoleNode> {
  const groups = new Map<string, ReportedRole[]>();
  for (const role of roles) {
    const key = alikeKey(role, memberships);
    groups.set(key, [...(groups.get(key) ?? []), role]);
  }
  const boxOf = new Map<string, RoleNode>();
  for (const group of groups.values()) {
    if (group.length < ALIKE) {
      for (const role of group)
        boxOf.set(
          role.name,
          box(role.name, role.name, roleNotes(role).join(', ') || loginNote(role), kindOf(role)),
        );
      continue;
    }
    const node = box(
      `group ${group[0]!.name}`,
      group[0]!.name,
      `and ${group.length - 1} others like it`,
      'other',
    );
    for (const { name } of group) boxOf.set(name, node);
  }
  return boxOf;
}

/** The same for roles that are nothing but members, of the same roles in the same way. */
function alikeKey(role: ReportedRole, memberships: readonly CatalogMembership[]): string {
  const isMore = roleNotes(role).length > 0 || memberships.some((one) => one.role === role.name);
  if (isMore) return JSON.stringify(role.name);
  const own = memberships.filter(({ member }) => member === role.name);
  return JSON.stringify([
    role.login,
    own.map(({ member: _member, ...rest }) => rest).sort((a, b) => (a.role < b.role ? -1 : 1)),
  ]);
}

function loginNote({ login }: ReportedRole): string {
  return login ? 'login' : 'no login';
}

function kindOf({ audited, admin, superuser, bypassRls, ownedTables }: ReportedRole): RoleNode['kind'] {
  if (audited) return 'audited';
  if (superuser || bypassRls) return 'exempt';
  if (admin) return 'admin';
  return ownedTables > 0 ? 'owner' : 'other';
}

function box(id: string, fullName: string, note: string, kind: RoleNode['kind']): RoleNode {
  const name = shortened(visibleText(fullName));
  const width = Math.max(columnsOf(name) * NAME_WIDTH, note.length * NOTE_WIDTH) + 30;
  return { id, name, fullName, note, kind, width, height: 46 };
}

function shortened(name: string): string {
  const characters = Array.from(name);
  return characters.length > NAME ? `${characters.slice(0, NAME - 1).join('')}…` : name;
}

/** Characters beyond the Latin ones may be as wide as two. */
function columnsOf(text: string): number {
  return Array.from(text).reduce((sum, character) => sum + (character > '\u024F' ? 2 : 1), 0);
}

function meaningOf({
  inherit,
  set,
  admin,
}: CatalogMembership): Pick<MembershipEdge, 'label' | 'kind' | 'labelWidth'> {
  const words = [...(inherit ? ['inherits'] : []), ...(set ? ['SET'] : []), ...(admin ? ['ADMIN'] : [])];
  const kind = inherit ? 'inherit' : set ? 'set' : admin ? 'admin' : 'none';
  const label = words.join(', ') || 'nothing';
  return { label, kind, labelWidth: label.length * NOTE_WIDTH + 14 };
}

/** The roles that a role is, may become or may make itself a member of, step by step. */
function reachedFrom(start: string | undefined, memberships: readonly CatalogMembership[]): Set<string> {
  const reached = new Set(start === undefined ? [] : [start]);
  for (const name of reached)
    for (const { member, role, inherit, set, admin } of memberships)
      if (member === name && (inherit || set || admin)) reached.add(role);
  return reached;
}

function drawEdge({ edge, path, label }: PlacedEdge<MembershipEdge>): Html {
  const heat = edge.reached ? 'hot' : 'plain';
  return html`<g class="edge ${edge.kind} ${heat}">
    <path d="${path}" marker-end="url(#arrow-${heat})" />
    <text x="${label.x - 4}" y="${label.y - 4}" text-anchor="middle">${edge.label}</text>
  </g>`;
}

function drawNode({ node, x, y, height }: PlacedNode<RoleNode>): Html {
  const middle = y + height / 2;
  return html`<g class="node ${node.kind}">
    <title>${node.fullName}</title>
    <rect x="${x}" y="${y}" width="${node.width}" height="${height}" rx="5" />
    <path d="M${x + 2.5} ${y + 4}v${height - 8}" />
    <text class="name" x="${x + 16}" y="${middle - 3}">${node.name}</text>
    <text class="note" x="${x + 16}" y="${middle + 13}">${node.note}</text>
  </g>`;
}

/** Markup of a role's name outside the graph. */
export function roleName(name: string): Html {
  return html`<code>${visible(name)}</code>`;
}
