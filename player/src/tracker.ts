// The tracker client: joins the channel's room and joins again when the tracker
// goes away, with a jittered back-off. Neighbours stay meanwhile, and without
// any tracker playback goes on over HTTP.

import { ANNOUNCE_VERSION, decode, encode, type Join, type Message, type Role } from "./announce";

const REJOIN_MIN_MS = 500;
const REJOIN_MAX_MS = 15_000;
const MINUTE_MS = 60_000;
/** How long a token, a connection or a welcome may take. */
const ANSWER_TIMEOUT_MS = 10_000;
const MAX_TOKEN_REPLY = 8192;
/** WebSocket.OPEN */
const OPEN = 1;

export interface TrackerConfig {
  /** ws: or wss: URL. */
  url: string;
  tokenUrl: string;
  role: Role;
  /** What this viewer plays, asked at each join. */
  renditions: () => string[];
  /** What it knows of its line, asked at each join. */
  line?: () => Pick<Join, "noUpload" | "uplinkBps">;
  heard: (message: Message) => void;
  /** The connection is gone; another will be tried, unless the client gave up for good. */
  away: (reason: string, forGood: boolean) => void;
}

/** What a test may stand in for. */
export interface TrackerEnvironment {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  socket: (url: string) => WebSocket;
  random: () => number;
}

const browser: TrackerEnvironment = {
  fetch: (url, init) => globalThis.fetch(url, init),
  socket: (url) => new WebSocket(url),
  random: Math.random,
};

/** What to do after an error of the tracker (table in the specification of tracker/announce). */
type Verdict = { stay: false } | { stay: true; minMs: number; maxMs: number };

/** Thrown when a visit ended and the code says what to do. */
class VisitError extends Error {
  constructor(
    message: string,
    readonly code = "",
  ) {
    super(message);
  }
}

export class TrackerClient {
  private socket: WebSocket | undefined;
  private joined = false;
  private stopped = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waitMs = REJOIN_MIN_MS;
  private refusedTokens = 0;

  constructor(
    private readonly config: TrackerConfig,
    private readonly env: TrackerEnvironment = browser,
  ) {}

  start(): void {
    void this.visits();
  }

  /** Sends a message if the tracker is there; what it cannot carry now is said again in the next report. */
  send(message: Message): boolean {
    if (!this.joined || this.socket?.readyState !== OPEN) return false;
    this.socket.send(encode(message));
    return true;
  }

  /** Leaves the room for good. */
  stop(): void {
    this.send({ type: "leave" });
    this.stopped = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private async visits(): Promise<void> {
    while (!this.stopped) {
      const began = Date.now();
      const error = await this.visit().then(
        () => new VisitError("the tracker closed the connection"),
        (e: unknown) => (e instanceof VisitError ? e : new VisitError(String(e))),
      );
      this.joined = false;
      if (this.stopped) return;
      if (Date.now() - began > REJOIN_MAX_MS) this.waitMs = 4 * REJOIN_MIN_MS; // everybody else lost it too
      const verdict = this.verdict(error.code);
      this.config.away(error.message, !verdict.stay);
      if (!verdict.stay) return;
      await this.pause(verdict.minMs + this.env.random() * (verdict.maxMs - verdict.minMs));
    }
  }

  private verdict(code: string): Verdict {
    switch (code) {
      case "malformed":
      case "version":
      case "join-first":
      case "token-channel":
      case "token-role":
      case "expelled":
        return { stay: false };
      case "token-invalid":
      case "token-origin":
        return this.refusedTokens++ === 0 ? { stay: true, minMs: 0, maxMs: 500 } : { stay: false };
      case "token-expired":
        return { stay: true, minMs: 0, maxMs: 500 };
      case "room-full":
      case "tracker-full":
        return { stay: true, minMs: 2 * MINUTE_MS, maxMs: 5 * MINUTE_MS };
      case "rate-limited":
        return { stay: true, minMs: MINUTE_MS, maxMs: 2 * MINUTE_MS };
      case "shutting-down":
        return { stay: true, minMs: 1000, maxMs: 10_000 };
    }
    // stranger: a signal to somebody who was introduced at an earlier visit, or has just left
    const known = code === "" || code === "stranger";
    if (!known) return { stay: true, minMs: MINUTE_MS, maxMs: 2 * MINUTE_MS }; // as if told to slow down
    const wait = this.waitMs; // the connection broke, or the tracker is not there
    this.waitMs = Math.min(wait * 2, REJOIN_MAX_MS);
    return { stay: true, minMs: wait / 2, maxMs: wait * 1.5 };
  }

  /** One connection, from token to close. */
  private async visit(): Promise<void> {
    const token = await this.token();
    if (this.stopped) return;
    const socket = this.env.socket(this.config.url);
    this.socket = socket;
    await new Promise<void>((resolve, reject) => {
      const timeout = setTimeout(() => {
        socket.close();
        reject(new VisitError("the tracker does not answer"));
      }, ANSWER_TIMEOUT_MS);
      const fail = (error: VisitError) => {
        clearTimeout(timeout);
        socket.close();
        reject(error);
      };
      socket.onopen = () => {
        const { role, renditions } = this.config;
        const line = this.config.line?.() ?? { noUpload: false, uplinkBps: 0 };
        socket.send(encode({ type: "join", version: ANNOUNCE_VERSION, token, role, renditions: renditions(), ...line }));
      };
      socket.onmessage = (event: MessageEvent) => {
        let message: Message;
        try {
          message = decode(String(event.data));
        } catch (error) {
          return fail(new VisitError(`the tracker sent a message that is not understood: ${(error as Error).message}`));
        }
        if (message.type === "error") return fail(new VisitError(message.message, message.code));
        if (message.type === "welcome") {
          clearTimeout(timeout);
          this.joined = true;
          this.refusedTokens = 0;
        }
        this.config.heard(message);
      };
      socket.onclose = () => {
        clearTimeout(timeout);
        resolve();
      };
    });
  }

  /** A fresh join token from the origin: tokens are short-lived, and needed only to join. */
  private async token(): Promise<string> {
    const address = new URL(this.config.tokenUrl);
    if (this.config.role === "seeder") address.searchParams.set("role", "seeder");
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    let text: string;
    try {
      const response = await this.env.fetch(address.href, { method: "POST", signal });
      if (!response.ok) throw new VisitError(`no token could be had: the origin answered ${response.status}`);
      text = await response.text();
    } catch (error) {
      if (error instanceof VisitError) throw error;
      throw new VisitError("no token could be had: the origin could not be reached");
    }
    try {
      const reply = JSON.parse(text.slice(0, MAX_TOKEN_REPLY)) as { token?: unknown };
      if (typeof reply.token === "string" && reply.token) return reply.token;
    } catch {
      // said below
    }
    throw new VisitError("the origin did not answer with a token");
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.timer = setTimeout(resolve, ms);
    });
  }
}
