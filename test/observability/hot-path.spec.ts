import { Channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { DataSource } from 'typeorm';
import { Isolation } from '../../libs/rls-tenants/src/connection/isolation.js';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/index.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

const CHANNELS = [
  'rls-tenants:admin-context',
  'rls-tenants:admin-context-ended',
  'rls-tenants:statement-refused',
  'rls-tenants:violation',
  'rls-tenants:tenant-switch',
];

describe('On the hot path', () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    dataSource = await db.isolated();
  });
  afterAll(() => db.drop());
  afterEach(() => jest.restoreAllMocks());

  const refused = () => dataSource.query('SELECT * FROM note').catch((error: Error) => error.name);
  const violation = () =>
    tenantContext(A, () =>
      dataSource.query('INSERT INTO note (tenant_id, body) VALUES ($1, $2)', [B, 'stolen']),
    ).catch((error: Error) => error.name);
  const find = () => tenantContext(A, () => dataSource.getRepository(Note).find());
  const everything = async () => [
    await find(),
    await refused(),
    await violation(),
    await adminContext('hot path', () => dataSource.query('SELECT 1 AS one')),
  ];
  const ALL_OF_IT = [[], 'NoTenantContextError', 'RlsViolationError', [{ one: 1 }]];

  it('nothing is published, so that no event is made, where nobody subscribes', async () => {
    const publish = jest.spyOn(Channel.prototype, 'publish');
    expect(await everything()).toEqual(ALL_OF_IT);
    expect(publish).not.toHaveBeenCalled();
  });

  it('everything is published where somebody does', async () => {
    const heard: string[] = [];
    const listener = (_event: unknown, name: string | symbol) => void heard.push(String(name));
    for (const name of CHANNELS) subscribe(name, listener);
    expect(await everything()).toEqual(ALL_OF_IT);
    for (const name of CHANNELS) unsubscribe(name, listener);
    expect(heard).toEqual([
      'rls-tenants:statement-refused',
      'rls-tenants:violation',
      'rls-tenants:admin-context',
      'rls-tenants:admin-context-ended',
    ]);
  });

  it('no stack is taken: of an admin context where somebody subscribes, of a tenant’s never', () => {
    const stacks = jest.spyOn(Error, 'captureStackTrace');
    const taken = (work: () => unknown) => {
      stacks.mockClear();
      work();
      return stacks.mock.calls.length;
    };
    const asAdmin = () => adminContext('hot path', () => undefined);
    const asTenant = () => tenantContext(A, () => undefined);
    expect([taken(asAdmin), taken(asTenant)]).toEqual([0, 0]);
    const listener = () => undefined;
    for (const name of CHANNELS) subscribe(name, listener);
    const observed = [taken(asAdmin), taken(asTenant)];
    for (const name of CHANNELS) unsubscribe(name, listener);
    expect(observed).toEqual([1, 0]);
  });

  it('an admin context makes no promise and returns the very one of its function, where nobody subscribes', () => {
    const promise = Promise.resolve(1);
    expect(adminContext('hot path', () => promise)).toBe(promise);
  });

  it('counters are plain numbers, in the same places from the first statement to the last', async () => {
    const { counts } = Isolation.get(dataSource)!;
    const { carried, refused: ofRefused, violations } = counts;
    const before = carried.tenant;
    for (let n = 0; n < 50; n++) await find();
    expect(carried.tenant).toBe(before + 50);
    expect(counts).toEqual({ carried, refused: ofRefused, violations });
    for (const [name, numbers] of Object.entries(counts)) {
      expect(counts[name as keyof typeof counts]).toBe({ carried, refused: ofRefused, violations }[name]);
      const properties = Object.values(Object.getOwnPropertyDescriptors(numbers));
      expect(properties).toHaveLength(3);
      for (const property of properties) {
        expect(property).toMatchObject({ value: expect.any(Number), writable: true });
        expect(Number.isSafeInteger(property.value)).toBe(true);
      }
    }
  });
});
