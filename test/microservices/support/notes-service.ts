import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Module, type INestMicroservice, type ModuleMetadata } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload, type MicroserviceOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { concatMap, from, interval, take, type Observable } from 'rxjs';
import type { Repository } from 'typeorm';
import {
  AdminScoped,
  fromHeader,
  RlsTenantsModule,
  TenantOptional,
} from '../../../libs/rls-tenants/src/index.js';
import {
  TenantMessagesModule,
  type TenantMessagesModuleOptions,
} from '../../../libs/rls-tenants/src/microservices/index.js';
import { who } from '../../http/support/http-app.js';
import { Note, NOTES } from '../../support/notes.js';
import { BODIES, type TwoTenants } from '../../support/two-tenants.js';

export const KEY = { id: 'new', secret: 'n'.repeat(32) };

/** Whose context a handler ran in, and what it saw of the database. */
export interface View {
  who: string;
  bodies: string[] | string;
}

/** What a handler sees for a tenant. */
export const viewOf = (tenantId: string): View => ({ who: tenantId, bodies: [BODIES[tenantId] as string] });

export async function viewNotes(notes: Repository<Note>): Promise<View> {
  const bodies = await notes.find({ order: { body: 'ASC' } }).then(
    (found) => found.map(({ body }) => body),
    (error: Error) => error.name,
  );
  return { who: who(), bodies };
}

/** The data of each event that arrived, and what its handler saw. */
export const events: unknown[] = [];

@Controller()
export class NotesController {
  constructor(@InjectRepository(Note) private readonly notes: Repository<Note>) {}

  @MessagePattern('look')
  async look(@Payload() data: unknown): Promise<View & { data: unknown }> {
    await sleep(Math.random() * 5);
    return { data, ...(await this.view()) };
  }

  @MessagePattern({ cmd: 'look', version: 2 })
  lookAgain(): Promise<View> {
    return this.view();
  }

  /** Queries while it is consumed. */
  @MessagePattern('stream')
  stream(): Observable<View> {
    return interval(2).pipe(
      take(3),
      concatMap(() => this.view()),
    );
  }

  @MessagePattern('generated')
  generated(): Observable<View> {
    const view = () => this.view();
    return from(
      (async function* () {
        for (let n = 0; n < 3; n += 1) yield await view();
      })(),
    );
  }

  @MessagePattern('admin')
  @AdminScoped('all notes')
  admin(): Promise<View> {
    return this.view();
  }

  @MessagePattern('optional')
  @TenantOptional()
  optional(): Promise<View> {
    return this.view();
  }

  @EventPattern('event')
  async event(@Payload() data: unknown, @Ctx() _context: unknown): Promise<void> {
    await sleep(Math.random() * 5);
    events.push([data, (await this.view()).bodies]);
  }

  private view(): Promise<View> {
    return viewNotes(this.notes);
  }
}

/** What an application imports to have the notes, for the tenant in context. */
export function notesModules(notes: TwoTenants): NonNullable<ModuleMetadata['imports']> {
  const url = notes.db.url('app');
  return [
    TypeOrmModule.forRoot({ type: 'postgres', url, entities: NOTES, poolSize: 3, retryAttempts: 0 }),
    TypeOrmModule.forFeature([Note]),
    RlsTenantsModule.forRoot({
      tenantIdType: 'uuid',
      adminRole: notes.db.roles.admin,
      resolveTenant: fromHeader('x-tenant'),
      authorize: () => true,
    }),
  ];
}

/** A service that has the notes, and what it imports and controls besides. */
export async function startService(
  notes: TwoTenants,
  where: MicroserviceOptions,
  options: Partial<TenantMessagesModuleOptions> = {},
  { controllers = [NotesController], providers = [] }: Pick<ModuleMetadata, 'controllers' | 'providers'> = {},
): Promise<INestMicroservice> {
  @Module({
    imports: [...notesModules(notes), TenantMessagesModule.forRoot({ keys: [KEY], ...options })],
    controllers,
    providers,
  })
  class ServiceModule {}
  const module = await Test.createTestingModule({ imports: [ServiceModule] }).compile();
  const app = module.createNestMicroservice<MicroserviceOptions>({ ...where, logger: false });
  await app.listen();
  return app;
}
