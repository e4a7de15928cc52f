import { EXPECTED_ROWS, type Contender, type RunAnswer, type RunRequest, type Tenants } from './contender.js';

export type ContenderRequest =
  { open: { url: string; poolSize: number; rows: Tenants } } | { run: RunRequest } | { close: true };
export type ContenderAnswer =
  | { versions: Record<string, string>; node: string }
  | { answer: RunAnswer }
  | { done: true }
  | { error: string };

/** Makes this process a contender: it does what its parent asks for. */
export function serve(contender: Contender): void {
  let rows: Tenants = { tenants: [], ids: [] };
  let next = 0;

  async function run({ operation, count, concurrency }: RunRequest): Promise<RunAnswer> {
    const answer: RunAnswer = { microseconds: 0, right: 0, wrongTenant: 0, missingRows: 0, failed: 0 };
    const execute = contender.operations[operation];
    let left = count;
    const worker = async () => {
      while (left-- > 0) {
        const turn = next++;
        const owner = turn % rows.tenants.length;
        const tenantId = rows.tenants[owner]!;
        const ids = rows.ids[owner]!;
        try {
          const got = await execute(tenantId, ids[Math.floor(turn / rows.tenants.length) % ids.length]!);
          if (got.some((row) => row.tenantId !== tenantId)) answer.wrongTenant++;
          else if (got.length < EXPECTED_ROWS[operation]) answer.missingRows++;
          else answer.right++;
        } catch (error) {
          answer.failed++;
          answer.error ??= (error as Error).message;
        }
      }
    };
    const started = performance.now();
    await Promise.all(Array.from({ length: concurrency }, worker));
    answer.microseconds = ((performance.now() - started) * 1000) / count;
    return answer;
  }

  async function handle(request: ContenderRequest): Promise<ContenderAnswer> {
    if ('open' in request) {
      rows = request.open.rows;
      await contender.open({ ...request.open, tenants: rows.tenants });
      return { versions: contender.versions, node: process.version };
    }
    if ('run' in request) return { answer: await run(request.run) };
    await contender.close();
    return { done: true };
  }

  process.on('message', (request: ContenderRequest) => {
    void handle(request)
      .catch((error: unknown) => ({ error: (error as Error).stack ?? String(error) }))
      .then((answer) => process.send!(answer));
  });
  process.on('disconnect', () => process.exit());
}
