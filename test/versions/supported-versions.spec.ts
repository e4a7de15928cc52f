import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import {
  assertSupportedPostgres,
  assertSupportedVersions,
  isInRange,
} from '../../libs/rls-tenants/src/supported-versions.js';

/** The configuration error that a call throws. */
function errorOf(call: () => void): RlsConfigurationError {
  try {
    call();
  } catch (error) {
    if (error instanceof RlsConfigurationError) return error;
    throw error;
  }
  throw new Error('It was not refused.');
}

describe('a version that is not supported', () => {
  let home: string;
  beforeAll(() => (home = mkdtempSync(join(tmpdir(), 'versions-'))));
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  function install(name: string, version: string): void {
    mkdirSync(join(home, 'node_modules', name), { recursive: true });
    writeFileSync(join(home, 'node_modules', name, 'package.json'), JSON.stringify({ name, version }));
  }

  it.each([
    ['typeorm', '0.2.45'],
    ['typeorm', '2.0.0'],
    ['@nestjs/common', '10.4.22'],
    ['@nestjs/core', '13.0.0'],
    ['pg', '7.18.2'],
    ['nestjs-cls', '5.4.3'],
    ['pg-boss', '12.38.0'],
    ['bullmq', '4.18.3'],
  ])('%s %s is refused: the message has both and the range, the hint the command', (name, version) => {
    install(name, version);
    const { message, hint } = errorOf(() => assertSupportedVersions([name], home));
    expect(message).toMatch(`${name} ${version} is not supported: nestjs-rls-tenants `);
    expect(message).toMatch(/ needs \^[\d.]+( \|\| \^[\d.]+)*\.$/);
    expect(hint).toContain(`npm install "${name}@^`);
  });

  it('is not looked for in what is installed here, which is supported', () => {
    const names = ['@nestjs/common', '@nestjs/core', '@nestjs/typeorm', 'typeorm', 'pg', 'nestjs-cls'];
    expect(() => assertSupportedVersions(names)).not.toThrow();
    // The control: the same call finds them.
    expect(() => assertSupportedVersions(names, home)).toThrow(RlsConfigurationError);
  });

  it('is not claimed of what is not found', () => {
    expect(() => assertSupportedVersions(['squawk-cli'], home)).not.toThrow();
  });

  it('PostgreSQL 13 is refused, 14 and what does not tell its version are not', () => {
    expect(errorOf(() => assertSupportedPostgres('13.14')).message).toBe(
      'PostgreSQL 13.14 is not supported: nestjs-rls-tenants needs 14 or later.',
    );
    for (const version of ['14.0', '18.1', '19beta1', undefined]) {
      expect(() => assertSupportedPostgres(version)).not.toThrow();
    }
  });
});

describe('a caret range', () => {
  it.each([
    ['1.2.3', '^1.2.3', true],
    ['1.10.0', '^1.2.3', true],
    ['1.2.2', '^1.2.3', false],
    ['2.0.0', '^1.2.3', false],
    ['0.3.31', '^0.3.20', true],
    ['0.3.9', '^0.3.20', false],
    ['0.4.0', '^0.3.20', false],
    ['1.0.0', '^0.3.20 || ^1.0.0', true],
    ['12.0.0-next.1', '^11.0.0 || ^12.0.0', true],
  ])('%s is in %s: %s', (version, range, expected) => {
    expect(isInRange(version, range)).toBe(expected);
  });
});
