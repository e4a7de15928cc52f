import pg from 'pg';
import Cursor from 'pg-cursor';
import { to as copyTo } from 'pg-copy-streams';
import QueryStream from 'pg-query-stream';
import { createHmac } from 'node:crypto';
import { text as readAll } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Column, Entity, PrimaryGeneratedColumn, type DataSource, type EntityManager } from 'typeorm';
import type { IsolationOptions, SealKey } from '../../../libs/rls-tenants/src/connection/index.js';
import { tenantContext, withoutTenant } from '../../../libs/rls-tenants/src/context/index.js';
import { TenantColumn, TenantScoped } from '../../../libs/rls-tenants/src/entities/index.js';
import { sealKeyPads, sealMessage, sealText } from '../../../libs/rls-tenants/src/policies/index.js';
import { A, B, Note, NOTES } from '../../support/notes.js';
import {
  createProtectedDatabase,
  type PostgresOptions,
  type ProtectedDatabase,
} from '../../support/protected-database.js';
import { createSealedDatabase, newSealKey, type SealedDatabase } from '../../support/sealed-database.js';
import type { Attack, Caller, Meanwhile, Step } from './attack.js';

/** What a set context reads the rows of. */
@Entity()
@TenantScoped({ readableBySet: true })
export class Memo {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) body!: string;
}

/** What no answer to A may hold: a row of B, and what an attack of its own puts there. */
const SECRETS = ['of B: secret', 'B keeps this'];
const TENANT_SETTING = 'rls.current_tenant';

/** A database that is attacked. */
export interface Target {
  readonly db: ProtectedDatabase;
  readonly keys: readonly SealKey[];
  /** What stands for `{…}` in SQL. */
  readonly names: Readonly<Record<string, string>>;
  drop(): Promise<void>;
}

/** Policies that read the setting; the app role may become the admin role. */
export async function plainTarget(): Promise<Target> {
  const db = await createProtectedDatabase([...NOTES, Memo]);
  return target(db, [newSealKey('first')]);
}

/** Policies that ask for the seal; the app role may not become the admin role. */
export async function sealedTarget(): Promise<Target & { db: SealedDatabase }> {
  const db = await createSealedDatabase([...NOTES, Memo]);
  const retired = { ...newSealKey('retired'), expiresAt: new Date(Date.now() - 3600_000) };
  await db.addKey(retired);
  return { ...target(db, [db.key, retired]), db };
}

/** The sealed form where the app role may create temporary objects, and anything in a schema of its own. */
export async function misconfiguredTarget(): Promise<Target> {
  const sealed = await sealedTarget();
  const { app } = sealed.db.roles;
  await sealed.db.asSuperuser(
    `GRANT TEMPORARY ON DATABASE ${sealed.db.name} TO ${app}; CREATE SCHEMA playground AUTHORIZATION ${app}`,
  );
  return sealed;
}

function target<T extends ProtectedDatabase>(db: T, keys: readonly SealKey[]): Target & { db: T } {
  const [key, retired = newSealKey('retired')] = keys as [SealKey, SealKey?];
  const now = Math.floor(Date.now() / 1000);
  const ofB = (by: SealKey, expires: number, backend: number) => {
    const fields = { keyId: by.id, expires, backend };
    const mac = createHmac('sha256', by.secret)
      .update(sealMessage(TENANT_SETTING, fields, B, ''))
      .digest('hex');
    return sealText({ ...fields, mac });
  };
  const names = {
    A,
    B,
    ...db.roles,
    db: db.name,
    genuine: ofB(key, now + 3600, 0),
    expired: ofB(key, now - 3600, 0),
    elsewhere: ofB(key, now + 3600, 1),
    retired: ofB(retired, now + 3600, 0),
    unknown: ofB(newSealKey('first'), now + 3600, 0),
  };
  return { db, keys, names, drop: () => db.drop() };
}

/** What an attack got. */
export interface Outcome {
  /** What A was answered, as text. */
  readonly answers: readonly string[];
  /** What of that is B's, and what became of B's rows. Empty if isolation held. */
  readonly leaks: readonly string[];
}

type How = Partial<PostgresOptions> & { seal?: Partial<IsolationOptions['seal']> };

/** Runs an attack on fresh rows, over one pooled connection, and says what leaked. */
export async function run(attack: Attack, { db, keys, names }: Target, how: How = {}): Promise<Outcome> {
  const { seal, ...postgres } = how;
  const fill = (sql: string) => sql.replace(/\{(\w+)\}/g, (whole, name: string) => names[name] ?? whole);
  await seed(db);
  if (attack.prepare) await db.asSuperuser(fill(attack.prepare));
  const dataSource = await db.isolated(
    { onMissingTenant: 'empty', ...(seal && 'key' in db && { seal: { keys: [keys[0]!], ...seal } }) },
    { poolSize: 1, ...postgres },
  );
  const session = new Session(db, dataSource, keys, fill);
  try {
    const before = await rowsOfOthers(db);
    for (const step of attack.steps) await session.take(step);
    const after = await rowsOfOthers(db);
    return { answers: session.answers, leaks: [...session.stolen(), ...session.damage(before, after)] };
  } finally {
    await dataSource.destroy();
    if (attack.undo) await db.asSuperuser(fill(attack.undo));
    await db.asSuperuser(fill(EMPTY_PLAYGROUND));
  }
}

