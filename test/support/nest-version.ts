/** The major version of NestJS that the suites run on: the matrix puts another one in the place of the workspace's. */
export const NEST_MAJOR = Number.parseInt(
  (require('@nestjs/core/package.json') as { version: string }).version,
  10,
);
