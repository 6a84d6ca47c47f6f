// What a neighbour is told next. A message of the data channel costs both ends about the same whether it carries ten bytes
// or a thousand: so what is said in one go travels as one bundle, and what is in no hurry waits for company.

import { concat, type Bytes } from "./bytes";
import { encode, MAX_MESSAGE, type Message } from "./wire";

/** How long something that is in no hurry waits for something else to be said. */
const COMPANY_MS = 2000;

export class Outbox {
  private bundle: Bytes = new Uint8Array(0);
  private sinceMs = 0;
  private due = false;

  /** transmit returns false if the connection does not take the bundle. */
  constructor(private readonly transmit: (bundle: Bytes) => boolean) {}

  /** Tells something in a moment, with what else is said in it. */
  send(m: Message): void {
    this.bundle = this.with(m);
    if (this.due) return;
    this.due = true;
    queueMicrotask(() => this.flush());
  }

  /** Tells something together with what is told next. */
  mention(m: Message): void {
    if (this.bundle.length === 0) this.sinceMs = performance.now();
    this.bundle = this.with(m);
  }

  /** Sends at once what ends a bundle: a leaf or a farewell. */
  conclude(m: Message): boolean {
    const bundle = this.with(m);
    this.bundle = new Uint8Array(0);
    return this.transmit(bundle);
  }

  tick(nowMs: number): void {
    if (nowMs - this.sinceMs >= COMPANY_MS) this.flush();
  }

  flush(): void {
    this.due = false;
    if (this.bundle.length === 0) return;
    this.transmit(this.bundle);
    this.bundle = new Uint8Array(0);
  }

  /** What waits and a message behind it. If that is too much, what waits is sent first. */
  private with(m: Message): Bytes {
    const encoded = encode(m);
    if (this.bundle.length + encoded.length > MAX_MESSAGE) this.flush();
    return this.bundle.length > 0 ? concat(this.bundle, encoded) : encoded;
  }
}