const EMPTY_PLAYGROUND = `DO $$ BEGIN IF to_regnamespace('playground') IS NOT NULL THEN
  DROP SCHEMA playground CASCADE; CREATE SCHEMA playground AUTHORIZATION {app}; END IF; END $$`;

async function seed(db: ProtectedDatabase): Promise<void> {
  await db.asSuperuser(
    `TRUNCATE note, notebook, tag, country, memo RESTART IDENTITY CASCADE;
     INSERT INTO notebook (id, tenant_id, title) VALUES (11, '${A}', 'of A'), (201, '${B}', 'of B: secret');
     INSERT INTO note (id, tenant_id, body) VALUES (1, '${A}', 'of A: 1'), (101, '${B}', 'of B: secret'), (2, '${A}', 'of A: 2');
     INSERT INTO memo (tenant_id, body) VALUES ('${A}', 'of A'), ('${B}', 'of B: secret');
     SELECT setval('note_id_seq', 1000)`,
  );
}

/** All rows that are not A's, each as text. */
async function rowsOfOthers(db: ProtectedDatabase): Promise<string[]> {
  const rows = await db.asSuperuser<{ row: string }>(
    ['note', 'notebook', 'tag', 'memo']
      .map((table) => `SELECT '${table} ' || t::text AS row FROM ${table} AS t WHERE tenant_id <> '${A}'`)
      .join(' UNION ALL '),
  );
  return rows.map(({ row }) => row);
}

/** The requests of one attack. */
class Session {
  readonly answers: string[] = [];
  /** What B was told had been saved. */
  private readonly saved: string[] = [];
  private listening: Caller = 'nobody';

  constructor(
    private readonly db: ProtectedDatabase,
    private readonly dataSource: DataSource,
    private readonly keys: readonly SealKey[],
    private readonly fill: (sql: string) => string,
  ) {
    // What the server sends on its own while a request of A is under way, an application may show.
    poolOf(dataSource).on('connect', (client) => {
      const heard = (message: unknown) => this.answered(this.listening, message);
      client
        .on('notice', heard)
        .on('notification', heard)
        .on('error', () => {});
    });
  }

  async take(step: Step, manager: DataSource | EntityManager = this.dataSource): Promise<void> {
    if ('together' in step) {
      await withoutTenant(() =>
        this.dataSource.transaction(async (shared) => {
          for (const each of step.together) await this.take(each, shared);
        }),
      ).catch(() => {});
    } else if ('meanwhile' in step) {
      await this.meanwhile(step.meanwhile, this.fill(step.sql), step.attacker);
    } else if ('learn' in step) {
      const ask = (sql: string) => this.request('A', () => this.dataSource.query(this.fill(sql)));
      this.answered('A', await step.learn(ask));
    } else {
      await this.request(step.by, () => this.send(step, manager));
    }
  }

  private async send(
    step: Extract<Step, { by: Caller }>,
    manager: DataSource | EntityManager,
  ): Promise<unknown> {
    if ('search' in step)
      return this.onRunner(manager, `SELECT body FROM note WHERE body = '${this.fill(step.search)}'`);
    if ('filter' in step)
      return manager.createQueryBuilder(Note, 'note').where(this.fill(step.filter)).getRawMany();
    if ('save' in step) {
      await manager.query('INSERT INTO note (body) VALUES ($1)', [step.save]);
      return this.saved.push(step.save);
    }
    if ('named' in step) {
      const { named: name, sql: text, values = [] } = step;
      const { rows } = await poolOf(this.dataSource).query({ name, text, values: [...values] });
      return rows;
    }
    return this.onRunner(manager, this.fill(step.sql));
  }

  /** As `query()` of TypeORM does, which hides what a text of several statements answers. */
  private async onRunner(manager: DataSource | EntityManager, sql: string): Promise<unknown> {
    const shared = 'queryRunner' in manager ? manager.queryRunner : undefined;
    const runner = shared ?? this.dataSource.createQueryRunner();
    try {
      const client = (await runner.connect()) as pg.PoolClient;
      return answersOf(await client.query(sql));
    } finally {
      if (!shared) await runner.release();
    }
  }

  /** Sends as `by`, and keeps what an attacker would see of the answer. */
  private async request(by: Caller, send: () => Promise<unknown>): Promise<string> {
    this.listening = by;
    const enter = by === 'nobody' ? withoutTenant : <T>(fn: () => T) => tenantContext(by === 'A' ? A : B, fn);
    const answer = await withinTime(enter(() => send().catch((error: unknown) => describe(error))));
    return this.answered(by, answer);
  }

