import type { Suppression } from '../migration.js';
import { defineRule, type AnchoredFinding } from '../rule.js';

/** MIG085: suppressions that suppress nothing, or that give no reason. What they suppress is known only afterwards. */
export const unusedIgnoreRule = defineRule({
  id: 'MIG085',
  title: 'unused-ignore',
  severity: 'warning',
  reason:
    'A suppression that suppresses nothing hides the next finding in its place; one without a reason tells a reviewer nothing, and suppresses nothing either.',
  find: () => [],
});

/** What is wrong with one suppression. @param unused those of its rules that suppressed nothing. */
export function unusedIgnore(
  file: string,
  { line, ruleIds, reason }: Suppression,
  unused: readonly string[],
): AnchoredFinding[] {
  const { id: ruleId, title } = unusedIgnoreRule;
  const place = { ruleId, title, file, line, column: 1, anchorLine: line };
  const fix =
    'Write `// rls-lint-ignore MIG020: the reason` on a line above the statement, or remove the comment.';
  if (ruleIds.length === 0 || reason === '') {
    const missing = ruleIds.length === 0 ? 'rule' : 'reason';
    return [
      {
        ...place,
        severity: 'error',
        message: `The suppression names no ${missing}, so it suppresses nothing.`,
        fix,
      },
    ];
  }
  return unused.map((rule) => ({
    ...place,
    severity: 'warning',
    message: `There is no finding of ${rule} here to suppress.`,
    fix,
  }));
}
