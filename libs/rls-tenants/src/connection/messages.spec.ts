import { Fronts } from './front.js';
import { bind, execute, kept, parse } from './messages.js';
import { Sealer } from './sealer.js';
import { SealedMessages } from './sealed-messages.js';

const OPTIONS = {
  tenantIdType: 'uuid',
  tenantSetting: 'rls.current_tenant',
  adminRole: 'rls_admin',
} as const;
const TENANT = '00000000-0000-4000-8000-000000000001';

it('keeps messages one after the other', () => {
  const messages = [parse('', 'SELECT $1'), bind('', 'ä'), execute()];
  expect(kept(...messages)).toEqual(Buffer.concat(messages));
  expect(kept()).toEqual(Buffer.alloc(0));
});

describe('what is kept for a tenant is not a piece of a larger buffer', () => {
  const ownBytes = ({ buffer, byteLength }: Buffer) => buffer.byteLength === byteLength;

  it('control: a concatenation is', () => {
    expect(ownBytes(Buffer.concat([execute(), execute()]))).toBe(false);
  });

  it('in each form of a front', () => {
    const front = new Fronts(OPTIONS, new Set()).of({ kind: 'tenant', tenantId: TENANT }, 0);
    for (const messages of [front.messages, front.askingMessages, front.preparedMessages])
      expect(ownBytes(messages)).toBe(true);
  });

  it('under a seal', async () => {
    const sealer = await Sealer.of(
      { keys: [{ id: 'key', secret: Buffer.alloc(32, 1) }] },
      OPTIONS.tenantSetting,
    );
    expect(ownBytes(new SealedMessages(sealer, 'SELECT $1, $2', TENANT, '').of(1))).toBe(true);
  });
});
