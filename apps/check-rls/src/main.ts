import { exitAfterOutput, runCli } from 'nestjs-rls-tenants/cli';
import { CheckRlsModule } from './check-rls.module.js';

// `nest start check-rls -- --verbose`: the application is the command.
await exitAfterOutput(await runCli(CheckRlsModule, ['check-rls', ...process.argv.slice(2)]));
