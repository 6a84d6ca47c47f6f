// Starts the core and carries messages to it: in a worker made of its own source text,
// or, where a content security policy or an old browser forbids that, in the page.

import core from "slipstream:core";
import type { CoreScope, FromCore, ToCore } from "./port";

export class CoreLink {
  heard: (m: FromCore) => void = () => undefined;
  /** What was said before the core was heard of: told again to the one that takes its place, if it cannot start. */
  private waiting: [ToCore, Transferable[]][] | undefined = [];
  private post: (m: ToCore, transfer: Transferable[]) => void = () => undefined;
  private worker: Worker | undefined;

  /** sharing: data channels will have to be given to the core. */
  constructor(private readonly sharing: boolean) {
    if (!this.startWorker()) this.startHere();
  }

  say(m: ToCore, transfer: Transferable[] = []): void {
    this.waiting?.push([m, transfer]);
    this.post(m, transfer);
  }

  /** Ends the worker; what it was told before this turn it still does. */
  end(afterMs: number): void {
    setTimeout(() => this.worker?.terminate(), afterMs);
  }

  private startWorker(): boolean {
    if (typeof Worker !== "function" || typeof Blob !== "function") return false;
    let worker: Worker;
    const address = URL.createObjectURL(new Blob([`(${core})(self)`], { type: "text/javascript" }));
    try {
      worker = new Worker(address, { name: "slipstream" });
    } catch {
      URL.revokeObjectURL(address);
      return false;
    }
    worker.onmessage = (event: MessageEvent<FromCore>) => {
      if (event.data.type !== "ready") return this.heard(event.data);
      URL.revokeObjectURL(address);
      if (this.sharing && !event.data.channels) doWithout();
      else this.waiting = undefined;
    };
    const doWithout = () => {
      worker.terminate();
      this.worker = undefined;
      this.startHere();
    };
    worker.onerror = () => {
      if (this.waiting) doWithout(); // otherwise it runs; one exception is not the end
    };
    this.worker = worker;
    this.post = (m, transfer) => worker.postMessage(m, transfer); // the browser keeps it until the script has run
    return true;
  }

  private startHere(): void {
    const scope: CoreScope = {
      onmessage: null,
      postMessage: (m) => queueMicrotask(() => m.type !== "ready" && this.heard(m)),
    };
    core(scope);
    this.post = (m) => queueMicrotask(() => scope.onmessage?.({ data: m }));
    for (const [m, transfer] of this.waiting ?? []) this.post(m, transfer);
    this.waiting = undefined;
  }
}
