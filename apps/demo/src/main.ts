import type { NestExpressApplication } from '@nestjs/platform-express';
import { createApp } from './create-app.js';
import { ensureDatabase, type DemoDatabase } from './database/ensure-database.js';
import { DEMO_ACCOUNTS, DEMO_PASSWORD } from './database/seed/demo-workspaces.js';

const DEFAULT_PORT = 3000;

async function main(): Promise<void> {
  const port = portFrom(process.env.PORT);
  console.log('Preparing the database …');
  const database = await ensureDatabase();
  try {
    const app = await createApp(database);
    await app.listen(port);
    stopOnSignal(app, database);
    announce(await app.getUrl());
  } catch (error) {
    await database.stop();
    throw error;
  }
}

function portFrom(text: string | undefined): number {
  if (!text) return DEFAULT_PORT;
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port < 65_536) return port;
  throw new Error(`PORT=${text} is no port: use a number from 0 to 65535 (0 takes a free one).`);
}

/** Both signals may arrive more than once: a terminal sends Ctrl-C to `nest start` too, which passes it on. */
function stopOnSignal(app: NestExpressApplication, database: DemoDatabase): void {
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= shutDown(app, database);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

async function shutDown(app: NestExpressApplication, database: DemoDatabase): Promise<void> {
  try {
    await app.close();
    await database.stop();
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}

function announce(url: string): void {
  const address = url.replace(/\[::1?\]|127\.0\.0\.1|0\.0\.0\.0/, 'localhost');
  const accounts = DEMO_ACCOUNTS.flatMap(({ name, users }) =>
    users.map(({ email }) => `  ${email.padEnd(28)} ${name}`),
  );
  console.log(
    [
      '',
      `The demo runs at ${address}`,
      `API documentation: ${address}/api/docs`,
      '',
      `Accounts (password: ${DEMO_PASSWORD})`,
      ...accounts,
      '',
    ].join('\n'),
  );
}

await main();
