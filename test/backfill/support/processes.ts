import { spawn, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackfillDefinition } from '../../../libs/rls-tenants/src/backfill/index.js';
import type { ProtectedDatabase } from '../../support/protected-database.js';
import { hits, tenant } from './articles.js';

const WORKER = resolve(__dirname, 'worker.mjs');
const TENANTS = 10;
const ROWS = 200;

export const TOTAL = TENANTS * ROWS;
export const TENANT_IDS = Array.from({ length: TENANTS }, (_, n) => tenant(n + 1));

/** Takes long enough to be killed in the middle. The rows say which process changed them, and how often. */
export const SLOW: BackfillDefinition = {
  name: 'slow',
  table: 'article',
  set: { hits: 'hits + 1', slug: '$1::text' },
  parameters: ['here'],
  batchSize: 20,
  pauseMs: 10,
};

/** Worker processes of one suite, over {@link TENANT_IDS} with 200 rows each. */
export class WorkerProcesses {
  private readonly children: ChildProcess[] = [];

  constructor(
    private readonly db: ProtectedDatabase,
    private readonly redisPort?: number,
  ) {}

  start(mode: 'run' | 'pg-boss' | 'bullmq', definition = SLOW): ChildProcess {
    const env = {
      ...process.env,
      APP_URL: this.db.url('app'),
      BOSS_URL: this.db.url('migrator'),
      REDIS_PORT: String(this.redisPort),
      ADMIN_ROLE: this.db.roles.admin,
      DEFINITION: JSON.stringify(definition),
    };
    const child = spawn(process.execPath, ['--no-warnings', WORKER, mode], { env, stdio: 'inherit' });
    this.children.push(child);
    return child;
  }

  /** How much is changed, in percent. */
  async changed(): Promise<number> {
    return 100 - (((await hits(this.db))[0] ?? 0) / TOTAL) * 100;
  }

  /** Waits until that much is changed, as long as somebody is there to change it. */
  async until(percent: number): Promise<void> {
    while ((await this.changed()) < percent) {
      const ended = this.children.find(({ exitCode }) => exitCode !== null);
      if (ended) {
        throw new Error(
          `A process ended with ${ended.exitCode} and ${await this.changed()} % of the rows changed.`,
        );
      }
      await sleep(10);
    }
  }

  /** Which processes changed rows, as superuser. */
  async changers(): Promise<string[]> {
    const rows = await this.db.asSuperuser<{ slug: string }>(
      'SELECT DISTINCT slug FROM article WHERE slug IS NOT NULL ORDER BY slug',
    );
    return rows.map(({ slug }) => slug);
  }

  killAll(): void {
    for (const child of this.children.splice(0)) child.kill('SIGKILL');
  }
}
