import { harborClinic } from './harbor-clinic.js';
import { northwindBikes } from './northwind-bikes.js';

/** The two workspaces one can sign in to. */
export const DEMO_WORKSPACES = [northwindBikes, harborClinic] as const;

/** Every demo account's password. It is public on purpose; the hashes in the database are made as for a secret one. */
export const DEMO_PASSWORD = 'demo';

/** Who can sign in, by workspace, without anything secret. */
export const DEMO_ACCOUNTS = DEMO_WORKSPACES.map(({ id, name, users }) => ({ id, name, users }));
