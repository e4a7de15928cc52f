import { createHash } from 'node:crypto';
import { findingsSection } from './findings-section.js';
import { Html, html } from './html.js';
import { matrixSection } from './matrix-section.js';
import { policiesSection } from './policies-section.js';
import { modelOf } from './report-model.js';
import { REPORT_SCRIPT } from './report-script.js';
import { REPORT_STYLE } from './report-style.js';
import { rolesSection } from './roles-section.js';
import { summarySection, verdictOf } from './summary-section.js';
import { SYMBOLS } from './symbols.js';
import type { JudgedReport } from '../report.js';

/**
 * The report as one HTML file to look at: verdict, tables against tiers, findings with their fixes, roles and who may
 * become whom, and the policies. It asks for nothing from anywhere; what comes from the database is escaped, and a
 * content security policy allows only the page's own style and script. It can be read without the script.
 *
 * @param at when the database was audited.
 */
export function htmlReport(report: JudgedReport, at: Date = new Date()): string {
  const model = modelOf(report);
  const roles = rolesSection(report);
  const page = html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta http-equiv="Content-Security-Policy" content="${CONTENT_SECURITY_POLICY}" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <meta name="referrer" content="no-referrer" />
      <title>${report.database}: ${verdictOf(report)}</title>
      ${new Html(`<style>${REPORT_STYLE}</style>`)}
    </head>
    <body>
      <a class="skip" href="#findings">Skip to the findings</a>
      ${SYMBOLS}
      <main>
        ${summarySection(report, at)}
        <nav aria-label="Sections">
          <a href="#matrix">Tables and tiers</a>
          <a href="#findings">Findings</a>
          ${roles && html`<a href="#roles">Roles</a>`}
          <a href="#policies">Policies</a>
        </nav>
        ${matrixSection(model)} ${findingsSection(model)} ${roles} ${policiesSection(model)}
      </main>
      ${new Html(`<script>${REPORT_SCRIPT}</script>`)}
    </body>
  </html>`;
  return `<!doctype html>\n${page.markup}\n`;
}

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src ${hashOf(REPORT_STYLE)}`,
  `script-src ${hashOf(REPORT_SCRIPT)}`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
