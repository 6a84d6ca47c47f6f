// The tracker client: joins the channel's room and joins again when the tracker
// goes away, with a jittered back-off. Neighbours stay meanwhile, and without
// any tracker playback goes on over HTTP.

import { ANNOUNCE_VERSION, decode, encode, SUBPROTOCOL, type Join, type Message } from "./announce";

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
  /** Of the certificate that our connections show, which tokens are bound to; "" if there is none. */
  fingerprint?: () => Promise<string>;
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
  socket: (url: string, protocols: string[]) => WebSocket;
  random: () => number;
}

const browser: TrackerEnvironment = {
  fetch: (url, init) => globalThis.fetch(url, init),
  socket: (url, protocols) => new WebSocket(url, protocols),
  random: Math.random,
};

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
  private renewal: ReturnType<typeof setTimeout> | undefined;
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
    clearTimeout(this.renewal);
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
      clearTimeout(this.renewal);
      if (this.stopped) return;
      if (Date.now() - began > REJOIN_MAX_MS) this.waitMs = 4 * REJOIN_MIN_MS; // everybody else lost it too
      const pause = this.pauseAfter(error.code);
      this.config.away(error.message, !pause);
      if (!pause) return;
      const [least, most] = pause;
      await this.pause(least + this.env.random() * (most - least));
    }
  }

  /** How long to stay away after an error of the tracker (table in the specification of tracker/announce), least and most. */
  private pauseAfter(code: string): [number, number] | undefined {
    switch (code) {
      case "malformed":
      case "version":
      case "join-first":
      case "token-channel":
      case "token-role":
      case "expelled":
      case "sharing-off":
        return undefined; // for good
      case "token-invalid":
      case "token-origin":
        return this.refusedTokens++ ? undefined : [0, 500];
      case "token-expired":
      case "token-used":
      case "fingerprint":
        return [0, 500];
      case "room-full":
      case "tracker-full":
      case "quota-full":
        return [2 * MINUTE_MS, 5 * MINUTE_MS];
      case "shutting-down":
        return [1000, 10_000];
      case "": // the connection broke, or the tracker is not there
      case "stranger": {
        // a signal to somebody who was introduced at an earlier visit, or has just left
        const wait = this.waitMs;
        this.waitMs = Math.min(wait * 2, REJOIN_MAX_MS);
        return [wait / 2, wait * 1.5];
      }
    }
    return [MINUTE_MS, 2 * MINUTE_MS]; // rate-limited, or one that this version does not know
  }

  /** One connection, from token to close. */
  private async visit(): Promise<void> {
    const token = await this.token();
    if (this.stopped) return;
    const socket = this.env.socket(this.config.url, [SUBPROTOCOL, token]);
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
        const renditions = this.config.renditions();
        const line = this.config.line?.() ?? { noUpload: false, uplinkBps: 0 };
        socket.send(encode({ type: "join", version: ANNOUNCE_VERSION, role: "viewer", renditions, ...line }));
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
          if (message.renewMs) this.renewIn(message.renewMs, socket);
        }
        this.config.heard(message);
      };
      socket.onclose = () => {
        clearTimeout(timeout);
        resolve();
      };
    });
  }

  /** Brings a fresh token at a random moment of the second half of each period: not everybody at once. */
  private renewIn(periodMs: number, socket: WebSocket, waitMs = periodMs * (0.5 + this.env.random() / 3)): void {
    this.renewal = setTimeout(async () => {
      const token = await this.token().catch(() => "");
      if (socket !== this.socket) return;
      if (token) this.send({ type: "renew", token });
      this.renewIn(periodMs, socket, token ? undefined : periodMs / 15);
    }, waitMs);
  }

  /** A fresh token from the origin: each is short-lived, and good for one join or renewal. */
  private async token(): Promise<string> {
    const address = new URL(this.config.tokenUrl);
    const fingerprint = this.config.fingerprint && (await this.config.fingerprint());
    if (fingerprint) address.searchParams.set("fp", fingerprint);
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    let problem = "could not be reached";
    try {
      const response = await this.env.fetch(address.href, { method: "POST", signal });
      problem = `answered ${response.status}`;
      const { token } = JSON.parse((await response.text()).slice(0, MAX_TOKEN_REPLY)) as { token?: unknown };
      if (response.ok && typeof token === "string") return token;
    } catch {
      // said below
    }
    throw new VisitError(`no token could be had: the origin ${problem}`);
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.timer = setTimeout(resolve, ms);
    });
  }
}
