import { fails, htmlReport, type JudgedReport } from '../audit/index.js';
import { githubReport } from './check-rls.github.js';
import { junitReport } from './check-rls.junit.js';
import { markdownReport } from './check-rls.markdown.js';
import { textReport } from './check-rls.report.js';
import { sarifReport } from './check-rls.sarif.js';

/** What a format may know beside the report. */
export interface ReportView {
  /** Whether escape sequences for colours belong in the text. */
  readonly colors: boolean;
  readonly verbose: boolean;
  /** A file of the repository to show findings beside, for those that show nothing without one. */
  readonly place: string;
}

/** How `check-rls` writes a report. A new format is a function here. */
export const REPORT_FORMATS = {
  text: textReport,
  json: jsonReport,
  sarif: sarifReport,
  github: githubReport,
  junit: junitReport,
  markdown: markdownReport,
  html: (report) => htmlReport(report),
} as const satisfies Record<string, (report: JudgedReport, view: ReportView) => string>;

/** The name of a format. */
export type ReportFormat = keyof typeof REPORT_FORMATS;

/** Everything, for machines. `ok` is what the exit code says. */
function jsonReport(report: JudgedReport): string {
  const ok = !report.findings.some((finding) => fails(finding, report));
  return `${JSON.stringify({ ok, ...report }, null, 2)}\n`;
}
