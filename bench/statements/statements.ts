import type { Part } from '../support/part.js';
export const statements: Part<unknown> = {
  name: 'statements',
  title: 'Statement cost',
  run: async () => ({}),
  report: () => ({ markdown: '', charts: [], targets: [] }),
};
