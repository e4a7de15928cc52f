import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { adminContext, RlsTenantsError } from 'nestjs-rls-tenants';
import type { DataSource, QueryRunner } from 'typeorm';
import { sqlState } from '../database/postgres-errors.js';
import { DEMO_WORKSPACES } from '../database/seed/demo-workspaces.js';
import { idOf } from '../database/seed/seed.js';
import type { LabQuery } from './lab-queries.js';
import type { LabError, LabResult } from './lab-result.js';

type Row = Record<string, unknown>;

interface Answer {
  rows: Row[];
  affected: number;
}

/** Runs the laboratory's statements as whoever is signed in. Nothing in here knows the caller's tenant. */
@Injectable()
export class LabService {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /**
   * Runs one statement in the caller's tenant context, asks for its plan in the same way, and counts as admin what
   * there is over all tenants.
   *
   * @param workspaceId the caller's, to find a neighbour for the statements that name one.
   */
  async run(query: LabQuery, workspaceId: string): Promise<LabResult> {
    const parameters = parametersOf(query, workspaceId);
    const started = performance.now();
    const { answer, error } = await this.attempt(query, parameters);
    const durationMs = performance.now() - started;
    return {
      id: query.id,
      sql: query.sql,
      parameters,
      rolledBack: query.kind === 'write',
      rows: answer.rows,
      affected: query.kind === 'read' ? null : answer.affected,
      error,
      durationMs,
      visible: visibleOf(query, answer),
      total: await this.total(query, parameters),
      plan: await this.plan(query, parameters),
    };
  }

  private async attempt(
    query: LabQuery,
    parameters: string[],
  ): Promise<{ answer: Answer; error: LabError | null }> {
    try {
      return { answer: await this.execute(query, query.sql, parameters), error: null };
    } catch (error) {
      if (query.kind !== 'refused') throw error;
      return { answer: { rows: [], affected: 0 }, error: describe(error) };
    }
  }

  /** EXPLAIN ANALYZE runs the statement, so it runs under the same policy, and is rolled back if it writes. */
  private async plan(query: LabQuery, parameters: string[]): Promise<string[]> {
    // A statement that fails cannot be analysed, only planned.
    const explain =
      query.kind === 'refused' ? 'EXPLAIN (COSTS OFF)' : 'EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF)';
    const { rows } = await this.execute(query, `${explain} ${query.sql}`, parameters);
    return rows.map((row) => String(row['QUERY PLAN']));
  }

  /** The number of rows over all tenants, and nothing but the number. */
  private async total({ control }: LabQuery, parameters: string[]): Promise<number> {
    const [row] = await adminContext('query lab: how many rows there are in all, as a control', () =>
      this.dataSource.query<{ total: string }[]>(control, parameters),
    );
    return Number(row?.total);
  }

  private async execute({ kind }: LabQuery, sql: string, parameters: string[]): Promise<Answer> {
    const runner = this.dataSource.createQueryRunner();
    try {
      return await (kind === 'read'
        ? answerOf(runner, sql, parameters)
        : rolledBack(runner, sql, parameters));
    } finally {
      await runner.release();
    }
  }
}

async function rolledBack(runner: QueryRunner, sql: string, parameters: string[]): Promise<Answer> {
  await runner.startTransaction();
  try {
    return await answerOf(runner, sql, parameters);
  } finally {
    await runner.rollbackTransaction();
  }
}

async function answerOf(runner: QueryRunner, sql: string, parameters: string[]): Promise<Answer> {
  const { records, affected } = await runner.query(sql, parameters, true);
  return { rows: records as Row[], affected: affected ?? 0 };
}

function parametersOf({ parameters }: LabQuery, workspaceId: string): string[] {
  const other = DEMO_WORKSPACES.find(({ id }) => id !== workspaceId)!;
  const values = { otherWorkspaceId: other.id, otherProjectId: idOf(other.id, other.projects[0]!.name) };
  return parameters.map((name) => values[name]);
}

function visibleOf({ visible }: LabQuery, { rows, affected }: Answer): number {
  switch (visible) {
    case 'rows':
      return rows.length;
    case 'affected':
      return affected;
    case 'sum of count':
      return rows.reduce((sum, { count }) => sum + Number(count), 0);
  }
}

function describe(error: unknown): LabError {
  return {
    code: sqlState(error) ?? null,
    message: error instanceof Error ? error.message : String(error),
    hint: error instanceof RlsTenantsError ? error.hint : null,
  };
}
