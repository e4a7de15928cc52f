/** Messages of PostgreSQL's extended query protocol, as bytes. They use the unnamed portal. */

/** Parse: makes `sql` the statement of that name; the unnamed one is replaced, any other must not exist. */
export function parse(statementName: string, sql: string): Buffer {
  return message('P', text(statementName), text(sql), int16(0));
}

/** Bind: gives the statement its parameters, as text. */
export function bind(statementName: string, ...values: readonly string[]): Buffer {
  const parameters = values.map((value) => Buffer.from(value));
  return message(
    'B',
    text(''),
    text(statementName),
    int16(0),
    int16(parameters.length),
    ...parameters.flatMap((parameter) => [int32(parameter.length), parameter]),
    int16(0),
  );
}

/** Execute. Without a Describe before it no RowDescription comes back. */
export function execute(): Buffer {
  return message('E', text(''), int32(0));
}

/** Close: forgets the statement of that name; no error if there is none. */
export function close(statementName: string): Buffer {
  return message('C', Buffer.from('S'), text(statementName));
}

/**
 * Messages to be kept, in memory of their own: what `Buffer.concat` returns is a piece of a slab of eight kilobytes, and
 * whoever keeps the piece keeps the slab.
 */
export function kept(...messages: readonly Buffer[]): Buffer {
  const bytes = Buffer.alloc(messages.reduce((length, message) => length + message.length, 0));
  let end = 0;
  for (const message of messages) end += message.copy(bytes, end);
  return bytes;
}

function message(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
