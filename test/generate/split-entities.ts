import { EntitySchema, type EntitySchemaColumnOptions } from 'typeorm';

type Row = Record<string, unknown>;

const eventId: EntitySchemaColumnOptions = { type: 'uuid', primary: true };
const id: EntitySchemaColumnOptions = { ...eventId, generated: 'uuid' };

const view = (name: string, expression: string) =>
  new EntitySchema<Row>({
    name,
    type: 'view',
    expression,
    columns: { id: { type: 'uuid' }, title: { type: String } },
  });

/** The schema of a first version, in use. */
export const BEFORE = [
  view('note_title', 'SELECT id, title FROM note'),
  new EntitySchema<Row>({
    name: 'author',
    columns: { id, name: { type: String, length: 50 }, role: { type: 'enum', enum: ['reader', 'writer'] } },
    indices: [{ columns: ['name'] }],
  }),
  new EntitySchema<Row>({
    name: 'note',
    columns: {
      id,
      title: { type: String, length: 50 },
      slug: { type: String, nullable: true },
      summary: { type: 'text', nullable: true },
      words: { type: 'numeric', precision: 8, scale: 2, default: 0 },
      author_id: { type: 'uuid', nullable: true },
    },
    uniques: [{ columns: ['title'] }],
    indices: [{ columns: ['title', 'slug'] }],
  }),
  new EntitySchema<Row>({
    name: 'event',
    columns: {
      id: eventId,
      at: { type: 'timestamptz', primary: true },
      kind: { type: String },
    },
  }),
];

/** The schema of the next version: new tables that reference each other, changes of those in use. */
export const AFTER = [
  view('note_title', 'SELECT id, upper(title) AS title FROM note'),
  view('note_body', 'SELECT id, body AS title FROM note'),
  new EntitySchema<Row>({
    name: 'author',
    columns: {
      id,
      name: { type: String, length: 80 },
      role: { type: 'enum', enum: ['reader', 'writer', 'editor'] },
      email: { type: String },
      team_id: { type: 'uuid', nullable: true },
    },
    indices: [{ columns: ['name'] }],
    uniques: [{ columns: ['email'] }],
    relations: {
      team: { type: 'many-to-one', target: 'team', joinColumn: { name: 'team_id' }, nullable: true },
    },
  }),
  new EntitySchema<Row>({
    name: 'team',
    columns: {
      id,
      name: { type: String },
      kind: { type: 'enum', enum: ['open', 'closed'] },
      lead_id: { type: 'uuid', nullable: true },
    },
    indices: [{ columns: ['name'], unique: true }],
    relations: {
      lead: { type: 'many-to-one', target: 'member', joinColumn: { name: 'lead_id' }, nullable: true },
    },
  }),
  new EntitySchema<Row>({
    name: 'member',
    columns: { id, team_id: { type: 'uuid' }, since: { type: 'date', default: () => 'CURRENT_DATE' } },
    indices: [{ columns: ['team_id'] }, { columns: ['since'], where: `"since" > '2020-01-01'` }],
    relations: {
      team: { type: 'many-to-one', target: 'team', joinColumn: { name: 'team_id' }, onDelete: 'CASCADE' },
    },
  }),
  new EntitySchema<Row>({
    name: 'note',
    columns: {
      id,
      title: { type: 'text' },
      slug: { type: String },
      body: { type: 'text' },
      words: { type: 'numeric', precision: 12, scale: 2, default: 0 },
      author_id: { type: 'uuid', nullable: true },
    },
    uniques: [{ columns: ['title'] }],
    indices: [{ columns: ['author_id'] }, { columns: ['title', 'slug'] }],
    checks: [{ expression: `"words" >= 0` }],
    relations: {
      author: {
        type: 'many-to-one',
        target: 'author',
        joinColumn: { name: 'author_id' },
        nullable: true,
        onDelete: 'SET NULL',
      },
      tags: { type: 'many-to-many', target: 'tag', joinTable: { name: 'note_tag' } },
    },
  }),
  new EntitySchema<Row>({ name: 'tag', columns: { id, label: { type: String } } }),
  new EntitySchema<Row>({
    name: 'event',
    columns: {
      id: eventId,
      at: { type: 'timestamptz', primary: true },
      kind: { type: String },
    },
    indices: [{ columns: ['kind', 'at'] }],
  }),
];
