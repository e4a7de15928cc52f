import { day, listOf, nullable, object, oneOf, optional, text, uuid } from './schema.js';

const ID = '0b1c5e9a-4d4e-4f6b-9a52-1d7e3c8f0001';

describe('object', () => {
  const schema = object({ name: text(3), note: optional(nullable(text(5))) });

  it('yields the properties it knows, trimmed', () => {
    expect(schema.parse({ name: ' ab ', note: null })).toEqual({ value: { name: 'ab', note: null } });
    expect(schema.parse({ name: 'ab' })).toEqual({ value: { name: 'ab' } });
  });

  it('names every problem with its path', () => {
    expect(schema.parse({ name: 'abcd', note: 1, extra: true })).toEqual({
      issues: [
        { message: 'is not a known property', path: ['extra'] },
        { message: 'must have at most 3 characters', path: ['name'] },
        { message: 'must be a string', path: ['note'] },
      ],
    });
    expect(schema.parse({})).toEqual({ issues: [{ message: 'is missing', path: ['name'] }] });
  });

  it('takes no inherited property for its own', () => {
    expect(schema.parse(Object.create({ name: 'ab' }))).toHaveProperty('issues');
    expect(schema.parse(JSON.parse('{"name":"ab","__proto__":{"note":"x"}}'))).toHaveProperty('issues');
  });

  it('describes itself for the API documentation', () => {
    expect(schema['~standard'].jsonSchema.input()).toMatchObject({
      type: 'object',
      additionalProperties: false,
      required: ['name'],
      properties: { note: { type: 'string', nullable: true } },
    });
  });
});

it.each<[string, { parse(value: unknown): object }, unknown]>([
  ['text', text(3), 'a\0'],
  ['text', text(3), '\ud800'],
  ['text', text(3), '\t\n'],
  ['uuid', uuid(), `${ID}\n`],
  ['uuid', uuid(), ID.replaceAll('-', '')],
  ['day', day(), '2030-02-29'],
  ['day', day(), '0000-01-01'],
  ['day', day(), '2030-1-1'],
  ['day', day(), 20300101],
  ['oneOf', oneOf(['a']), 'constructor'],
  ['oneOf', oneOf(['a']), ['a']],
  ['listOf', listOf(text(3), 2), 'ab'],
  ['listOf', listOf(text(3), 2), ['a', 'b', 'c']],
  ['listOf', listOf(text(3), 2), ['a', 1]],
])('%s refuses %#', (_, schema, value) => {
  expect(schema.parse(value)).toHaveProperty('issues');
});

it('a list names the entry that is wrong, and keeps each value once', () => {
  expect(listOf(text(3), 2).parse(['a', 1])).toEqual({
    issues: [{ message: 'must be a string', path: ['1'] }],
  });
  expect(listOf(uuid(), 2).parse([ID, ID.toUpperCase()])).toEqual({ value: [ID] });
});

it('a leap day is a day', () => {
  expect(day().parse('2028-02-29')).toEqual({ value: '2028-02-29' });
});
