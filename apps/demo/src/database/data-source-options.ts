import pg from 'pg';
import type { DataSourceOptions } from 'typeorm';
import { migrations } from '../migrations/index.js';
import { Project } from '../projects/project.entity.js';
import { Tag } from '../tags/tag.entity.js';
import { Task } from '../tasks/task.entity.js';
import { AppUser } from '../users/app-user.entity.js';
import { Workspace } from '../workspaces/workspace.entity.js';

/**
 * How TypeORM reaches the demo's database as the app role, or as the login that serves admin contexts. The migrations are
 * listed for the migration role, whose options are made from these.
 *
 * @param url the login's connection string.
 */
export function dataSourceOptions(url: string): DataSourceOptions {
  return {
    type: 'postgres',
    url,
    entities: [AppUser, Project, Tag, Task, Workspace],
    migrations,
    // gen_random_uuid() is PostgreSQL's own since 13; the app role may not install extensions and need not.
    uuidExtension: 'pgcrypto',
    installExtensions: false,
    extra: { types: { getTypeParser } },
  };
}

const DATE: number = pg.types.builtins.DATE;
// As pg calls it: with the number that the server sent.
const defaultTypeParser = pg.types.getTypeParser as (
  oid: number,
  format: 'text',
) => (text: string) => unknown;

// A day of the calendar has no time zone; pg would make it midnight here, which is yesterday elsewhere.
function getTypeParser(oid: number, format: 'text'): (text: string) => unknown {
  return oid === DATE ? (day) => day : defaultTypeParser(oid, format);
}
