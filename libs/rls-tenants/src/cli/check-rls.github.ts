import { fails, type JudgedReport } from '../audit/index.js';
import { remarksOf } from './check-rls.remarks.js';
import { workflowCommand } from './workflow-command.js';

/** Workflow commands: what fails as errors, the rest as warnings and notices, and what was not checked. */
export function githubReport(report: JudgedReport): string {
  const findings = report.findings.map((finding) => {
    const { ruleId, title, severity, object, message, fix } = finding;
    const calm = severity === 'info' ? 'notice' : 'warning';
    return workflowCommand(
      fails(finding, report) ? 'error' : calm,
      { title: `${ruleId} ${title}` },
      `${object}: ${message}\nFix: ${fix}`,
    );
  });
  const remarks = remarksOf(report).map(({ text, isWarning }) =>
    workflowCommand(isWarning ? 'warning' : 'notice', { title: 'check-rls' }, text),
  );
  return [...findings, ...remarks].join('');
}
