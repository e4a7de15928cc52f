import { hashPassword, verifyPassword } from './password.js';

it('a password is verified against its own hash only', async () => {
  const hash = await hashPassword('demo');

  expect(hash).not.toContain('demo');
  expect(await hashPassword('demo')).not.toBe(hash);
  expect(await verifyPassword('demo', hash)).toBe(true);
  expect(await verifyPassword('Demo', hash)).toBe(false);
  expect(await verifyPassword('demo', hash.slice(0, -2))).toBe(false);
});

it('no hash is no match, whatever the password', async () => {
  for (const hash of [undefined, '', 'scrypt', 'scrypt$$', 'plain$demo$demo']) {
    expect(await verifyPassword('demo', hash)).toBe(false);
    expect(await verifyPassword('', hash)).toBe(false);
  }
});