  private answered(by: Caller, answer: unknown): string {
    const text = typeof answer === 'string' ? answer : (JSON.stringify(answer, replaceBuffers) ?? '');
    if (by !== 'B') this.answers.push(text);
    return text;
  }

  /** Runs a request of B on a connection of its own, and the attacker's requests before it ends. */
  private async meanwhile(meanwhile: Meanwhile, sql: string, attacker: readonly Step[]): Promise<void> {
    const other = await this.db.isolated({ onMissingTenant: 'empty' }, { poolSize: 1 });
    const client = await poolOf(other).connect();
    client.on('error', () => {});
    const attacks = async () => {
      await sleep(30);
      for (const step of attacker) await this.take(step);
    };
    const asB = <T>(fn: () => T) => tenantContext(B, fn);
    try {
      if (meanwhile === 'cursor') {
        const cursor = asB(() => client.query(new Cursor(sql)));
        await asB(() => cursor.read(1));
        await attacks();
        await cursor.close();
      } else if (meanwhile === 'transaction') {
        await asB(() => client.query('BEGIN'));
        await asB(() => client.query(sql));
        await attacks();
        await asB(() => client.query('COMMIT'));
      } else {
        const busy = asB(() => {
          if (meanwhile === 'copy') return readAll(client.query(copyTo(sql)));
          if (meanwhile === 'stream') return readAll(client.query(new QueryStream(sql)).map(String));
          return client.query(sql, meanwhile === 'parameters' ? [0] : undefined);
        });
        await Promise.all([busy, attacks()]);
      }
    } finally {
      client.release(true);
      await other.destroy();
    }
  }

  /** What of the answers is B's. */
  stolen(): string[] {
    const found = this.answers.flatMap((answer) => [
      ...SECRETS.filter((secret) => answer.includes(secret)),
      ...this.keys.filter((key) => holdsKey(answer, key)).map(({ id }) => `key ${id}`),
      ...[...answer.matchAll(/1\.([\w-]+)\.(\d+)\.(\d+)\.([0-9a-f]{64})/g)]
        .filter((match) => this.isSealOfB(match))
        .map(() => "a seal of B's"),
    ]);
    return [...new Set(found)];
  }

  private isSealOfB([, keyId = '', expires, backend, mac]: RegExpMatchArray): boolean {
    const key = this.keys.find(({ id }) => id === keyId);
    const message = sealMessage(
      TENANT_SETTING,
      { keyId, expires: Number(expires), backend: Number(backend) },
      B,
      '',
    );
    return key !== undefined && createHmac('sha256', key.secret).update(message).digest('hex') === mac;
  }

  /** What became of the rows of others. */
  damage(before: readonly string[], after: readonly string[]): string[] {
    const expected = new Map(this.saved.map((body) => [body, 0]));
    const added: string[] = [];
    for (const row of after) {
      const body = this.saved.find((text) => row.includes(text));
      if (body !== undefined) expected.set(body, expected.get(body)! + 1);
      else if (!before.includes(row)) added.push(`written: ${row}`);
    }
    const lost = [...expected].filter(([, count]) => count === 0).map(([body]) => `lost: ${body}`);
    const gone = before.filter((row) => !after.includes(row)).map((row) => `gone: ${row}`);
    const ids = after
      .filter((row) => this.saved.some((text) => row.includes(text)))
      .map((row) => `id ${/\((\d+)/.exec(row)?.[1]}`)
      .filter((id) => this.answers.includes(id));
    return [...added, ...lost, ...gone, ...ids];
  }
}

function holdsKey(answer: string, { secret }: SealKey): boolean {
  const { inner, outer } = sealKeyPads(secret);
  return [Buffer.from(secret), inner, outer]
    .flatMap((bytes) => [bytes.toString('hex'), bytes.toString('base64')])
    .some((text) => answer.includes(text.slice(0, 40)));
}

function poolOf(dataSource: DataSource): pg.Pool {
  return (dataSource.driver as unknown as { master: pg.Pool }).master;
}

function answersOf(results: pg.QueryResult | pg.QueryResult[]): unknown[][] {
  return [results].flat().map(({ rows }) => rows);
}

/** All that PostgreSQL says in an error. */
function describe(error: unknown): string {
  const { driverError, message } = error as { driverError?: object; message: string };
  return `${message} ${JSON.stringify({ ...(error as object), ...driverError })}`;
}

function replaceBuffers(_key: string, value: unknown): unknown {
  const bytes = value as { type?: string; data?: number[] } | null;
  return bytes?.type === 'Buffer' && bytes.data ? Buffer.from(bytes.data).toString('hex') : value;
}

/** A request that hangs is not answered; the attack goes on. */
async function withinTime<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('A request got no answer within 10 seconds.')), 10_000);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
