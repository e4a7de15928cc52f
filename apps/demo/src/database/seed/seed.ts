import { isolateDataSource, sealKeysFromEnvironment, tenantContext } from 'nestjs-rls-tenants';
import { DataSource, type EntityManager } from 'typeorm';
import { hashPassword } from '../../auth/password.js';
import { Project } from '../../projects/project.entity.js';
import { Tag } from '../../tags/tag.entity.js';
import { Task } from '../../tasks/task.entity.js';
import { AppUser } from '../../users/app-user.entity.js';
import { Workspace } from '../../workspaces/workspace.entity.js';
import { dataSourceOptions } from '../data-source-options.js';
import { DEMO_PASSWORD, DEMO_WORKSPACES } from './demo-workspaces.js';
import { neighbours } from './neighbours.js';
import type { SeedWorkspace } from './seed-workspace.js';
import { uuidOf } from './uuid-of.js';

const DAY = 86_400_000;

/**
 * Fills the workspaces that do not exist yet, as the app role, each in its tenant's context and in one transaction: a
 * crash leaves a workspace whole or absent.
 *
 * @returns true if it added any.
 */
export async function seed(appUrl: string): Promise<boolean> {
  const dataSource = await new DataSource(dataSourceOptions(appUrl)).initialize();
  try {
    await isolateDataSource(dataSource, {
      tenantIdType: 'uuid',
      seal: { keys: () => sealKeysFromEnvironment() },
    });
    const existing = new Set((await dataSource.getRepository(Workspace).find()).map(({ id }) => id));
    const missing = [...DEMO_WORKSPACES, ...neighbours].filter(({ id }) => !existing.has(id));
    for (const workspace of missing) {
      await tenantContext(workspace.id, () =>
        dataSource.transaction((manager) => seedWorkspace(manager, workspace)),
      );
    }
    return missing.length > 0;
  } finally {
    await dataSource.destroy();
  }
}

/** The tenant column of each row is left to the library. */
async function seedWorkspace(
  manager: EntityManager,
  { id, name, users, tags, projects }: SeedWorkspace,
): Promise<void> {
  await manager.insert(Workspace, { id, name });
  const members = await manager.save(
    await Promise.all(
      users.map(async (user) =>
        manager.create(AppUser, {
          id: idOf(id, user.name),
          ...user,
          passwordHash: await hashPassword(DEMO_PASSWORD),
        }),
      ),
    ),
  );
  const labels = await manager.save(tags.map((tag) => manager.create(Tag, { id: idOf(id, tag), name: tag })));
  const today = Date.now();
  for (const { name, description, tasks } of projects) {
    const project = await manager.save(manager.create(Project, { id: idOf(id, name), name, description }));
    await manager.save(
      tasks.map(({ dueInDays, assignee, tags, ...columns }) =>
        manager.create(Task, {
          ...columns,
          project,
          dueDate: dueInDays === null ? null : new Date(today + dueInDays * DAY).toISOString().slice(0, 10),
          assignee: members.find((member) => member.name === assignee) ?? null,
          tags: labels.filter((label) => tags.includes(label.name)),
        }),
      ),
    );
  }
}

/** The id that the seed gives a user, a tag or a project of a workspace. */
export function idOf(workspaceId: string, name: string): string {
  return uuidOf(`${workspaceId} ${name}`);
}
