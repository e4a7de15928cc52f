import { ExitCode, RlsCliModule, runCli } from 'nestjs-rls-tenants/cli';
import type { Steps } from './work.process.js';

type Command = readonly string[];

export async function commandSteps(warmUp: Command, work: Command): Promise<Steps> {
  return { warmUp: () => run(warmUp), work: () => run(work) };
}

async function run(command: Command): Promise<void> {
  const code = await runCli(RlsCliModule, command);
  if (code === ExitCode.CouldNotRun) throw new Error(`${command.join(' ')} could not run.`);
  // Findings are no failure of this process.
  process.exitCode = 0;
}
