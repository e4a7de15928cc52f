export type { User } from '../../common.js';
