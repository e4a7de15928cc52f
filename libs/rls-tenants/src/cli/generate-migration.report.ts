import { join } from 'node:path';
import type { Note, RenderedFile } from '../generate/index.js';
import { paint, type CliOutput } from './cli-output.js';

type Colors = Pick<CliOutput, 'colors'>;

const NOTE_HEADS: Readonly<Record<Note['kind'], string>> = {
  rewritten: 'Rewritten',
  'left-out': 'Left out',
  'no-down': 'Cannot be undone',
  advice: 'Note',
};

/** One line for each file: its name and what it is. */
export function filesText(files: readonly RenderedFile[], dir: string): string {
  return files.map(({ name, text }) => `  ${join(dir, name)}  ${describe(text)}\n`).join('');
}

/** The files as they would be written. */
export function contentsText(files: readonly RenderedFile[], dir: string): string {
  return files.map(({ name, text }) => `// ${join(dir, name)}\n${text}\n`).join('');
}

/** What is not in the files as TypeORM would have it, and why. */
export function notesText(notes: readonly Note[], colors: Colors): string {
  return notes
    .map(({ kind, statements, reason }) => {
      const lines = statements.map((sql) => `    ${sql.replaceAll(/\s+/g, ' ').trim()}\n`);
      return `${paint(colors, 'yellow', `${NOTE_HEADS[kind]}:`)} ${reason}\n${lines.join('')}`;
    })
    .join('');
}

function describe(text: string): string {
  return /extends ConcurrentMigration|transaction = false/.test(text)
    ? 'without a transaction'
    : 'in a transaction';
}
