export type { User } from '../../common.js';

export declare function CurrentUser(): ParameterDecorator;
