/**
 * The answer to one question, for many who ask: it is asked once at a time, everybody else waits for that, and the last
 * answer serves while it is young enough. A failure is everybody's who waited, and is not kept.
 */
export class SharedAnswer<Answer> {
  private last: { readonly answer: Answer; readonly askedAt: number } | undefined;
  private pending: Promise<Answer> | undefined;

  constructor(private readonly ask: () => Promise<Answer>) {}

  /** @param maxAgeMs how old an answer may be, in milliseconds, counted from when it was asked for. */
  async get(maxAgeMs: number): Promise<Answer> {
    if (this.last && performance.now() - this.last.askedAt < maxAgeMs) return this.last.answer;
    this.pending ??= this.askAnew().finally(() => (this.pending = undefined));
    return this.pending;
  }

  private async askAnew(): Promise<Answer> {
    const askedAt = performance.now();
    const answer = await this.ask();
    this.last = { answer, askedAt };
    return answer;
  }
}
