import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

// With source maps the frames of `dist` are shown as those of `src`: both are below the package.
const LIBRARY = join(import.meta.dirname, '../..') + sep;

// "at name (/file.ts:1:2)", "at async file:///file.js:1:2". Node.js' own frames begin with neither.
const FRAME = /(?:\(|at (?:async )?)((?:file:\/\/|\/|[A-Za-z]:\\).*):(\d+):\d+\)?$/;

/**
 * `file:line` of the nearest frame outside of this library that called `entry`; where there is none (a bundle) the
 * nearest that called it at all, and `undefined` where the stack shows nothing. Takes a stack trace: not for what
 * happens often.
 */
// oxlint-disable-next-line typescript/no-unsafe-function-type -- what Error.captureStackTrace takes
export function callerOf(entry: Function): string | undefined {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, entry);
  const frames = (holder.stack ?? '').split('\n').flatMap((line) => {
    const [, file, lineNumber] = FRAME.exec(line) ?? [];
    return file === undefined ? [] : [{ file: pathOf(file), lineNumber }];
  });
  const frame = frames.find(({ file }) => !file.startsWith(LIBRARY)) ?? frames[0];
  return frame && `${frame.file}:${frame.lineNumber}`;
}

function pathOf(file: string): string {
  return file.startsWith('file:') ? fileURLToPath(file) : file;
}
