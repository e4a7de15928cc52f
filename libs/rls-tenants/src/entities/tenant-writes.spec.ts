import {
  Entity,
  JoinColumn,
  JoinTable,
  ManyToMany,
  ManyToOne,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  type DataSource,
  type EntityMetadata,
} from 'typeorm';
import { unconnected } from '../../../../test/entities/support/unconnected.js';
import type { TenantContextState } from '../context/tenant-context.js';
import { TENANT_ID_TYPES, type TenantIdType } from '../context/tenant-id.js';
import { InvalidTenantIdError, NoTenantContextError, RlsViolationError } from '../errors.js';
import { refuseTenantMove, stampTenant, TenantColumn, tenantColumnOf, TenantScoped } from './index.js';

const IDS = {
  uuid: ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b'],
  integer: [1, 2],
  bigint: ['9007199254740993', '9007199254740994'],
  text: ['acme', 'globex'],
} as const;

function entitiesOf(type: TenantIdType) {
  @Entity()
  class Tenant {
    @PrimaryColumn({ type }) id!: string | number;
  }
  @Entity()
  @TenantScoped()
  class Room {
    @TenantColumn({ type, primary: true }) tenantId!: string | number;
    @PrimaryColumn('integer') id!: number;
  }
  @Entity()
  @TenantScoped()
  class Guest {
    @PrimaryGeneratedColumn() id!: number;
    @TenantColumn({ type }) tenantId!: string | number;
    @ManyToOne(() => Tenant) @JoinColumn({ name: 'tenant_id' }) tenant!: Tenant;
    @ManyToOne(() => Room)
    @JoinColumn([
      { name: 'tenant_id', referencedColumnName: 'tenantId' },
      { name: 'room_id', referencedColumnName: 'id' },
    ])
    room!: Room | null;
    @ManyToMany(() => Guest) @JoinTable({ name: 'friend' }) friends!: Guest[];
  }
  return [Tenant, Room, Guest];
}

const admin: TenantContextState = { kind: 'admin', reason: 'test' };
const nobody: TenantContextState = { kind: 'nobody' };

