import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fencesOf } from './pages.js';

/** What a block of commands printed, and what the page says that it prints. */
export interface Printed {
  readonly commands: string;
  readonly stdout: string;
  readonly expected: string | undefined;
}

/** Prints what marks the end of a block's output. */
const END = '--- end of block ---';

/**
 * Does what a page says, in its order: makes its files as printed, and runs its commands in one `bash -e`, as in one
 * terminal. `replace` is for what a reader has and a test has not, or not under that name. *
 * @throws Error with all output, if a command fails.
 */
export async function follow(
  markdown: string,
  directory: string,
  environment: Record<string, string>,
  replace: (commands: string) => string,
): Promise<Printed[]> {
  const shell = spawn('bash', ['-e', '-m'], { cwd: directory, env: environment, detached: true });
  let output = '';
  let errors = '';
  shell.stdout.on('data', (text) => (output += String(text)));
  shell.stderr.on('data', (text) => (errors += String(text)));
  const closed = new Promise<number | null>((done) => shell.on('close', done));

  const run = async (commands: string): Promise<string> => {
    const from = output.length;
    shell.stdin.write(`${commands}\necho '${END}'\n`);
    const ended = async () => {
      while (!output.includes(END, from)) await new Promise((done) => setTimeout(done, 20));
      return 'ended';
    };
    const how = await Promise.race([ended(), closed]);
    const text = output.slice(from);
    if (how !== 'ended') throw new Error(`${commands}\nfailed with ${how}:\n${text}\n${errors}`);
    return text.slice(0, text.indexOf(END));
  };

  const printed: Printed[] = [];
  try {
    const fences = fencesOf(markdown);
    for (const [index, { language, text, file }] of fences.entries()) {
      if (file !== undefined) {
        await mkdir(dirname(join(directory, file)), { recursive: true });
        await writeFile(join(directory, file), text);
      } else if (language === 'sh') {
        const next = fences[index + 1];
        const expected = next?.language === 'text' ? next.text : undefined;
        printed.push({ commands: text, stdout: await run(replace(text)), expected });
      } else if (language !== 'text') {
        throw new Error(`A block of ${language} is neither a file, nor commands, nor their output:\n${text}`);
      }
    }
  } finally {
    shell.stdin.end();
    // Whatever runs in the background is in a process group of its own (-m); the shell ends them by their job numbers.
    if (shell.exitCode === null) await closed;
  }
  return printed;
}
