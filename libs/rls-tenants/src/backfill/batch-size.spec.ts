import { BatchSize } from './batch-size.js';

const MS = (rowsMs: number, roundTripMs = 0) => ({ rowsMs, roundTripMs });

describe('the size of a batch', () => {
  it('starts small, and doubles up to the ceiling while batches are quick', () => {
    const size = new BatchSize(500);
    const sizes = Array.from({ length: 6 }, () => {
      const { rows } = size;
      size.learn(rows, rows, MS(rows / 100));
      return rows;
    });
    expect(sizes).toEqual([50, 100, 200, 400, 500, 500]);
  });

  it('never exceeds the ceiling', () => {
    const size = new BatchSize(10);
    expect(size.rows).toBe(10);
    size.learn(10, 10, MS(1));
    expect(size.rows).toBe(10);
  });

  it.each([
    [5, 10],
    [1, 50],
    [0.6, 50],
    [0.2, 200],
    [200, 1],
  ])('settles within 50 ms where a row takes %d ms: %d rows', (rowMs, expected) => {
    const size = new BatchSize(500);
    for (let batch = 0; batch < 20; batch += 1) size.learn(size.rows, size.rows, MS(size.rows * rowMs));
    expect(size.rows).toBe(expected);
  });

  it('recovers from a slow batch step by step', () => {
    const size = new BatchSize(500);
    size.learn(500, 500, MS(1000));
    expect(size.rows).toBe(25);
    size.learn(25, 25, MS(3));
    expect(size.rows).toBe(50);
  });

  it('is not shrunk by what a smaller batch would not shorten', () => {
    const size = new BatchSize(500);
    size.learn(50, 50, MS(204, 200));
    size.learn(100, 100, MS(208, 900));
    expect(size.rows).toBe(200);
  });

  it('learns nothing about full batches from the last rows of a tenant', () => {
    const size = new BatchSize(500);
    size.learn(50, 3, MS(1));
    size.learn(50, 0, MS(1));
    expect(size.rows).toBe(50);
  });
});
