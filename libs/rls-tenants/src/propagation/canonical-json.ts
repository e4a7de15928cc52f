/**
 * The text that all JSON values equal to `value` share, whatever a store did to it meanwhile: `value` as JSON has it
 * (`toJSON` called, Dates as strings, `undefined` left out), with the keys of objects in order. A queue that stores
 * `jsonb` returns keys in another order than they were given, and numbers in another notation.
 *
 * @throws TypeError for what JSON cannot hold: a bigint, a cycle.
 */
export function canonicalJson(value: unknown): string {
  const json = JSON.stringify(value) as string | undefined;
  return json === undefined ? 'undefined' : sorted(JSON.parse(json));
}

function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${sorted(item)}`).join(',')}}`;
}
