import { RlsCliModule, runCli } from '../../libs/rls-tenants/src/cli/index.js';

const SETUP_ROLES = ['setup-roles', '--app-role', 'app', '--migration-role', 'migrator'];

beforeEach(() => {
  jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  jest.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(() => {
  jest.restoreAllMocks();
  process.exitCode = undefined;
});

it('returns the exit code of its own run, and leaves the process its own', async () => {
  process.exitCode = 7;
  expect(await runCli(RlsCliModule, SETUP_ROLES)).toBe(0);
  expect(await runCli(RlsCliModule, ['no-such-command'])).toBe(2);
  expect(await runCli(RlsCliModule, SETUP_ROLES)).toBe(0);
  expect(process.exitCode).toBe(7);
});

it('the exit code that a command says is returned, and not left to the next run', async () => {
  expect(await runCli(RlsCliModule, ['lint-migrations', 'no-such-file.ts'])).toBe(2);
  expect(await runCli(RlsCliModule, SETUP_ROLES)).toBe(0);
  expect(process.exitCode).toBeUndefined();
});
