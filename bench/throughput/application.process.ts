import 'reflect-metadata';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ApplicationModule, type ApplicationOptions } from './application.js';

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2]!) as ApplicationOptions;
  const adapter = options.platform === 'express' ? new ExpressAdapter() : new FastifyAdapter();
  const application = await NestFactory.create(await ApplicationModule.of(options), adapter, {
    logger: ['error', 'warn'],
    abortOnError: false,
  });
  const server = (await application.listen(0, '127.0.0.1')) as Server;
  // Clients keep their connections while other applications take their turns.
  server.keepAliveTimeout = 600_000;
  process.on('message', () => process.send!(process.cpuUsage()));
  process.send!({ port: (server.address() as AddressInfo).port });
}

process.on('disconnect', () => process.exit());
main().catch((error: unknown) => process.send!({ error: (error as Error).stack ?? String(error) }));
