import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Where the absolute figures of a result come from. They mean nothing without it. */
export interface Machine {
  processor: string;
  cores: number;
  memoryGiB: number;
  system: string;
  node: string;
  packages: Record<string, string>;
}

const MEASURED_PACKAGES = ['pg', 'typeorm', '@nestjs/core', 'nestjs-cls'];

export function describeMachine(): Machine {
  const require = createRequire(import.meta.url);
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.version,
    packages: Object.fromEntries(MEASURED_PACKAGES.map((name) => [name, versionOf(require, name)])),
  };
}

/** Not `require('<name>/package.json')`: not every package exports that. */
function versionOf(require: NodeJS.Require, name: string): string {
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return (JSON.parse(readFileSync(`${folder}/${name}/package.json`, 'utf8')) as { version: string })
        .version;
    } catch {
      // looked for in the next folder
    }
  }
  return 'not found';
}
