import { Inject } from '@nestjs/common';
import { Command, CommandFactory, CommandRunner, CommandRunnerService, Option } from 'nest-commander';
import { adminContext, TenantContext } from '../../libs/rls-tenants/src/index.js';
import { who } from '../http/support/http-app.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { A, B, createNotesDatabase, Notes, ownersInDatabase, rootModule } from './support/notes-app.js';

/** What commands did: for whom, and whose notes they saw. */
const done: { for: string; owners: string[] }[] = [];

interface ReportOptions {
  tenant?: string;
  all?: boolean;
}

@Command({ name: 'report' })
class ReportCommand extends CommandRunner {
  constructor(
    @Inject(Notes) private readonly notes: Notes,
    @Inject(TenantContext) private readonly tenants: TenantContext,
  ) {
    super();
  }

  async run(_parameters: string[], { tenant, all }: ReportOptions): Promise<void> {
    if (all) return adminContext('report of all tenants', () => this.report());
    if (tenant) return this.tenants.run(tenant, () => this.report());
    await this.report();
  }

  @Option({ flags: '--tenant <id>' })
  parseTenant(text: string): string {
    return text;
  }

  @Option({ flags: '--all' })
  parseAll(): boolean {
    return true;
  }

  private async report(): Promise<void> {
    done.push({ for: who(), owners: await this.notes.owners() });
  }
}

describe('Commands of nest-commander', () => {
  let db: ProtectedDatabase;

  beforeAll(async () => {
    db = await createNotesDatabase();
  });
  afterAll(() => db.drop());

  beforeEach(() => {
    done.length = 0;
  });

  /** Runs one command line as a process of its own does, and gives its failure. */
  async function run(...args: string[]): Promise<unknown> {
    const failures: unknown[] = [];
    const app = await CommandFactory.createWithoutRunning(rootModule(db, { providers: [ReportCommand] }), {
      logger: false,
      abortOnError: false,
      serviceErrorHandler: (error) => void failures.push(error),
    });
    try {
      await app.get(CommandRunnerService, { strict: false }).run(['node', 'app', ...args]);
      return failures[0];
    } finally {
      await app.close();
    }
  }

  it('run for the tenant that they enter, two at once', async () => {
    expect(await ownersInDatabase(db)).toEqual([A, B]);
    const tenants = [A, B, A, B];
    expect(await Promise.all(tenants.map((tenantId) => run('report', '--tenant', tenantId)))).toEqual(
      tenants.map(() => undefined),
    );
    for (const { for: ranFor, owners } of done) expect(owners).toEqual([ranFor]);
    expect(done.map((entry) => entry.for).toSorted()).toEqual([A, A, B, B]);
  });

  it('run for nobody otherwise, and fail before any I/O', async () => {
    expect(String(await run('report'))).toMatch(/NoTenantContextError/);
    expect(done).toEqual([]);
  });

  it('do not start for a malformed tenant', async () => {
    expect(String(await run('report', '--tenant', 'acme'))).toMatch(/InvalidTenantIdError/);
    expect(done).toEqual([]);
  });

  it('see every tenant as admin', async () => {
    expect(await run('report', '--all')).toBeUndefined();
    expect(done[0]?.owners).toHaveLength(2);
  });
});
