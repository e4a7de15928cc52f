/** How every command of `rls-tenants` ends. A command that checked nothing never ends with {@link ExitCode.Ok}. */
export const ExitCode = {
  /** Done, and nothing of severity error or above was found. */
  Ok: 0,
  /** Findings of severity error or above. */
  Findings: 1,
  /** Could not do it: bad option, unreachable database, nothing to check. */
  CouldNotRun: 2,
} as const;

/** The number a process exits with. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
