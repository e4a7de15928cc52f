/** The operations under way: a request, a job or a message holds the number of one, and its receiver runs it. */
export class Works {
  private readonly works = new Map<number, () => Promise<void>>();
  private last = 0;

  /** Resolves when a receiver ran `work`, with its error if it threw one; rejects if it cannot be sent. */
  async send(work: () => Promise<unknown>, send: (n: number) => Promise<unknown>): Promise<unknown> {
    const n = (this.last += 1);
    const done = new Promise((resolve, reject) => {
      this.works.set(n, () => work().then(resolve, reject));
    });
    await send(n);
    return done;
  }

  /** Runs the operation in the receiver's context, not in the one that `work` was made in. */
  async run(n: number): Promise<void> {
    const work = this.works.get(n)!;
    this.works.delete(n);
    await work();
  }
}
