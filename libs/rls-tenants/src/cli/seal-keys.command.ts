import { Command, Help, Option } from 'nest-commander';
import { DataSource } from 'typeorm';
import { SEAL_KEYS_VARIABLE } from '../connection/index.js';
import { RlsConfigurationError } from '../errors.js';
import { DEFAULT_TENANT_SETTING } from '../policies/index.js';
import { processOutput } from './cli-output.js';
import { MigrationDataSourceCommand } from './migration-data-source.command.js';
import { newSealKey, sealKeys, type SealKeysCommandOptions } from './seal-keys.js';

interface SealKeysArguments extends SealKeysCommandOptions {
  dataSource?: string;
  url?: string;
  generate?: boolean;
}

/**
 * `rls-tenants seal-keys`: makes the database's keys of the tenant seal those of an environment variable, or makes a new
 * key. It prints no secret but that of the new key.
 */
@Command({
  name: 'seal-keys',
  description: 'Give the database the keys of the tenant seal, list them, or make a new one',
})
export class SealKeysCommand extends MigrationDataSourceCommand {
  async run(_arguments: string[], { generate, ...given }: SealKeysArguments = {}): Promise<void> {
    if (generate) {
      checkAlone(given);
      process.stdout.write(`${newSealKey()}\n`);
      return;
    }
    const { dataSource, url, ...options } = given;
    process.exitCode = await sealKeys(() => this.loadFrom(dataSource, url), options, processOutput());
  }

  private async loadFrom(file: string | undefined, url: string | undefined): Promise<DataSource> {
    if (url === undefined) return this.load(file);
    if (file === undefined) return new DataSource({ type: 'postgres', url });
    throw new RlsConfigurationError('Both --data-source and --url are given.', 'Pass one of them.');
  }

  @Option({ flags: '--url <connection string>', description: "database, with the migration role's login" })
  parseUrl(url: string): string {
    return url;
  }

  @Option({
    flags: '--from <variable>',
    description: `environment variable that holds the keys (default: "${SEAL_KEYS_VARIABLE}")`,
  })
  parseFrom(variable: string): string {
    return variable;
  }

  @Option({ flags: '--prune', description: 'remove the keys that the variable does not hold' })
  parsePrune(): boolean {
    return true;
  }

  @Option({
    flags: '--check',
    description: 'change nothing; exit code 1 if the keys of the database are to be changed',
  })
  parseCheck(): boolean {
    return true;
  }

  @Option({ flags: '--generate', description: 'print a new key, and touch no database' })
  parseGenerate(): boolean {
    return true;
  }

  @Option({
    flags: '--tenant-setting <name>',
    description: `tenant setting whose seal it is (default: "${DEFAULT_TENANT_SETTING}")`,
  })
  parseTenantSetting(name: string): string {
    return name;
  }

  @Option({ flags: '--format <format>', description: 'text (default) or json' })
  parseFormat(format: string): SealKeysCommandOptions['format'] {
    if (format === 'text' || format === 'json') return format;
    throw new RlsConfigurationError(`Unknown format ${JSON.stringify(format)}.`, 'It is text or json.');
  }

  @Help('after')
  help(): string {
    return `
The variable holds keys as \`<id>:<secret in base64>[:<when it expires, ISO 8601>]\`, separated by commas. Applications seal
with the first one that has not expired; the database takes seals of every key it has. So a key comes to the database
before the applications, and leaves it after them:
  1. Put a new key in front of the old one, run seal-keys, then deploy the applications with both.
  2. Once none runs without the new key, take the old one out of the variable, and run seal-keys --prune.

A secret never changes under its id, and is printed by --generate only. Where PostgreSQL logs the parameters of
statements, its log holds the keys that were added.

Examples:
  $ rls-tenants seal-keys --generate
  $ RLS_SEAL_KEYS=… rls-tenants seal-keys --data-source dist/migration-data-source.js
  $ RLS_SEAL_KEYS=… rls-tenants seal-keys --url postgres://migrator@db.example.com/shop --prune
  $ RLS_SEAL_KEYS=… rls-tenants seal-keys --data-source dist/migration-data-source.js --check --format json

Exit codes: 0 done, 1 --check found other keys in the database, 2 could not run.`;
  }
}

function checkAlone(given: object): void {
  const [other] = Object.keys(given);
  if (other === undefined) return;
  throw new RlsConfigurationError(
    '--generate is given with other options.',
    'It prints a new key and touches no database: give it alone.',
  );
}
