import { Module, type OnApplicationBootstrap, type Type } from '@nestjs/common';
import { CommandFactory, CommandRunnerService, InjectCommander, type CommandRunner } from 'nest-commander';
import { explain } from './cli-output.js';
import { ExitCode } from './exit-code.js';

/** Commander's class, which nest-commander does not export. */
type CommanderCommand = Parameters<CommandRunner['setCommand']>[0];

const BIN_NAME = 'rls-tenants';

/**
 * Runs a command line with the commands of a module, and returns its exit code, {@link ExitCode.CouldNotRun} for
 * anything it does not understand. It neither exits the process nor throws.
 *
 * @param rootModule a module whose providers are nest-commander commands.
 * @param args the arguments, without node and script.
 */
export async function runCli(rootModule: Type, args: readonly string[]): Promise<number> {
  const { exitCode } = process;
  process.exitCode = undefined;
  try {
    const failures: unknown[] = [];
    const strict = { module: StrictCommandsModule, imports: [rootModule] };
    const app = await CommandFactory.createWithoutRunning(strict, {
      logger: false,
      abortOnError: false,
      errorHandler: rethrow,
      serviceErrorHandler: (error) => void failures.push(error),
    });
    try {
      await app.get(CommandRunnerService, { strict: false }).run(['node', BIN_NAME, ...args]);
    } finally {
      await app.close();
    }
    return failures.length > 0 ? exitCodeOf(failures[0]) : exitCodeOfCommand();
  } catch (error) {
    return exitCodeOf(error);
  } finally {
    process.exitCode = exitCode;
  }
}

/**
 * Ends the process with a code once everything written has left it: process.exit() alone would cut off what a slow pipe
 * has not taken yet, and waiting for the event loop to empty would hang on whatever a data source file leaves open.
 */
export async function exitAfterOutput(code: number): Promise<never> {
  await Promise.all(
    [process.stdout, process.stderr].map(
      (stream) => new Promise<void>((done) => stream.write('', () => done())),
    ),
  );
  process.exit(code);
}

/** Commands say by the process's exit code how they ended. */
function exitCodeOfCommand(): number {
  return Number(process.exitCode ?? ExitCode.Ok);
}

/** Commander reports its own errors; `--help` is one of them, with exit code 0. */
function exitCodeOf(error: unknown): number {
  const { code, exitCode } = error as { code?: unknown; exitCode?: unknown };
  if (typeof code === 'string' && code.startsWith('commander.'))
    return exitCode === 0 ? ExitCode.Ok : ExitCode.CouldNotRun;
  process.stderr.write(`${BIN_NAME} could not run: ${explain(error)}\n`);
  return ExitCode.CouldNotRun;
}

/** Commander calls process.exit() itself, with the exit code of findings, unless each command is told otherwise. */
@Module({})
class StrictCommandsModule implements OnApplicationBootstrap {
  constructor(@InjectCommander() private readonly program: CommanderCommand) {}

  onApplicationBootstrap(): void {
    this.program.name(BIN_NAME);
    for (const command of this.program.commands) command.exitOverride(rethrow).allowExcessArguments(false);
  }
}

function rethrow(error: Error): never {
  throw error;
}
