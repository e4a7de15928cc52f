import type { SpanExporter } from '@opentelemetry/sdk-trace-base';

export declare const exporter: SpanExporter;

/** Where the application keeps what auditors read. */
export declare const auditTrail: { append(record: object): void };

export class AppModule {
  readonly name = 'app';
}
