import { growth } from './growth/growth.js';
import { policies } from './policies/policies.js';
import { profile } from './profile/profile.js';
import { sealed } from './sealed/sealed.js';
import { statements } from './statements/statements.js';
import type { Part } from './support/part.js';
import { throughput } from './throughput/throughput.js';

/** Every part, in the order in which they are run and reported. */
export const PARTS: readonly Part<unknown>[] = [statements, sealed, throughput, policies, growth, profile];
