import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql';
import { PAGE_ROWS, STREAM_ROWS } from '../../../dist/bench/support/contender.js';
import { serve } from '../../../dist/bench/support/serve.js';
import { NEW_TASK, NEW_TITLE } from '../task.mjs';
import { versionsOf } from '../versions.mjs';

const isPlain = process.argv[2] === 'plain';
const Task = defineEntity({
  name: 'Task',
  tableName: 'task',
  schema: isPlain ? 'plain' : 'rls',
  properties: {
    id: p.uuid().primary().defaultRaw('gen_random_uuid()'),
    tenantId: p.uuid(),
    title: p.text(),
    body: p.text(),
    status: p.text().default('open'),
    priority: p.integer().default(0),
    assignee: p.text().nullable(),
    done: p.boolean().default(false),
    dueAt: p.datetime().nullable(),
    createdAt: p.datetime().defaultRaw('now()'),
    updatedAt: p.datetime().defaultRaw('now()'),
  },
});
let orm;

const forkFor = (tenantId) =>
  isPlain ? orm.em.fork() : orm.em.fork({ session: { variables: { 'rls.current_tenant': tenantId } } });
/** What keeps tenants apart if nothing but a WHERE does. */
const conditions = (tenantId) => (isPlain ? { tenantId } : {});

async function findOne(em, where, options) {
  const task = await em.findOne(Task, where, options);
  return task ? [task] : [];
}

async function insert(em, tenant) {
  await em.insert(Task, { ...NEW_TASK, ...tenant });
  return [];
}

async function stream(em, where) {
  const rows = [];
  for await (const { tenantId } of em.stream(Task, { where, limit: STREAM_ROWS })) rows.push({ tenantId });
  return rows;
}

serve({
  versions: versionsOf(import.meta.url, ['@mikro-orm/core', '@mikro-orm/postgresql', 'pg']),
  async open({ url, poolSize }) {
    orm = await MikroORM.init({ clientUrl: url, entities: [Task], pool: { min: 0, max: poolSize } });
  },
  close: () => orm.close(),
  operations: {
    findOneBy: (tenantId, id) => findOne(forkFor(tenantId), { id, ...conditions(tenantId) }),
    page: (tenantId) =>
      forkFor(tenantId).find(Task, conditions(tenantId), {
        orderBy: { createdAt: 'desc' },
        limit: PAGE_ROWS,
      }),
    insert: (tenantId) => insert(forkFor(tenantId), conditions(tenantId)),
    transaction: (tenantId, id) =>
      forkFor(tenantId).transactional(async (em) => {
        const where = { id, ...conditions(tenantId) };
        const found = [];
        // without `refresh` the identity map would answer the second and the third
        for (let n = 0; n < 3; n++) found.push(...(await findOne(em, where, { refresh: true })));
        await em.nativeUpdate(Task, where, NEW_TITLE);
        await insert(em, conditions(tenantId));
        return found;
      }),
    stream: (tenantId) =>
      isPlain
        ? stream(forkFor(tenantId), conditions(tenantId))
        : // outside a transaction MikroORM refuses to stream with a session
          forkFor(tenantId).transactional((em) => stream(em, {})),
  },
});
