#!/usr/bin/env node
import 'reflect-metadata';
import { RlsCliModule } from './cli.module.js';
import { exitAfterOutput, runCli } from './run-cli.js';

await exitAfterOutput(await runCli(RlsCliModule, process.argv.slice(2)));
