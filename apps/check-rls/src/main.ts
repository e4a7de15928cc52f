import { exitAfterOutput, runCli } from 'nestjs-rls-tenants/cli';
import { CheckRlsModule } from './check-rls.module.js';

const given = process.argv.slice(2);
const elsewhere = given.some((argument) => /^--(data-source|url|config)\b/.test(argument));
const config = elsewhere ? [] : ['--config', 'apps/demo/rls-tenants.config.json'];

// `nest start check-rls -- --verbose`: the application is the command.
await exitAfterOutput(await runCli(CheckRlsModule, ['check-rls', ...config, ...given]));
