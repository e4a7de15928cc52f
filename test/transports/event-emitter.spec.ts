import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, Logger, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/index.js';
import { eventually, who } from '../http/support/http-app.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import {
  A,
  B,
  createNotesDatabase,
  inTurn,
  Notes,
  ownersInDatabase,
  rootModule,
} from './support/notes-app.js';

interface NoteMoved {
  by: string;
}

/** For whom each listener ran, and whose notes it saw. */
const heard: { by: string; kind: string; for: string; owners: string[] }[] = [];

@Injectable()
class Listeners {
  constructor(@Inject(Notes) private readonly notes: Notes) {}

  @OnEvent('note.moved')
  plain(event: NoteMoved) {
    return this.hear('plain', event);
  }

  @OnEvent('note.moved', { async: true, promisify: true })
  async(event: NoteMoved) {
    return this.hear('async', event);
  }

  // With `promisify` as well, eventemitter2 would never call it.
  @OnEvent('note.moved', { async: true, nextTick: true })
  nextTick(event: NoteMoved) {
    return this.hear('nextTick', event);
  }

  @OnEvent('note.*')
  wildcard(event: NoteMoved) {
    return this.hear('wildcard', event);
  }

  private async hear(kind: string, { by }: NoteMoved): Promise<string> {
    const ranFor = who();
    await delay(Math.random() * 3);
    heard.push({ by, kind, for: ranFor, owners: await this.notes.owners() });
    return who();
  }
}

describe('Listeners of @nestjs/event-emitter', () => {
  let db: ProtectedDatabase;
  let app: INestApplicationContext;
  let emitter: EventEmitter2;

  beforeAll(async () => {
    db = await createNotesDatabase();
    const imports = [EventEmitterModule.forRoot({ wildcard: true })];
    app = await NestFactory.createApplicationContext(rootModule(db, { imports, providers: [Listeners] }), {
      logger: false,
      abortOnError: false,
    });
    emitter = app.get(EventEmitter2);
  });
  afterAll(async () => {
    await app.close();
    await db.drop();
  });

  beforeEach(() => {
    heard.length = 0;
  });

  it.each([
    ['emit()', (by: string) => void emitter.emit('note.moved', { by })],
    ['emitAsync()', (by: string) => emitter.emitAsync('note.moved', { by })],
  ])(
    'run for the tenant that called %s, whatever their options, two tenants at once',
    async (_name, emit) => {
      expect(await ownersInDatabase(db)).toEqual([A, B]);
      await Promise.all(
        inTurn.map((tenantId) =>
          tenantContext(tenantId, async () => {
            await delay(Math.random() * 3);
            await emit(tenantId);
          }),
        ),
      );
      await eventually(() => heard.length === inTurn.length * 4);
      for (const { by, for: ranFor, owners } of heard) {
        expect([ranFor, owners]).toEqual([by, [by]]);
      }
      expect(new Set(heard.map(({ kind }) => kind))).toEqual(
        new Set(['plain', 'async', 'nextTick', 'wildcard']),
      );
    },
  );

  it('whoever waits for an event goes on for itself', async () => {
    const waiting = tenantContext(A, async () => {
      await emitter.waitFor('note.moved');
      return who();
    });
    await tenantContext(B, () => emitter.emitAsync('note.moved', { by: B }));
    expect(await waiting).toBe(A);
    await eventually(() => heard.length === 4);
  });

  it('run as admin where the admin emits, and fail for nobody', async () => {
    await adminContext('report', () => emitter.emitAsync('note.moved', { by: 'admin' }));
    await eventually(() => heard.length === 4);
    expect(heard.map(({ owners }) => owners.length)).toEqual([2, 2, 2, 2]);
    heard.length = 0;
    const log = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    await emitter.emitAsync('note.moved', { by: 'nobody' });
    await eventually(() => log.mock.calls.length === 4);
    expect(heard).toEqual([]);
    expect(String(log.mock.calls[0]?.[0])).toContain('tenant');
    log.mockRestore();
  });
});
