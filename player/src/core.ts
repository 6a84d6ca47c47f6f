// The core's front door: a session that is spoken to by messages (port.ts), in a worker
// or, where there can be none, in the page.

import { ChannelConnection, type Connector } from "./channel";
import { ed25519Provider, javascriptFrom } from "./crypto";
import { MediaHttp } from "./media-http";
import { MAX_PLAYLIST_BYTES, parseHash } from "./manifest";
import type { Entry } from "./objects";
import { letter, opened, type Account, type CdnsModule, type CoreConfig, type CoreScope, type Failure, type FromCore, type Letter, type Place, type ToCore } from "./port";
import { newScheduler } from "./sched";
import { Session, type Audience, type Ticket } from "./session";
import { Clock } from "./timing";
import { beginningMs, deadlineMs, LOOK_AHEAD_MS, NO_VIEW, type View } from "./view";

/** How often the page is told how its deliveries go, if they go, and what the session did so far. */
const PROGRESS_EVERY_MS = 250;
const ACCOUNT_EVERY_PROGRESS = 4;

/** Lets messages from the page work a session. */
export function serve(scope: CoreScope): void {
  const core = new Core(scope);
  scope.onmessage = (event) => core.heard(event.data);
  // A browser lets workers see the class if it lets channels move there (Chromium and Safari do, Firefox does not yet).
  scope.postMessage({ type: "ready", channels: typeof RTCDataChannel === "function" });
  void ed25519Provider(); // found out before there is anything to verify
}

class Core implements Audience {
  private session: Session | undefined;
  private view: View = NO_VIEW;
  private readonly tickets = new Map<number, { ticket: Ticket; told: string }>();
  private readonly lines = new Map<number, ChannelConnection>();
  private nextLine = 0;
  private timer: ReturnType<typeof setInterval> | undefined;
  private turns = 0;
  private toldAccount = "";
  /** Where a player begins with the window that was asked for last. */
  private begins: { window: readonly Entry[]; ms: number | undefined } | undefined;
  private readonly toldHealth = new Map<string, boolean>();
  private certificate: Promise<string> | undefined;
  private certified: (fingerprint: string) => void = () => undefined;

  constructor(private readonly scope: CoreScope) {}

  heard(m: ToCore): void {
    switch (m.type) {
      case "open":
        return this.open(m.config);
      case "playlist":
        return void this.playlist(m.id, m.rendition, m.fetched, m.place);
      case "deliver":
        return this.deliver(m.id, m.url);
      case "cancel":
        this.tickets.get(m.id)?.ticket.cancel();
        return void this.tickets.delete(m.id);
      case "view":
        this.view = m.view;
        return;
      case "channel":
        return this.lines.get(m.line)?.attach(m.channel);
      case "signalled":
        return this.lines.get(m.line)?.signalled(m.signal);
      case "measured": {
        const line = this.lines.get(m.line);
        if (line) line.roundTripMs = m.roundTripMs;
        return;
      }
      case "ended":
        return this.lines.get(m.line)?.end(m.reason);
      case "certified":
        return this.certified(m.fingerprint);
      case "stop":
        clearInterval(this.timer);
        this.session?.stop();
    }
  }

  private open(config: CoreConfig): void {
    const { channel, renditions, sources, swarm, ed25519Url } = config;
    javascriptFrom(() => import(ed25519Url) as Promise<typeof import("./ed25519")>);
    const http = new MediaHttp();
    if (sources) {
      const load = import(sources.cdnsUrl) as Promise<CdnsModule>;
      http.cdns = load.then(
        (module) => new module.Cdns(sources, (url) => http.text(url, MAX_PLAYLIST_BYTES)),
        () => undefined, // then there is one
      );
    }
    const scheduler = newScheduler({ swarm: swarm !== undefined, upload: swarm?.upload ?? false });
    this.session = new Session({
      channel: parseHash(channel)!,
      renditions,
      http,
      scheduler,
      clock: new Clock(),
      audience: this,
      swarm: swarm && {
        ...swarm,
        connect: this.connect,
        fingerprint: () => this.fingerprint(),
        ice: (servers, relayOnly) => this.say({ type: "ice", servers, relayOnly }),
      },
      listed: (rendition) => this.tellWindow(rendition),
    });
    this.session.start();
    this.timer = setInterval(() => this.tell(), PROGRESS_EVERY_MS);
  }

