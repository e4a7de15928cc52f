import { SEVERITIES, type Severity } from '../finding.js';
import { Html, html, plural } from './html.js';

/** What a cell of the matrix can show: each has a shape of its own, because not everybody tells the colours apart. */
export type Symbol = Severity | 'clean';

const SHAPES: Readonly<Record<Symbol, string>> = {
  critical:
    '<path d="M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z"/><path class="k" d="M5.2 5.2l5.6 5.6m0-5.6l-5.6 5.6"/>',
  error: '<circle cx="8" cy="8" r="7.2"/><path class="k" d="M8 3.8v5m0 2.2v1.4"/>',
  warning: '<path d="M8 1l7.4 13.6H.6z"/><path class="k" d="M8 5.8v4m0 1.4v1.4"/>',
  info: '<rect x="1.4" y="1.4" width="13.2" height="13.2" rx="3"/><path class="k" d="M8 7v5m0-8.2v1.4"/>',
  clean: '<path class="o" d="M3 8.6l3.4 3.4L13 4.6"/>',
};

/** The shapes, once per page; {@link symbol} refers to them. */
export const SYMBOLS: Html = new Html(
  `<svg class="defs" aria-hidden="true"><defs>${Object.entries(SHAPES)
    .map(([name, shape]) => `<symbol id="s-${name}" viewBox="0 0 16 16">${shape}</symbol>`)
    .join('')}</defs></svg>`,
);

/** Decoration: it needs text beside it. */
export function symbol(name: Symbol): Html {
  return html`<svg class="s" aria-hidden="true"><use href="#s-${name}" /></svg>`;
}

/** A severity with symbol and word. */
export function chip(severity: Severity): Html {
  return html`<span class="chip ${severity}">${symbol(severity)}${severity}</span>`;
}

/** `2 critical findings`, `1 warning`. */
export function severityCount(count: number, severity: Severity): string {
  return severity === 'critical' || severity === 'info'
    ? plural(count, `${severity} finding`)
    : plural(count, severity);
}

/** How many findings of each severity there are, worst first. */
export function countBySeverity(
  findings: readonly { readonly severity: Severity }[],
): { readonly severity: Severity; readonly count: number }[] {
  return SEVERITIES.map((severity) => ({
    severity,
    count: findings.filter((finding) => finding.severity === severity).length,
  }));
}
