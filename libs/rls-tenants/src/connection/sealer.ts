import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { withoutTenant } from '../context/tenant-context.js';
import { RlsConfigurationError } from '../errors.js';
import { sealMessage, sealObjectsOf, sealText } from '../policies/index.js';
import { checkSealKeys, type SealKey, type SealOptions } from './seal.options.js';

const LIFETIME_SECONDS = 300;
const SHORTEST_LIFETIME_SECONDS = 10;

/** Makes the seals of one data source, with the first of its keys that has not expired. */
export class Sealer {
  private signing!: { readonly id: string; readonly secret: KeyObject; readonly until: number };
  /** Unix time in seconds, of the seals that are made now. */
  private expires = 0;
  /** Unix time in milliseconds. */
  private renewAt = 0;
  private current = 0;
  private asking = false;
  private failure: unknown;

  private constructor(
    private readonly options: SealOptions,
    private readonly tenantSetting: string,
    private readonly lifetimeMs: number,
    private keys: readonly SealKey[],
  ) {
    this.renew();
  }

  /** @throws RlsConfigurationError if the options are no good, or every key has expired; whatever `keys` throws. */
  static async of(options: SealOptions, tenantSetting: string): Promise<Sealer> {
    sealObjectsOf(tenantSetting); // refuses a setting that cannot be sealed
    const { lifetime = LIFETIME_SECONDS, keys } = options;
    if (!Number.isFinite(lifetime) || lifetime < SHORTEST_LIFETIME_SECONDS) {
      throw new RlsConfigurationError(
        `\`seal.lifetime\` is ${lifetime}.`,
        `It is a number of seconds, ${SHORTEST_LIFETIME_SECONDS} at least.`,
      );
    }
    const known = checkSealKeys(typeof keys === 'function' ? await withoutTenant(keys) : keys);
    if (!known.some(isValid)) throw allExpired(known);
    return new Sealer(options, tenantSetting, lifetime * 1000, known);
  }

  /** Changes when seals that were made before are to be made anew. */
  get generation(): number {
    if (Date.now() >= this.renewAt) {
      this.renew();
      void this.askAgain();
    }
    return this.current;
  }

  /** Why nothing can be sealed now; undefined if it can. */
  refusal(): Error | undefined {
    if (Date.now() < this.signing.until || this.keys.some(isValid)) return undefined;
    void this.askAgain();
    return allExpired(this.keys, this.failure);
  }

  /**
   * The seal of a tenant, and of what a set context reads besides.
   *
   * @param backend the process id of the backend that it is for; 0 where that cannot be known.
   */
  seal(tenant: string, readable: string, backend: number): string {
    const { signing, expires } = this;
    const fields = { keyId: signing.id, expires, backend };
    const message = sealMessage(this.tenantSetting, fields, tenant, readable);
    return sealText({ ...fields, mac: createHmac('sha256', signing.secret).update(message).digest('hex') });
  }

  private renew(): void {
    const now = Date.now();
    this.current++;
    this.expires = Math.floor((now + this.lifetimeMs) / 1000);
    this.renewAt = now + this.lifetimeMs / 2;
    const key = this.keys.find(isValid);
    // With none, what is under way goes out with the last one, and the database refuses it by name.
    if (!key) return;
    const until = key.expiresAt?.getTime() ?? Infinity;
    this.signing = { id: key.id, secret: createSecretKey(key.secret), until };
    this.renewAt = Math.min(this.renewAt, until);
  }

  private async askAgain(): Promise<void> {
    const { keys } = this.options;
    if (typeof keys !== 'function' || this.asking) return;
    this.asking = true;
    try {
      // Not for the tenant whose statement happened to find the answer too old.
      this.keys = checkSealKeys(await withoutTenant(keys));
      this.failure = undefined;
      this.renew(); // an answer may have changed the key that signs, or when it expires
    } catch (error) {
      this.failure = error;
      process.emitWarning(
        `The keys of the tenant seal could not be read again; the last ones stay in use: ${(error as Error).message}`,
        'RlsTenantsWarning',
      );
    } finally {
      this.asking = false;
    }
  }
}

function isValid({ expiresAt }: SealKey): boolean {
  return expiresAt === undefined || expiresAt.getTime() > Date.now();
}

function allExpired(keys: readonly SealKey[], cause?: unknown): RlsConfigurationError {
  return new RlsConfigurationError(
    `Every key of the tenant seal has expired: ${keys.map(({ id }) => `"${id}"`).join(', ')}.`,
    'Add a key in front of them, in the database first: `rls-tenants seal-keys`.',
    { cause },
  );
}
