import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sealKeysFromEnvironment } from 'nestjs-rls-tenants';
import { ensureSealKeys } from './seal-keys.js';

let directory: string;
const given = process.env.RLS_SEAL_KEYS;

beforeEach(async () => {
  delete process.env.RLS_SEAL_KEYS;
  directory = await mkdtemp(join(tmpdir(), 'demo-seal-keys-'));
});
afterEach(async () => {
  if (given === undefined) delete process.env.RLS_SEAL_KEYS;
  else process.env.RLS_SEAL_KEYS = given;
  await rm(directory, { recursive: true });
});

it('makes a key at the first start, which later ones use, and nobody else may read', async () => {
  await ensureSealKeys(directory);
  const [key, ...others] = sealKeysFromEnvironment();
  delete process.env.RLS_SEAL_KEYS;
  await ensureSealKeys(directory);

  expect(sealKeysFromEnvironment()).toEqual([key]);
  expect(others).toEqual([]);
  expect(key!.secret).toHaveLength(32);
  expect((await stat(join(directory, 'seal-keys'))).mode & 0o777).toBe(0o600);
});

it('is one key for processes that start at the same time', async () => {
  await Promise.all([1, 2, 3, 4].map(() => ensureSealKeys(join(directory, 'new'))));
  expect(await readFile(join(directory, 'new', 'seal-keys'), 'utf8')).toBe(process.env.RLS_SEAL_KEYS);
});

it('leaves a key that was given alone, and keeps none', async () => {
  process.env.RLS_SEAL_KEYS = 'mine:x';
  await ensureSealKeys(directory);

  expect(process.env.RLS_SEAL_KEYS).toBe('mine:x');
  await expect(stat(join(directory, 'seal-keys'))).rejects.toMatchObject({ code: 'ENOENT' });
});
