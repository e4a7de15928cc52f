export { options } from './data-source-options.js';

export declare const username: string;
export declare const password: string;
