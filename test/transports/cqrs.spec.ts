import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  CommandBus,
  CommandHandler,
  CqrsModule,
  EventBus,
  EventsHandler,
  ofType,
  QueryBus,
  QueryHandler,
  Saga,
  type ICommand,
  type ICommandHandler,
  type IEvent,
  type IEventHandler,
  type IQueryHandler,
} from '@nestjs/cqrs';
import { concatMap, delay as later, map, mergeMap, type Observable } from 'rxjs';
import { keepTenantContext, tenantContext, WithTenant } from '../../libs/rls-tenants/src/index.js';
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

class CountNotes {
  constructor(readonly by: string) {}
}

class MoveNote {
  constructor(readonly by: string) {}
}

class NoteMoved {
  constructor(readonly by: string) {}
}

/** What a saga made of an event: by which way, and whose event it was. */
class Notify {
  constructor(
    readonly way: string,
    readonly tenantId: string,
  ) {}
}

class NotifyOwner extends Notify {}

/** For whom each handler ran, and whose notes it saw. */
const handled: { by: string; handler: string; for: string; owners: string[] }[] = [];
const handledBy = (handler: string) => handled.filter((entry) => entry.handler === handler);

@QueryHandler(CountNotes)
class CountNotesHandler implements IQueryHandler<CountNotes> {
  constructor(@Inject(Notes) private readonly notes: Notes) {}

  async execute({ by }: CountNotes): Promise<string[]> {
    const owners = await this.notes.owners();
    handled.push({ by, handler: 'query', for: who(), owners });
    return owners;
  }
}

@CommandHandler(MoveNote)
class MoveNoteHandler implements ICommandHandler<MoveNote> {
  constructor(
    @Inject(Notes) private readonly notes: Notes,
    @Inject(EventBus) private readonly events: EventBus,
  ) {}

  async execute({ by }: MoveNote): Promise<void> {
    handled.push({ by, handler: 'command', for: who(), owners: await this.notes.owners() });
    this.events.publish(new NoteMoved(by));
  }
}

@EventsHandler(NoteMoved)
class NoteMovedHandler implements IEventHandler<NoteMoved> {
  constructor(@Inject(Notes) private readonly notes: Notes) {}

  async handle({ by }: NoteMoved): Promise<void> {
    await delay(Math.random() * 3);
    handled.push({ by, handler: 'event', for: who(), owners: await this.notes.owners() });
  }
}

/** Notes for whom it runs, which is whatever the saga's operators made of it. */
@CommandHandler(Notify)
class NotifyHandler implements ICommandHandler<Notify> {
  constructor(@Inject(Notes) private readonly notes: Notes) {}

  async execute({ way, tenantId }: Notify): Promise<void> {
    handled.push({ by: tenantId, handler: way, for: who(), owners: await this.notes.owners() });
  }
}

/** Takes its tenant from the command. */
@CommandHandler(NotifyOwner)
class NotifyOwnerHandler implements ICommandHandler<NotifyOwner> {
  constructor(@Inject(Notes) private readonly notes: Notes) {}

  @WithTenant((command: NotifyOwner) => command.tenantId)
  async execute({ way, tenantId }: NotifyOwner): Promise<void> {
    handled.push({ by: tenantId, handler: way, for: who(), owners: await this.notes.owners() });
  }
}

/** For whom the operators of the saga that queues ran. */
const queued: { event: string; for: string }[] = [];

@Injectable()
class Sagas {
  @Saga() mapped = (events: Observable<IEvent>): Observable<ICommand> =>
    events.pipe(
      ofType(NoteMoved),
      map(({ by }) => new Notify('map', by)),
    );

  @Saga() merged = (events: Observable<IEvent>): Observable<ICommand> =>
    events.pipe(
      ofType(NoteMoved),
      mergeMap(async ({ by }) => delay(Math.random() * 3, new Notify('mergeMap', by))),
    );

  @Saga() delayed = (events: Observable<IEvent>): Observable<ICommand> =>
    events.pipe(
      ofType(NoteMoved),
      later(3),
      map(({ by }) => new Notify('delay', by)),
    );

  /** Queues: what waits is taken up by whoever comes to an end. */
  @Saga() queued = (events: Observable<IEvent>): Observable<ICommand> =>
    events.pipe(
      ofType(NoteMoved),
      concatMap(async ({ by }) => {
        queued.push({ event: by, for: who() });
        return delay(2, new NotifyOwner('concatMap', by));
      }),
    );

  @Saga() queuedForNobody = (events: Observable<IEvent>): Observable<ICommand> =>
    events.pipe(
      keepTenantContext(),
      ofType(NoteMoved),
      concatMap(async ({ by }) => {
        handled.push({ by, handler: 'kept', for: who(), owners: [] });
        return delay(1, new NotifyOwner('kept concatMap', by));
      }),
    );
}

describe('Handlers of @nestjs/cqrs', () => {
  let db: ProtectedDatabase;
  let app: INestApplicationContext;

  beforeAll(async () => {
    db = await createNotesDatabase();
    const providers = [
      CountNotesHandler,
      MoveNoteHandler,
      NoteMovedHandler,
      NotifyHandler,
      NotifyOwnerHandler,
      Sagas,
    ];
    app = await NestFactory.createApplicationContext(
      rootModule(db, { imports: [CqrsModule.forRoot()], providers }),
      { logger: false, abortOnError: false },
    );
  });
  afterAll(async () => {
    await app.close();
    await db.drop();
  });

  beforeAll(async () => {
    await Promise.all(
      inTurn.map((tenantId) =>
        tenantContext(tenantId, async () => {
          await delay(Math.random() * 3);
          await app.get(QueryBus).execute(new CountNotes(tenantId));
          await app.get(CommandBus).execute(new MoveNote(tenantId));
        }),
      ),
    );
    await eventually(() => handledBy('kept concatMap').length === inTurn.length);
    await eventually(() => handledBy('concatMap').length === inTurn.length);
  });

  it.each(['query', 'command', 'event'])(
    'a %s handler runs for whoever asked, two at once',
    async (handler) => {
      expect(await ownersInDatabase(db)).toEqual([A, B]);
      const entries = handledBy(handler);
      expect(entries).toHaveLength(inTurn.length);
      for (const { by, for: ranFor, owners } of entries) expect([ranFor, owners]).toEqual([by, [by]]);
    },
  );

  it.each(['map', 'mergeMap', 'delay'])(
    'a command of a saga that handles each event by itself (%s) runs for whoever published the event',
    (way) => {
      const entries = handledBy(way);
      expect(entries).toHaveLength(inTurn.length);
      for (const { by, for: ranFor, owners } of entries) expect([ranFor, owners]).toEqual([by, [by]]);
    },
  );

  it('a saga that queues (concatMap) takes up an event in the context of the one before it', () => {
    expect(queued.filter(({ event, for: ranFor }) => event !== ranFor)).not.toEqual([]);
  });

  it('behind keepTenantContext() a saga runs for nobody', () => {
    expect(new Set(handledBy('kept').map((entry) => entry.for))).toEqual(new Set(['nobody']));
  });

  it.each(['concatMap', 'kept concatMap'])(
    'a handler that takes the tenant from the command is right in any case: %s',
    (way) => {
      const entries = handledBy(way);
      expect(entries).toHaveLength(inTurn.length);
      for (const { by, for: ranFor, owners } of entries) expect([ranFor, owners]).toEqual([by, [by]]);
    },
  );
});
