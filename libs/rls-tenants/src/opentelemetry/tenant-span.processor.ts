import type { Span } from '@opentelemetry/api';
import { tenantLogFields } from '../observability/index.js';

/**
 * A SpanProcessor that gives every span whom it is for: `rls.context` (`tenant`, `admin`, `nobody`), and `rls.tenant` or
 * `rls.reason`. That is the tenant context of the code that starts the span, at that moment: spans of `pg`, of HTTP
 * clients and of your own code have it; the span of an incoming request starts before its tenant is known.
 *
 * ```ts
 * new NodeSDK({ spanProcessors: [new TenantSpanProcessor(), new BatchSpanProcessor(exporter)] })
 * ```
 *
 * For `@opentelemetry/sdk-trace-base` 1 and 2, whose interface it has; it keeps nothing, and exports nothing.
 */
export class TenantSpanProcessor {
  onStart(span: Span): void {
    span.setAttributes(tenantLogFields());
  }

  onEnd(): void {}

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {}
}
