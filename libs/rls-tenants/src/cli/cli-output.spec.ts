import { RlsConfigurationError } from '../errors.js';
import { explain, paint, processOutput } from './cli-output.js';

describe('processOutput', () => {
  const streams = [process.stdout, process.stderr] as const;
  const isTTY = streams.map((stream) => stream.isTTY);
  const { NO_COLOR } = process.env;

  afterEach(() => {
    streams.forEach((stream, n) => Object.assign(stream, { isTTY: isTTY[n] }));
    if (NO_COLOR === undefined) delete process.env.NO_COLOR;
    else process.env.NO_COLOR = NO_COLOR;
  });

  it.each([
    ['a terminal', true, true, undefined, true],
    ['a terminal under NO_COLOR', true, true, '1', false],
    ['a terminal under an empty NO_COLOR', true, true, '', true],
    ['a piped stdout', false, true, undefined, false],
    ['a piped stderr', true, false, undefined, false],
  ])('on %s has colours: %s %s %s %s', (_name, stdout, stderr, noColor, colors) => {
    Object.assign(process.stdout, { isTTY: stdout });
    Object.assign(process.stderr, { isTTY: stderr });
    if (noColor === undefined) delete process.env.NO_COLOR;
    else process.env.NO_COLOR = noColor;
    expect(processOutput().colors).toBe(colors);
  });
});

describe('paint', () => {
  it('leaves text as it is without colours, and resets after itself with them', () => {
    expect(paint({ colors: false }, 'red', 'text')).toBe('text');
    expect(paint({ colors: true }, 'red', 'text')).toBe('\u001B[31mtext\u001B[0m');
  });
});

describe('explain', () => {
  it('gives the hint of an error of this library, and the code of an error without a message', () => {
    expect(explain(new RlsConfigurationError('wrong', 'do this'))).toBe('wrong\n  do this');
    expect(explain(Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }))).toBe('ECONNREFUSED');
    expect(explain('text')).toBe('text');
  });
});
