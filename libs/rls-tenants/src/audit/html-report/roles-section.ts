import type { AuditReport } from '../audit.js';
import type { CatalogMembership } from '../database-catalog.js';
import type { ReportedRole } from '../reported-roles.js';
import { html, type Html } from './html.js';
import { roleGraph, roleName, roleNotes } from './role-graph.js';

/** The roles around the tables and who may become whom: a graph, and the same in two tables. */
export function rolesSection(report: AuditReport): Html | undefined {
  const { roles, memberships } = report;
  if (roles.length === 0) return undefined;
  return html`<section id="roles" aria-labelledby="roles-h">
    <h2 id="roles-h">Roles, and who may become whom</h2>
    <p class="lead">
      An arrow leads from a member to the role it is a member of. <strong>inherits</strong>: it has the role’s
      privileges and policies without asking. <strong>SET</strong>: it may become the role with SET ROLE.
      <strong>ADMIN</strong>: it may grant the role, to itself too. Thick lines are where the audited role
      gets to. Superusers may become everybody, and no policy applies to them.
    </p>
    <div class="scroll wide" role="region" aria-label="Graph of the roles" tabindex="0">
      ${roleGraph(report)}
    </div>
    <details class="twin" open>
      <summary>The same as tables</summary>
      <div class="scroll" role="region" aria-label="Roles" tabindex="0">
        <table>
          <thead>
            <tr>
              <th scope="col">Role</th>
              <th scope="col">What it is</th>
              <th scope="col">Logs in</th>
            </tr>
          </thead>
          <tbody>
            ${roles.map(roleRow)}
          </tbody>
        </table>
      </div>
      ${memberships.length > 0 ? membershipTable(memberships) : html`<p>None is a member of another.</p>`}
    </details>
  </section>`;
}

function roleRow(role: ReportedRole): Html {
  return html`<tr>
    <th scope="row">${roleName(role.name)}</th>
    <td>${roleNotes(role).join(', ') || 'member'}</td>
    <td>${yesNo(role.login)}</td>
  </tr>`;
}

function membershipTable(memberships: readonly CatalogMembership[]): Html {
  return html`<div class="scroll" role="region" aria-label="Memberships" tabindex="0">
    <table>
      <thead>
        <tr>
          <th scope="col">Member</th>
          <th scope="col">Role</th>
          <th scope="col">Inherits it</th>
          <th scope="col">May SET ROLE</th>
          <th scope="col">May grant it</th>
        </tr>
      </thead>
      <tbody>
        ${memberships.map(
          ({ member, role, inherit, set, admin }) =>
            html`<tr>
              <th scope="row">${roleName(member)}</th>
              <td>${roleName(role)}</td>
              <td>${yesNo(inherit)}</td>
              <td>${yesNo(set)}</td>
              <td>${yesNo(admin)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}
