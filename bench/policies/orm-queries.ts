import { In, type DataSource } from 'typeorm';
import { Comment, Task } from './entities.js';
import type { Arguments, QueryName } from './queries.sql.js';

const PAGE = 50;

/**
 * The queries in TypeORM's terms. `tenantId` is given where the application keeps to the tenant by itself: then every
 * table's condition names it, that of the join table included.
 */
export const ORM_QUERIES: Record<
  QueryName,
  (dataSource: DataSource, from: Arguments, tenantId?: string) => Promise<unknown>
> = {
  point: (dataSource, { task }, tenantId) =>
    dataSource.getRepository(Task).findOneBy({ id: task, ...own(tenantId) }),
  pageById: (dataSource, _, tenantId) =>
    dataSource.getRepository(Task).find({ where: own(tenantId), order: { id: 'ASC' }, take: PAGE }),
  pageByCreation: (dataSource, _, tenantId) =>
    dataSource.getRepository(Task).find({ where: own(tenantId), order: { createdAt: 'DESC' }, take: PAGE }),
  count: (dataSource, _, tenantId) => dataSource.getRepository(Task).countBy(own(tenantId)),
  sum: (dataSource, _, tenantId) =>
    dataSource
      .getRepository(Task)
      .createQueryBuilder('task')
      .select('task.status', 'status')
      .addSelect('sum(task.amount)', 'amount')
      .where(own(tenantId))
      .groupBy('task.status')
      .getRawMany(),
  join: (dataSource, _, tenantId) =>
    dataSource
      .getRepository(Comment)
      .createQueryBuilder('comment')
      .innerJoinAndSelect('comment.task', 'task', ...joined('task', tenantId))
      .innerJoinAndSelect('task.project', 'project', ...joined('project', tenantId))
      .where(own(tenantId))
      .orderBy('comment.id')
      .limit(PAGE)
      .getMany(),
  tagsOfPage: (dataSource, { page }, tenantId) =>
    dataSource
      .getRepository(Task)
      .createQueryBuilder('task')
      .innerJoinAndSelect('task.tags', 'tag', ...joinedThroughTable('task_tag', 'tag', tenantId))
      .where({ id: In(page), ...own(tenantId) })
      .getMany(),
  tasksOfTag: (dataSource, { tag }, tenantId) =>
    dataSource
      .getRepository(Task)
      .createQueryBuilder('task')
      .innerJoin('task.tags', 'tag', ...joinedThroughTable('task_tag', 'tag', tenantId))
      .where(own(tenantId))
      .andWhere('tag.id = :tag', { tag })
      .orderBy('task.id')
      .limit(PAGE)
      .getMany(),
};

function own(tenantId: string | undefined): { tenantId?: string } {
  return tenantId === undefined ? {} : { tenantId };
}

function joined(alias: string, tenantId: string | undefined): [string?, { tenantId: string }?] {
  return tenantId === undefined ? [] : [`${alias}.tenantId = :tenantId`, { tenantId }];
}

/** The join table has no entity: its column is named as the database does. TypeORM's alias is `<parent>_<alias>`. */
function joinedThroughTable(
  joinTable: string,
  alias: string,
  tenantId: string | undefined,
): [string?, { tenantId: string }?] {
  return tenantId === undefined
    ? []
    : [`${alias}.tenantId = :tenantId AND ${joinTable}.tenant_id = :tenantId`, { tenantId }];
}
