import { describeMachine } from '../../support/machine.js';

/** Of the workspace's own packages. */
export const VERSIONS = describeMachine().packages;
