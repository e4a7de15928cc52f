import type ts from 'typescript';
import { RlsConfigurationError } from '../errors.js';

/** The `typescript` package: an optional peer, because only the linter needs it. */
export type TypeScript = typeof ts;

/** Loads `typescript`. @throws RlsConfigurationError if it is not installed. */
export async function loadTypeScript(): Promise<TypeScript> {
  try {
    return (await import('typescript')).default;
  } catch (cause) {
    throw new RlsConfigurationError(
      'The package "typescript" is not installed, and migrations are read with it.',
      'Run `npm install --save-dev typescript`.',
      { cause },
    );
  }
}
