import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Message } from "../src/announce";
import { TrackerClient } from "../src/tracker";

/** A tracker that is not there; tests say what it sends. */
class FakeSocket {
  readyState = 0;
  readonly sent: { type: string; [field: string]: unknown }[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {}

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  say(message: unknown): void {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as { type: string });
  }

  close(): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    queueMicrotask(() => this.onclose?.());
  }
}

class World {
  readonly sockets: FakeSocket[] = [];
  readonly tokenRequests: string[] = [];
  readonly heard: Message[] = [];
  readonly away: string[] = [];
  fingerprint = "";
  tokenReply = () => new Response(JSON.stringify({ token: "abc.def.ghi", expiresMs: 1 }));
  readonly client = new TrackerClient(
    {
      url: "wss://t.test/tracker",
      tokenUrl: "https://o.test/live/demo/token",
      fingerprint: () => Promise.resolve(this.fingerprint),
      renditions: () => ["360p"],
      heard: (m) => this.heard.push(m),
      away: (reason, forGood) => this.away.push(reason + (forGood ? " (for good)" : "")),
    },
    {
      fetch: async (url, init) => {
        this.tokenRequests.push(`${init.method} ${url}`);
        return this.tokenReply();
      },
      socket: (url, protocols) => {
        const socket = new FakeSocket(url, protocols);
        this.sockets.push(socket);
        return socket as unknown as WebSocket;
      },
      random: () => 0.5,
    },
  );

  get socket(): FakeSocket {
    return this.sockets[this.sockets.length - 1];
  }

  async join(terms = {}): Promise<void> {
    this.client.start();
    await this.settle();
    this.socket.open();
    this.socket.say({ type: "welcome", id: "00c0ffee00c0ffee", reportMs: 5000, viewers: 1, ...terms });
  }

  settle(ms = 1): Promise<unknown> {
    return vi.advanceTimersByTimeAsync(ms);
  }
}

beforeEach(() => void vi.useFakeTimers({ now: 1_767_225_600_000 }));
afterEach(() => void vi.useRealTimers());

