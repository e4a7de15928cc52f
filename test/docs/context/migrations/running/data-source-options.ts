import type { DataSourceOptions } from 'typeorm';

export declare const options: DataSourceOptions;
