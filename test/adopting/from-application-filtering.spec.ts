import type { DynamicModule, INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { NextFunction, Request, Response } from 'express';
import request from 'supertest';
import { A, B } from '../support/notes.js';
import { openGuide, type Guide } from './support/guide.js';

const KEYS = ['1764000000001-project-keys', '1764000000002-task-keys'];

let guide: Guide;
let application: INestApplication | undefined;

beforeEach(async () => {
  guide = await openGuide('from-application-filtering');
  await guide.db.asSuperuser(
    `INSERT INTO tenant VALUES ('${A}', 'a'), ('${B}', 'b');
     INSERT INTO project (tenant_id, name) VALUES ('${A}', 'a'), ('${B}', 'b');
     INSERT INTO task (tenant_id, title, "projectId") VALUES ('${A}', 'mine', 1), ('${B}', 'theirs', 2)`,
  );
});
afterEach(async () => {
  await application?.close();
  application = undefined;
  await guide.close();
});

/** The page's application, with a guard's work done by a header. */
async function start(): Promise<ReturnType<typeof request>> {
  const { AppModule } = guide.load('app.module') as { AppModule: DynamicModule['module'] };
  const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
  application = module.createNestApplication({ logger: false });
  application.use((incoming: Request & { user?: object }, _: Response, next: NextFunction) => {
    incoming.user = { tenantId: incoming.header('user-of') };
    next();
  });
  await application.init();
  return request(application.getHttpServer());
}

const titles = async (http: ReturnType<typeof request>, tenantId: string) =>
  (await http.get('/tasks/titles').set('user-of', tenantId)).body as { title: string }[];

it('the guide leads to policies that check-rls verifies, for raw SQL without a filter too', async () => {
  const http = await start();
  // Before: what the filters were for. The control that the other tenant's row is there.
  expect(await titles(http, A)).toEqual([{ title: 'mine' }, { title: 'theirs' }]);
  expect((await guide.checkRls()).code).toBe(1);

  await guide.migrate(...KEYS, '1764000000003-protect');
  expect(await titles(http, A)).toEqual([{ title: 'mine' }]);
  const { body: all } = await http.get('/tasks').set('user-of', B);
  expect(all).toMatchObject([{ title: 'theirs' }]);
  expect((await http.get('/tasks/count-of-all').set('user-of', A)).text).toBe('2');
  expect((await http.get('/tasks').set('user-of', '')).status).toBeGreaterThanOrEqual(400);
  const created = await http.post('/tasks').set('user-of', A).send({ title: 'new', projectId: 1 });
  expect(created.body).toMatchObject({ title: 'new', tenantId: A });
  const foreign = await http.post('/tasks').set('user-of', A).send({ title: 'new', projectId: 2 });
  expect(foreign.status).toBe(500);
  const { code, stdout, stderr } = await guide.checkRls(true);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('All 2 RLS-protected tables verified.');
});

it('the page’s query finds the rows that the foreign key refuses', async () => {
  await guide.db.asSuperuser('UPDATE task SET "projectId" = 2 WHERE id = 1');
  expect(await guide.db.asSuperuser(guide.sql[1]!)).toEqual([{ id: 1, tenant_id: A, other: B }]);
  await expect(guide.migrate(...KEYS)).rejects.toThrow('violates foreign key constraint');
  await guide.db.asSuperuser('UPDATE task SET "projectId" = 1 WHERE id = 1');
  expect(await guide.migrate()).toHaveLength(1);
});

it('the way back takes the policies away and leaves the application running', async () => {
  const http = await start();
  await guide.migrate(...KEYS, '1764000000003-protect');
  expect(await titles(http, A)).toHaveLength(1);
  expect(await guide.revert()).toBe('Protect1764000000003');
  expect(await titles(http, A)).toHaveLength(2);
  await guide.migrate();
  expect(await titles(http, A)).toHaveLength(1);
});
