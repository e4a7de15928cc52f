/** What the migrations state of their day. A migration is history: it reads nothing from the application, and this file does not change. */
export const settings = { tenantIdType: 'uuid', appRole: 'demo_app', adminRole: 'rls_admin' } as const;
