import { PAGE_ROWS, STREAM_ROWS } from '../../dist/bench/support/contender.js';
import { NEW_TASK, NEW_TITLE } from './task.mjs';

/**
 * The options of the task's EntitySchema. The peers bring their own TypeORM, of two major versions: nothing here
 * imports it.
 */
export const taskOptions = (/** @type {string} */ schema) => ({
  name: 'Task',
  tableName: 'task',
  schema,
  columns: {
    id: { type: 'uuid', primary: true, generated: 'uuid' },
    tenantId: { type: 'uuid', name: 'tenant_id' },
    title: { type: 'text' },
    body: { type: 'text' },
    status: { type: 'text', default: 'open' },
    priority: { type: 'int', default: 0 },
    assignee: { type: 'text', nullable: true },
    done: { type: 'boolean', default: false },
    dueAt: { type: 'timestamptz', name: 'due_at', nullable: true },
    createdAt: { type: 'timestamptz', name: 'created_at', default: () => 'now()' },
    updatedAt: { type: 'timestamptz', name: 'updated_at', default: () => 'now()' },
  },
});

/**
 * The operations of every peer on TypeORM.
 *
 * @param {object} peer
 * @param {Run} peer.run does the work with a repository of the tenant's rows
 * @param {Run} [peer.transaction] the same in one transaction. Default: `run`, for peers that know nothing else
 * @param {(tenantId: string) => object} [peer.conditions] what keeps tenants apart if nothing but a WHERE does
 * @returns {import('../support/contender.ts').Contender['operations']}
 *
 * @typedef {<T>(tenantId: string, work: (tasks: import('typeorm').Repository<any>) => Promise<T>) => Promise<T>} Run
 */
export function typeormOperations({ run, transaction = run, conditions = () => ({}) }) {
  return {
    findOneBy: (tenantId, id) => run(tenantId, (tasks) => findOneBy(tasks, { id, ...conditions(tenantId) })),
    page: (tenantId) =>
      run(tenantId, (tasks) =>
        tasks.find({ where: conditions(tenantId), order: { createdAt: 'DESC' }, take: PAGE_ROWS }),
      ),
    insert: (tenantId) => run(tenantId, (tasks) => insert(tasks, conditions(tenantId))),
    transaction: (tenantId, id) =>
      transaction(tenantId, async (tasks) => {
        const where = { id, ...conditions(tenantId) };
        const found = [];
        for (let n = 0; n < 3; n++) found.push(...(await findOneBy(tasks, where)));
        await tasks.update(where, NEW_TITLE);
        await insert(tasks, conditions(tenantId));
        return found;
      }),
    stream: (tenantId) => run(tenantId, (tasks) => stream(tasks, conditions(tenantId))),
  };
}

async function findOneBy(tasks, where) {
  const task = await tasks.findOneBy(where);
  return task ? [task] : [];
}

async function insert(tasks, tenant) {
  await tasks.insert({ ...NEW_TASK, ...tenant });
  return [];
}

async function stream(tasks, where) {
  const rows = [];
  const query = tasks.createQueryBuilder('task').where(where).limit(STREAM_ROWS);
  for await (const row of await query.stream()) rows.push({ tenantId: row.task_tenant_id });
  return rows;
}