describe("the tracker client", () => {
  test("joins with a fresh token and passes on what it hears", async () => {
    const world = new World();
    await world.join();
    expect(world.tokenRequests).toEqual(["POST https://o.test/live/demo/token"]);
    expect(world.socket.url).toBe("wss://t.test/tracker");
    expect(world.socket.protocols).toEqual(["slipstream", "abc.def.ghi"]); // so that it is seen before the socket opens
    expect(world.socket.sent).toEqual([
      { type: "join", version: 1, role: "viewer", renditions: ["360p"], noUpload: false, uplinkBps: 0 },
    ]);
    world.socket.say({ type: "neighbour", id: "5eed5eed5eed5eed", offer: true });
    expect(world.heard.map((m) => m.type)).toEqual(["welcome", "neighbour"]);
  });

  test("sends nothing before it is welcome", async () => {
    const world = new World();
    world.client.start();
    await world.settle();
    world.socket.open();
    expect(world.client.send({ type: "leave" })).toBe(false);
    expect(world.socket.sent).toHaveLength(1);
  });

  test("joins again when the tracker goes away, ever more rarely, with a new token", async () => {
    const world = new World();
    await world.join();
    world.socket.close();
    await world.settle(499);
    expect(world.sockets).toHaveLength(1);
    await world.settle(2);
    expect(world.sockets).toHaveLength(2);
    expect(world.tokenRequests).toHaveLength(2);
    world.socket.close();
    await world.settle(900);
    expect(world.sockets).toHaveLength(2);
    await world.settle(200);
    expect(world.sockets).toHaveLength(3);
    for (let i = 0; i < 10; i++) {
      world.socket.close();
      await world.settle(15_001);
    }
    expect(world.sockets).toHaveLength(13); // at least every 15 s
  });

  test("tries again when no token can be had", async () => {
    const world = new World();
    world.tokenReply = () => new Response("", { status: 503 });
    world.client.start();
    await world.settle(600);
    expect(world.tokenRequests).toHaveLength(2);
    expect(world.sockets).toHaveLength(0);
    expect(world.away[0]).toBe("no token could be had: the origin answered 503");
  });

  test.each(["token-expired", "token-used", "fingerprint"])("after %s the token is replaced at once", async (code) => {
    const world = new World();
    await world.join();
    world.socket.say({ type: "error", code, message: "The token is too old." });
    await world.settle(300);
    expect(world.tokenRequests).toHaveLength(2);
  });

  test("asks for tokens that are bound to its certificate", async () => {
    const world = new World();
    world.fingerprint = "sha-256 AB:CD";
    await world.join();
    expect(world.tokenRequests).toEqual(["POST https://o.test/live/demo/token?fp=sha-256+AB%3ACD"]);
  });

  test("renews its visit with fresh tokens, and tries again soon if there is none", async () => {
    const world = new World();
    await world.join({ renewMs: 90_000 });
    const renewals = () => world.socket.sent.filter((m) => m.type === "renew");
    await world.settle(59_000);
    expect(renewals()).toEqual([]);
    await world.settle(1100); // two thirds
    expect(renewals()).toEqual([{ type: "renew", token: "abc.def.ghi" }]);
    world.tokenReply = () => new Response("", { status: 503 });
    await world.settle(61_000);
    expect(renewals()).toHaveLength(1);
    world.tokenReply = () => new Response(JSON.stringify({ token: "x.y.z" }));
    await world.settle(6000);
    expect(renewals()[1]).toEqual({ type: "renew", token: "x.y.z" });
    expect(world.sockets).toHaveLength(1);
  });

  test("a visit that is over is not renewed", async () => {
    const world = new World();
    await world.join({ renewMs: 90_000 });
    world.socket.say({ type: "error", code: "room-full", message: "Full." });
    await world.settle(100_000);
    expect(world.tokenRequests).toHaveLength(1);
  });

  test.each(["malformed", "version", "join-first", "token-channel", "token-role", "expelled", "sharing-off"])(
    "stays away after %s",
    async (code) => {
      const world = new World();
      await world.join();
      world.socket.say({ type: "error", code, message: "Go away." });
      await world.settle(3_600_000);
      expect(world.sockets).toHaveLength(1);
      expect(world.away).toEqual(["Go away. (for good)"]);
    },
  );

  test("a stranger comes again, ever more rarely", async () => {
    const world = new World();
    await world.join();
    for (const waitMs of [501, 1001, 2001]) {
      const before = world.sockets.length;
      world.socket.say({ type: "error", code: "stranger", message: "Who?" });
      await world.settle(waitMs - 100);
      expect(world.sockets).toHaveLength(before);
      await world.settle(101);
      expect(world.sockets).toHaveLength(before + 1);
      world.socket.open();
    }
  });

  test("an invalid token is replaced once, not for ever", async () => {
    const world = new World();
    world.client.start();
    for (let i = 0; i < 3; i++) {
      await world.settle(400);
      world.socket.open();
      world.socket.say({ type: "error", code: "token-invalid", message: "No." });
    }
    await world.settle(3_600_000);
    expect(world.sockets).toHaveLength(2);
  });

  test("a full room is left alone for minutes", async () => {
    const world = new World();
    await world.join();
    world.socket.say({ type: "error", code: "room-full", message: "Full." });
    await world.settle(119_000);
    expect(world.sockets).toHaveLength(1);
    await world.settle(181_000);
    expect(world.sockets.length).toBeGreaterThan(1);
  });

  test("an error that this version does not know is answered with patience", async () => {
    const world = new World();
    await world.join();
    world.socket.say({ type: "error", code: "full-moon", message: "Not tonight." });
    await world.settle(59_000);
    expect(world.sockets).toHaveLength(1);
  });

  test("a tracker that never answers is given up", async () => {
    const world = new World();
    world.client.start();
    await world.settle();
    world.socket.open();
    await world.settle(10_000);
    expect(world.away).toEqual(["the tracker does not answer"]);
  });

  test("a message that is not understood ends the visit", async () => {
    const world = new World();
    await world.join();
    world.socket.say(`{"type":"duty","duties":7}`);
    await world.settle();
    expect(world.away[0]).toMatch(/^the tracker sent a message that is not understood: the duty message is malformed/);
  });

  test("leaving is final", async () => {
    const world = new World();
    await world.join();
    world.client.stop();
    await world.settle(60_000);
    expect(world.socket.sent.at(-1)).toEqual({ type: "leave" });
    expect(world.sockets).toHaveLength(1);
    expect(world.away).toEqual([]);
  });
});
