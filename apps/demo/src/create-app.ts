import { StandardSchemaValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { join } from 'node:path';
import { AppModule } from './app.module.js';
import type { DemoConnections } from './database/prepare-database.js';
import { securityHeaders } from './security-headers.js';

const DOCS_PATH = 'api/docs';

/**
 * The application, ready to listen: the API under /api, Swagger UI under /api/docs and the page at /.
 *
 * @param connections to a prepared database.
 */
export async function createApp(connections: DemoConnections): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.forDatabase(connections), {
    logger: ['warn', 'error'],
    // A browser keeps its connections open; shutting down does not wait for it to go away.
    forceCloseConnections: true,
  });
  app.disable('x-powered-by');
  app.use(securityHeaders(`/${DOCS_PATH}`));
  app.useGlobalPipes(new StandardSchemaValidationPipe());
  app.setGlobalPrefix('api');
  SwaggerModule.setup(DOCS_PATH, app, () => SwaggerModule.createDocument(app, apiDescription()));
  app.useStaticAssets(join(import.meta.dirname, 'public'));
  return app;
}

function apiDescription() {
  return new DocumentBuilder()
    .setTitle('nestjs-rls-tenants demo')
    .setDescription(
      'Workspaces, projects and tasks. No query names a tenant; PostgreSQL decides who sees what.',
    )
    .setVersion('1')
    .addBearerAuth()
    .build();
}