describe.each(TENANT_ID_TYPES)('with %s tenants', (type) => {
  const [A, B] = IDS[type];
  const inA: TenantContextState = { kind: 'tenant', tenantId: String(A) };
  let dataSource: DataSource;
  let guest: EntityMetadata;

  beforeAll(async () => {
    dataSource = await unconnected(entitiesOf(type));
    guest = dataSource.getMetadata('Guest');
  });

  describe('stampTenant()', () => {
    it('fills the tenant as TypeORM would load it, where it is undefined or null', () => {
      for (const entity of [{}, { tenantId: undefined }, { tenantId: null }, { tenant: null }]) {
        stampTenant(guest, entity, inA);
        expect(entity).toMatchObject({ tenantId: A });
      }
    });

    it('leaves an equal value as it is, in any spelling', () => {
      const spellings = [
        A,
        type === 'text' ? A : String(A).toUpperCase(),
        ...(type === 'integer' ? [1n, '1'] : []),
      ];
      for (const tenantId of spellings) {
        const entity = { tenantId };
        stampTenant(guest, entity, inA);
        expect(entity).toEqual({ tenantId });
      }
    });

    it('accepts the tenant named through a relation', () => {
      expect(() => stampTenant(guest, { tenant: { id: A } }, inA)).not.toThrow();
      expect(() => stampTenant(guest, { room: { id: 1, tenantId: A } }, inA)).not.toThrow();
      expect(() => stampTenant(guest, { room: { id: 1 } }, inA)).not.toThrow();
      expect(() => stampTenant(guest, { tenant: { id: A } }, admin)).not.toThrow();
    });

    it.each([
      ['by value', () => ({ tenantId: B })],
      ['through a relation', () => ({ tenant: { id: B } })],
      ['through a relation beside the right value', () => ({ tenantId: A, tenant: { id: B } })],
      ['through a relation given as an id', () => ({ tenant: B })],
      ['through a composite key', () => ({ room: { id: 1, tenantId: B } })],
      ['by an SQL expression', () => ({ tenantId: () => 'gen_random_uuid()' })],
      ['by an SQL expression in a relation', () => ({ tenant: { id: () => '1' } })],
    ])('refuses another tenant named %s', (_, entity) => {
      expect(() => stampTenant(guest, entity(), inA)).toThrow(RlsViolationError);
    });

    it.each([[{}], [['x']], [true], [''], ['null']])('refuses %p, which is no tenant id', (tenantId) => {
      expect(() => stampTenant(guest, { tenantId }, inA)).toThrow(InvalidTenantIdError);
    });

    it('wants an admin to say whose row it is, once and for all', () => {
      const entity = { tenantId: B };
      stampTenant(guest, entity, admin);
      expect(entity).toEqual({ tenantId: B });
      expect(() => stampTenant(guest, {}, admin)).toThrow(NoTenantContextError);
      expect(() => stampTenant(guest, { tenantId: null }, admin)).toThrow(NoTenantContextError);
      expect(() => stampTenant(guest, { tenantId: A, tenant: { id: B } }, admin)).toThrow(RlsViolationError);
      expect(() => stampTenant(guest, { tenantId: () => '1' }, admin)).toThrow(RlsViolationError);
    });

    it('refuses nobody, whatever the row names', () => {
      expect(() => stampTenant(guest, {}, nobody)).toThrow(NoTenantContextError);
      expect(() => stampTenant(guest, { tenantId: A }, nobody)).toThrow(NoTenantContextError);
    });

    it('leaves the row of a join table to the column default, and refuses an admin who names no tenant', () => {
      const friend = dataSource.getMetadata('friend');
      const values = { guestId_1: 1, guestId_2: 2 };
      expect(() => stampTenant(friend, undefined, inA)).not.toThrow();
      expect(() => stampTenant(friend, undefined, admin)).toThrow(
        expect.objectContaining({ hint: expect.stringContaining('Link rows inside tenantContext') }),
      );
      stampTenant(friend, values, inA);
      expect(values).toEqual({ guestId_1: 1, guestId_2: 2, tenant_id: A });
    });

    it('does not touch entities that are not tenant-scoped', () => {
      const entity = { id: B };
      stampTenant(dataSource.getMetadata('Tenant'), entity, nobody);
      expect(entity).toEqual({ id: B });
    });
  });

  describe('refuseTenantMove()', () => {
    const row = () => ({ id: 1, tenantId: A });
    const changed = () => [tenantColumnOf(guest)!];

    it('tolerates an update that leaves the tenant out or names the same', () => {
      for (const state of [inA, admin, nobody]) {
        for (const entity of [
          undefined,
          {},
          { id: 1, tenantId: A },
          { tenantId: String(A) },
          { tenant: { id: A } },
          { room: { id: 2 } },
        ]) {
          expect(() => refuseTenantMove(guest, entity, row(), [], state)).not.toThrow();
        }
      }
      expect(() => refuseTenantMove(guest, { tenantId: A }, undefined, undefined, inA)).not.toThrow();
    });

    it.each([
      ['by value', () => ({ tenantId: B })],
      ['to null', () => ({ tenantId: null })],
      ['through a relation', () => ({ tenant: { id: B } })],
      ['by removing a relation', () => ({ tenantId: A, tenant: null })],
      ['through a composite key', () => ({ room: { id: 1, tenantId: B } })],
      ['by an SQL expression', () => ({ tenantId: () => '1' })],
    ])('refuses a move %s, for a tenant, an admin and nobody', (_, entity) => {
      for (const state of [inA, admin, nobody]) {
        expect(() => refuseTenantMove(guest, entity(), row(), [], state)).toThrow(RlsViolationError);
        expect(() => refuseTenantMove(guest, entity(), undefined, [], state)).toThrow(RlsViolationError);
      }
    });

    it("refuses a query builder that names a tenant where the rows' own is not known", () => {
      expect(() => refuseTenantMove(guest, { tenantId: A }, undefined, [], admin)).toThrow(
        /whose tenant is not known/,
      );
    });

    it('refuses a change of the tenant column that names no tenant', () => {
      expect(() => refuseTenantMove(guest, undefined, row(), changed(), inA)).toThrow(RlsViolationError);
    });

    it('does not touch entities that are not tenant-scoped', () => {
      const tenant = dataSource.getMetadata('Tenant');
      expect(() => refuseTenantMove(tenant, { id: B }, { id: A }, [], nobody)).not.toThrow();
    });
  });
});
