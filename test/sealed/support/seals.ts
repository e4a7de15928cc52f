import { createHmac } from 'node:crypto';
import type { SealKey } from '../../../libs/rls-tenants/src/connection/index.js';

/** What a seal says, beside whose it is. */
export interface SealFields {
  version?: string;
  /** Default: the key's. */
  keyId?: string;
  /** Unix time in seconds. Default: in a minute. */
  expires?: number;
  /** Default: any. */
  backend?: number;
  setting?: string;
}

/** A seal as Node.js makes it, written down once more: what the database verifies must not depend on the library's code. */
export function sealBy(
  key: SealKey,
  tenant: string,
  readable = '',
  {
    version = '1',
    keyId = key.id,
    expires = secondsFromNow(60),
    backend = 0,
    setting = 'rls.current_tenant',
  }: SealFields = {},
): string {
  const header = `${version}.${keyId}.${expires}.${backend}`;
  const message = `${setting}\n${header}\n${Buffer.byteLength(tenant)}\n${tenant}${readable}`;
  return `${header}.${createHmac('sha256', key.secret).update(message).digest('hex')}`;
}

export function secondsFromNow(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}
