import { ClsServiceManager } from 'nestjs-cls';

const UNSCOPED = Symbol('nestjs-rls-tenants: unscoped');

/**
 * Runs `fn` and leaves auto-scoping out of the queries that TypeORM builds in it, for a query whose plan is worse with
 * the tenant as a literal. Isolation stays as it is: the policy still decides which rows there are, and the tenant
 * context does not change. The effect ends with `fn`; work started inside keeps it.
 *
 * ```ts
 * const notes = await unscoped(() => this.notes.findBy({ body: Like('a%') }));
 * ```
 *
 * @returns what `fn` returns.
 */
export function unscoped<T>(fn: () => T): T {
  const cls = ClsServiceManager.getClsService();
  return cls.runWith({ ...cls.get(), [UNSCOPED]: true }, fn);
}

/** Whether the current call chain is inside of {@link unscoped}. */
export function isUnscoped(): boolean {
  return ClsServiceManager.getClsService().get(UNSCOPED) === true;
}