  // ── for the player ───────────────────────────────────────────────────────

  private async playlist(id: number, rendition: string, fetched?: Letter, place?: Place): Promise<void> {
    try {
      const text = await this.session!.playlist(rendition, fetched && opened(fetched), place);
      this.tellHealth();
      this.say({ type: "playlist", id, letter: letter(text) });
    } catch (error) {
      this.failed(id, error);
    }
  }

  private deliver(id: number, url: string): void {
    const ticket = this.session!.deliver(url, {
      done: (bytes) => {
        const progress = ticket.progress();
        this.tickets.delete(id);
        this.say({ type: "bytes", id, bytes, progress }, [bytes]);
      },
      failed: (error) => {
        this.tickets.delete(id);
        this.failed(id, error);
      },
    });
    this.tickets.set(id, { ticket, told: "" });
  }

  private failed(id: number, error: unknown): void {
    this.tellAccount(); // whether it is a refusal is known from there
    this.say({ type: "failed", id, failure: failure(error) });
  }

  private tell(): void {
    for (const [id, t] of this.tickets) {
      const progress = t.ticket.progress();
      const told = `${progress.loaded} ${Math.round(progress.elapsedMs)}`;
      if (told === t.told) continue;
      t.told = told;
      this.say({ type: "progress", id, progress });
    }
    this.tellHealth();
    if (this.turns++ % ACCOUNT_EVERY_PROGRESS === 0) this.tellAccount();
  }

  private tellHealth(): void {
    for (const [rendition, healthy] of this.toldHealth) {
      if (this.session!.healthy(rendition) !== healthy) this.tellWindow(rendition);
    }
  }

  private tellAccount(): void {
    const { session } = this;
    if (!session) return;
    const account: Account = { stats: session.stats(), refused: session.refused, rate: session.meter.measuredRate };
    const told = JSON.stringify(account);
    if (told === this.toldAccount) return;
    this.toldAccount = told;
    this.say({ type: "account", account });
  }

  private tellWindow(rendition: string): void {
    const healthy = this.session!.healthy(rendition);
    this.toldHealth.set(rendition, healthy);
    const entries = this.session!.window(rendition).map(({ number, startMs, durationMs, gap }) => {
      return { number, startMs, durationMs, gap };
    });
    this.say({ type: "window", rendition, entries, healthy, ended: this.session!.ended(rendition) });
  }

  private say(m: FromCore, transfer: Transferable[] = []): void {
    this.scope.postMessage(m, transfer);
  }

  // ── for the session ──────────────────────────────────────────────────────

  deadlineMs(nowMs: number, entry: Entry, rendition: string): number {
    if (rendition !== this.view.rendition) return 0;
    const ended = this.session!.ended(rendition);
    return deadlineMs(this.view, this.beginning(this.session!.window(rendition), ended), nowMs, entry, ended || this.goneBack);
  }

  /** The viewer has gone back so far that what is live is no concern of this viewer's, and there is as much time as with a recording. */
  private get goneBack(): boolean {
    const { rendition, positionMs = Infinity } = this.view;
    return positionMs < (this.session!.window(rendition).at(-1)?.startMs ?? 0) - LOOK_AHEAD_MS;
  }

  private beginning(window: readonly Entry[], ended: boolean): number | undefined {
    if (this.begins?.window !== window) this.begins = { window, ms: beginningMs(window, ended) };
    return this.begins.ms;
  }

  renditions(): string[] {
    return this.view.idle || !this.view.rendition || this.goneBack ? [] : [this.view.rendition];
  }

  experience(): View {
    return this.view;
  }

  private fingerprint(): Promise<string> {
    return (this.certificate ??= new Promise((resolve) => {
      this.certified = resolve;
      this.say({ type: "certify" });
    }));
  }

  private readonly connect: Connector = (makesOffer, callbacks) => {
    const line = this.nextLine++;
    const control = {
      signal: (signal: Parameters<typeof callbacks.signal>[0]) => this.say({ type: "signal", line, signal }),
      close: () => {
        this.lines.delete(line);
        this.say({ type: "close", line });
      },
    };
    const connection = new ChannelConnection(control, callbacks);
    this.lines.set(line, connection);
    this.say({ type: "connect", line, makesOffer });
    return connection;
  };
}

function failure(error: unknown): Failure {
  const { status = 0, message, unsigned = false } = error as Error & Partial<Failure>;
  return { status, message, unsigned };
}
