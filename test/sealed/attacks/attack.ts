/** One attack: what tenant A sends, as data. The suite, and the table in docs/guides/sealed-attacks.md, are made from it. */
export interface Attack {
  /** Letter of the family and a number; it stays, whatever is added. */
  readonly id: string;
  readonly title: string;
  readonly tries: string;
  readonly steps: readonly Step[];
  /**
   * What becomes of it where policies are plain and the app role may become the admin role. `'nothing to take'`: it is
   * after what only the sealed form has.
   */
  readonly plain: 'leaks' | 'holds' | 'nothing to take';
  /** What becomes of it on the sealed form where the app role may create objects. Default `'holds'`. */
  readonly misconfigured?: 'leaks';
  /** Why the sealed form does not stop it. Default: it does. */
  readonly open?: string;
  /** SQL of the superuser before the attack, and after it. */
  readonly prepare?: string;
  readonly undo?: string;
  /** `server_version_num` of the first PostgreSQL that has what it needs. */
  readonly since?: number;
}

/** A family of attacks. */
export interface Family {
  readonly letter: string;
  readonly name: string;
  readonly attacks: readonly Attack[];
}

/** Who a request acts for. */
export type Caller = 'A' | 'B' | 'nobody';

/**
 * What happens next, always on the same pooled connection:
 * - `sql`: a request of one caller; A and nobody send what the attacker wrote, B what an innocent application sends
 * - `search`: A's input in a statement of the application that builds its text from it
 * - `filter`: A's input in a query builder's `where`
 * - `save`: a request that writes a note, as the application does
 * - `named`: a request that sends a statement under a name, as node-postgres prepares it
 * - `together`: requests that an application runs in one transaction, each in its own context
 * - `meanwhile`: a request of B on another connection that is under way while the attacker's run
 * - `learn`: a program that asks PostgreSQL as A, step by step, and says what it learned
 *
 * In all SQL `{A}`, `{B}`, `{app}`, `{admin}`, `{migrator}`, `{db}` and the seals of harness.ts are replaced.
 */
export type Step =
  | { readonly by: Caller; readonly sql: string; readonly pool?: true }
  | { readonly by: Caller; readonly search: string }
  | { readonly by: Caller; readonly filter: string }
  | { readonly by: Caller; readonly save: string }
  | { readonly by: Caller; readonly named: string; readonly sql: string; readonly values?: readonly string[] }
  | { readonly together: readonly Step[] }
  | { readonly meanwhile: Meanwhile; readonly sql: string; readonly attacker: readonly Step[] }
  | { readonly learn: (ask: (sql: string) => Promise<string>) => Promise<string> };

/** How B's statement is sent that is under way meanwhile. */
export type Meanwhile = 'text' | 'parameters' | 'copy' | 'cursor' | 'stream' | 'transaction';

export const a = (sql: string): Step => ({ by: 'A', sql });
export const b = (sql: string): Step => ({ by: 'B', sql });
export const nobody = (sql: string): Step => ({ by: 'nobody', sql });

/** What A sends to read whatever is visible now. */
export const READ = 'SELECT body FROM note';

/** One statement that does something, reads notes, and shows them in the message of an error. */
export function loot(first: string, from = READ): Step {
  return a(`DO $do$ DECLARE loot text; BEGIN ${first} SELECT string_agg(t::text, ',') INTO loot FROM (${from}) AS t;
    RAISE EXCEPTION 'loot: %', loot; END $do$`);
}

/** The same for a first statement that PostgreSQL may refuse: then the attacker goes on without. */
export function lootAfter(first: string, from = READ): Step {
  return loot(attempt(first), from);
}

/** PL/pgSQL that runs a command and swallows what PostgreSQL says to it. */
export function attempt(command: string): string {
  return `BEGIN EXECUTE $c$${command}$c$; EXCEPTION WHEN OTHERS THEN NULL; END;`;
}

/** PL/pgSQL that makes the transaction B's, with a seal (an SQL expression). */
export function become(seal: string): string {
  return `PERFORM set_config('rls.current_tenant', '{B}', true), set_config('rls.seal', ${seal}, true);`;
}

/** An SQL expression that makes the transaction B's. */
export const TO_B = `set_config('rls.current_tenant', '{B}', true)`;
