/** What a schema makes of one value: the typed value, or what is wrong with it and where. */
export type Parsed<T> = { readonly value: T } | { readonly issues: readonly Issue[] };

/** One thing that is wrong with an input. */
export interface Issue {
  readonly message: string;
  readonly path?: readonly string[];
}

type JsonSchema = Record<string, unknown>;

/**
 * A parser of untrusted input. It speaks Standard Schema, so that Nest's `StandardSchemaValidationPipe` runs it
 * (`@Body({ schema })`) and Swagger documents it. Everything that is not expressly allowed is refused with 400.
 */
export class Schema<T> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: 'demo';
    readonly validate: (value: unknown) => Parsed<T>;
    readonly jsonSchema: { readonly input: () => JsonSchema; readonly output: () => JsonSchema };
  };

  constructor(
    readonly parse: (value: unknown) => Parsed<T>,
    readonly json: JsonSchema,
  ) {
    this['~standard'] = {
      version: 1,
      vendor: 'demo',
      validate: parse,
      jsonSchema: { input: () => json, output: () => json },
    };
  }
}

/** A property that may be left out. */
export class OptionalSchema<T> extends Schema<T> {
  readonly optional = true;
}

/** The type that a schema yields. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

type Shape = Record<string, Schema<unknown>>;
type OptionalKeys<S extends Shape> = {
  [K in keyof S]: S[K] extends OptionalSchema<unknown> ? K : never;
}[keyof S];
type InferShape<S extends Shape> = { [K in Exclude<keyof S, OptionalKeys<S>>]: Infer<S[K]> } & {
  [K in OptionalKeys<S>]?: Infer<S[K]>;
};

// PostgreSQL text has no NUL; other control characters and lone surrogates are nobody's honest input.
const CONTROL_CHARACTERS = /[^\P{Cc}\n\t]/u;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
// PostgreSQL's calendar has no year 0.
const ISO_DATE = /^(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}$/;

/** A string of 1 to `max` characters, white space around it removed. */
export function text(max: number): Schema<string> {
  return new Schema(
    (value) => {
      if (typeof value !== 'string') return problem('must be a string');
      if (!value.isWellFormed() || CONTROL_CHARACTERS.test(value)) return problem('must be printable text');
      const trimmed = value.trim();
      if (trimmed === '') return problem('must not be empty');
      return trimmed.length <= max ? { value: trimmed } : problem(`must have at most ${max} characters`);
    },
    { type: 'string', minLength: 1, maxLength: max },
  );
}

/** A uuid in its usual spelling. */
export function uuid(): Schema<string> {
  return new Schema(
    (value) =>
      typeof value === 'string' && UUID.test(value)
        ? { value: value.toLowerCase() }
        : problem('must be a uuid'),
    { type: 'string', format: 'uuid' },
  );
}

/** A day of the calendar, `YYYY-MM-DD`. */
export function day(): Schema<string> {
  return new Schema(
    (value) =>
      typeof value === 'string' && isDay(value) ? { value } : problem('must be a date such as 2030-12-31'),
    { type: 'string', format: 'date' },
  );
}

/** One of a fixed set of words. */
export function oneOf<const T extends string>(words: readonly T[]): Schema<T> {
  return new Schema(
    (value) =>
      words.includes(value as T) ? { value: value as T } : problem(`must be one of ${words.join(', ')}`),
    { type: 'string', enum: [...words] },
  );
}

/** At most `max` values of one kind, each once. */
export function listOf<T>(item: Schema<T>, max: number): Schema<T[]> {
  return new Schema(
    (value) => {
      if (!Array.isArray(value)) return problem('must be a list');
      if (value.length > max) return problem(`must have at most ${max} entries`);
      const parsed = value.map((entry: unknown) => item.parse(entry));
      const issues = parsed.flatMap((entry, index) =>
        'issues' in entry ? within(String(index), entry.issues) : [],
      );
      if (issues.length > 0) return { issues };
      return { value: [...new Set(parsed.map((entry) => (entry as { value: T }).value))] };
    },
    { type: 'array', items: item.json, maxItems: max },
  );
}

/** The value, or `null` for "none". */
export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  return new Schema<T | null>((value) => (value === null ? { value: null } : schema.parse(value)), {
    ...schema.json,
    nullable: true,
  });
}

/** Lets a property be left out. */
export function optional<T>(schema: Schema<T>): OptionalSchema<T> {
  return new OptionalSchema(schema.parse, schema.json);
}

/** An object with these properties and no others. */
export function object<S extends Shape>(shape: S): Schema<InferShape<S>> {
  const properties = Object.entries(shape);
  return new Schema(
    (value) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        return problem('must be an object');
      const result: Record<string, unknown> = {};
      const issues: Issue[] = Object.keys(value)
        .filter((key) => !Object.hasOwn(shape, key))
        .map((key) => ({ message: 'is not a known property', path: [key.slice(0, 40)] }));
      for (const [key, schema] of properties) {
        const input = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
        if (input === undefined && schema instanceof OptionalSchema) continue;
        const parsed = input === undefined ? problem('is missing') : schema.parse(input);
        if ('issues' in parsed) issues.push(...within(key, parsed.issues));
        else result[key] = parsed.value;
      }
      return issues.length > 0 ? { issues } : { value: result as InferShape<S> };
    },
    {
      type: 'object',
      additionalProperties: false,
      properties: Object.fromEntries(properties.map(([key, schema]) => [key, schema.json])),
      required: properties.filter(([, schema]) => !(schema instanceof OptionalSchema)).map(([key]) => key),
    },
  );
}

function problem(message: string): { issues: Issue[] } {
  return { issues: [{ message }] };
}

function within(key: string, issues: readonly Issue[]): Issue[] {
  return issues.map(({ message, path = [] }) => ({ message, path: [key, ...path] }));
}

// Date.parse alone takes 2030-02-31 for a day in March.
function isDay(value: string): boolean {
  const time = ISO_DATE.test(value) ? Date.parse(`${value}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(value);
}
