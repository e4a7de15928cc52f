/**
 * Where the library enters TypeORM: `EntityMetadataBuilder.prototype.build`, which every data source calls from
 * `initialize()` (and TypeORM's CLI through it) to build the metadata of its entities.
 *
 * Why here. Foreign keys and join tables exist only as metadata, built from relations, so no decorator can complete
 * them; and whatever reads metadata afterwards (repositories, `migration:generate`, `schema:log`, synchronize) must see
 * the completed one. `DataSource.prototype.buildMetadatas` would be the obvious place, but it imports the entities named
 * by file patterns itself: where those files are the first to load this library, it is already running, and wrapping it
 * then comes too late. The builder is called after that import.
 *
 * What it changes. The original runs first and unchanged; its result is completed only where it holds a tenant-scoped
 * entity. Data sources without one get exactly what TypeORM built.
 */
import { EntityMetadataBuilder } from 'typeorm/metadata-builder/EntityMetadataBuilder.js';
import { completeTenantMetadata } from './metadata-completion.js';

let installed = false;

/** Makes data sources complete the metadata of tenant-scoped entities. Only the first call does anything. */
export function installMetadataCompletion(): void {
  if (installed) return;
  installed = true;
  const build = EntityMetadataBuilder.prototype.build;
  EntityMetadataBuilder.prototype.build = function (...args) {
    const metadatas = build.apply(this, args);
    completeTenantMetadata(metadatas);
    return metadatas;
  };
}
