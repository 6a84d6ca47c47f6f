import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Signal } from "../src/announce";
import { ChannelConnection, CONNECT_TIMEOUT_MS } from "../src/channel";
import { certify, Line, readDescription, writeDescription } from "../src/rtc";

const FINGERPRINT = `sha-256 ${Array.from({ length: 32 }, (_, i) => (i + 16).toString(16).toUpperCase()).join(":")}`;
const HOST = "candidate:1 1 udp 2113937151 192.0.2.1 5000 typ host generation 0";
const OFFER: Signal = {
  kind: "offer",
  ufrag: "Ck4x",
  pwd: "w2mJVYJqSxQ3nGJ0TUVWXYZa",
  fingerprint: FINGERPRINT,
  setup: "actpass",
  candidates: [],
};

describe("session descriptions", () => {
  test("carry exactly what the signal says", () => {
    const sdp = writeDescription({ ...OFFER, candidates: [HOST] });
    expect(sdp).toContain("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n");
    expect(sdp).toContain(`a=${HOST}\r\n`);
    expect(sdp.split("\r\n").filter((l) => l && !/^[a-z]=/.test(l))).toEqual([]);
    const { kind: _, candidates: __, ...parts } = OFFER;
    expect(readDescription(sdp)).toEqual(parts);
  });

  test("of browsers are read whatever surrounds the parts", () => {
    const sdp = [
      "v=0",
      "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
      "a=fingerprint:sha-256 " + FINGERPRINT.slice(8).toLowerCase(),
      "a=ice-ufrag:abcd",
      "a=ice-pwd:0123456789012345678901",
      "a=setup:active",
    ].join("\r\n");
    expect(readDescription(sdp)).toEqual({
      ufrag: "abcd",
      pwd: "0123456789012345678901",
      fingerprint: FINGERPRINT,
      setup: "active",
    });
    expect(readDescription("v=0\r\n")).toBeUndefined();
  });
});

// ── a browser's WebRTC as far as rtc.ts uses it ────────────────────────────

class FakeChannel {
  readyState = "connecting";
  bufferedAmount = 0;
  onopen?: () => void;
  onclose?: () => void;
  onmessage?: (event: { data: unknown }) => void;
  readonly sent: unknown[] = [];
  send(data: unknown): void {
    if (this.bufferedAmount > 1e9) throw new Error("full");
    this.sent.push(data);
  }
}

class FakeConnection {
  static last: FakeConnection;
  static generateCertificate = async (algorithm: object) => ({ algorithm });
  connectionState = "new";
  roundTripTime = 0;
  onicecandidate?: (event: { candidate: { candidate: string } | null }) => void;
  onconnectionstatechange?: () => void;
  readonly channel = new FakeChannel();
  readonly calls: string[] = [];
  closed = false;

  constructor(readonly configuration?: RTCConfiguration) {
    FakeConnection.last = this;
  }

  createDataChannel(label: string, options?: { negotiated: boolean; id: number }): FakeChannel {
    this.calls.push(`channel ${label} ${options?.negotiated} ${options?.id}`);
    return this.channel;
  }

  async createOffer() {
    return { type: "offer", sdp: writeDescription(OFFER) };
  }

  async createAnswer() {
    return { type: "answer", sdp: writeDescription({ ...OFFER, ufrag: "dcba", setup: "active" }) };
  }

  async setLocalDescription(d: { type: string }) {
    this.calls.push(`local ${d.type}`);
  }

  async setRemoteDescription(d: { type: string }) {
    this.calls.push(`remote ${d.type}`);
  }

  async addIceCandidate(c: { candidate: string; usernameFragment: string }) {
    if (c.candidate.includes("tcp")) throw new Error("no tcp here");
    this.calls.push(`candidate ${c.usernameFragment} ${c.candidate.split(" ")[4]}`);
  }

  async getStats() {
    return new Map<string, object>([
      ["T01", { type: "transport" }],
      ["CP1", { type: "candidate-pair", nominated: false, currentRoundTripTime: 9 }],
      ["CP2", { type: "candidate-pair", nominated: true, currentRoundTripTime: this.roundTripTime }],
    ]);
  }

  close(): void {
    this.closed = true;
  }
}

function connect(makesOffer: boolean) {
  const heard: string[] = [];
  const signals: Signal[] = [];
  const line = new Line(makesOffer, {}, {
    signal: (s) => connection.signalled(s),
    measured: (ms) => (connection.roundTripMs = ms),
    ended: (reason) => connection.end(reason),
  });
  const connection = new ChannelConnection(line, {
    signal: (s) => signals.push(s),
    open: () => heard.push("open"),
    message: (b) => heard.push(`message ${b.length}`),
    bufferedLow: () => heard.push("low"),
    closed: (reason) => heard.push(`closed: ${reason}`),
  });
  connection.attach(line.channel);
  return { connection, heard, signals, pc: FakeConnection.last };
}

describe("a connection", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("RTCPeerConnection", FakeConnection);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  test("has the certificate of all others of the visit", async () => {
    const configuration: RTCConfiguration = {};
    expect(await certify(configuration)).toBe(FINGERPRINT);
    expect(FakeConnection.last.configuration).toEqual(configuration);
    expect(configuration.certificates).toEqual([{ algorithm: { name: "ECDSA", namedCurve: "P-256" } }]);
    expect(FakeConnection.last.closed).toBe(true);
  });

  test("signals its offer with the candidates gathered so far, later ones on their own", async () => {
    const { signals, pc } = connect(true);
    expect(pc.calls[0]).toBe("channel slipstream true 0");
    await vi.advanceTimersByTimeAsync(10);
    pc.onicecandidate!({ candidate: { candidate: HOST } });
    pc.onicecandidate!({ candidate: { candidate: "candidate:nonsense" } });
    await vi.advanceTimersByTimeAsync(50);
    expect(signals).toEqual([{ ...OFFER, candidates: [HOST] }]);
    pc.onicecandidate!({ candidate: { candidate: HOST.replace(".1 ", ".2 ") } });
    pc.onicecandidate!({ candidate: null });
    expect(signals[1]).toEqual({ kind: "candidate", ufrag: "Ck4x", candidates: [HOST.replace(".1 ", ".2 ")] });
  });

  test("answers an offer, and takes candidates after it, in order; a bad one is not the end", async () => {
    const { connection, signals, pc, heard } = connect(false);
    connection.signal({ ...OFFER, candidates: [HOST] });
    connection.signal({ kind: "candidate", ufrag: "Ck4x", candidates: [HOST.replace("udp", "tcp"), HOST] });
    await vi.advanceTimersByTimeAsync(60);
    expect(pc.calls.slice(1)).toEqual(["remote offer", "local answer", "candidate Ck4x 192.0.2.1"]);
    expect(signals.map((s) => [s.kind, s.ufrag, s.setup])).toEqual([["answer", "dcba", "active"]]);
    expect(heard).toEqual([]);
  });

  test("takes no second description, and no offer when it made one", async () => {
    const { connection, pc } = connect(true);
    connection.signal(OFFER);
    connection.signal({ ...OFFER, kind: "answer", setup: "active" });
    connection.signal({ ...OFFER, kind: "answer", setup: "passive" });
    await vi.advanceTimersByTimeAsync(60);
    expect(pc.calls.filter((c) => c.startsWith("remote"))).toEqual(["remote answer"]);
  });

  test("is given up when nothing comes about in time, and said so once", async () => {
    const { heard, pc } = connect(true);
    await vi.advanceTimersByTimeAsync(CONNECT_TIMEOUT_MS + 1000);
    pc.channel.onclose!();
    expect(heard).toEqual(["closed: no connection came about"]);
    expect(pc.closed).toBe(true);
  });

  test("tells how long a round trip takes as soon as it is known, and again every half minute", async () => {
    const { connection, pc } = connect(true);
    pc.channel.onopen!();
    expect(connection.roundTripMs).toBe(0);
    pc.roundTripTime = 0.0305;
    pc.connectionState = "connected";
    pc.onconnectionstatechange!();
    await vi.advanceTimersByTimeAsync(1);
    expect(connection.roundTripMs).toBe(31);
    pc.roundTripTime = 0.2;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(connection.roundTripMs).toBe(200);
    connection.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("survives a short disconnection, not a long one", async () => {
    const { heard, pc } = connect(true);
    pc.channel.onopen!();
    const be = (state: string) => {
      pc.connectionState = state;
      pc.onconnectionstatechange!();
    };
    be("disconnected");
    await vi.advanceTimersByTimeAsync(5000);
    be("connected");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(heard).toEqual(["open"]);
    be("disconnected");
    await vi.advanceTimersByTimeAsync(9000);
    expect(heard).toEqual(["open", "closed: the connection was lost"]);
  });

  test("sends only while it is open and has room, and never throws", () => {
    const { connection, pc } = connect(true);
    expect(connection.send(new Uint8Array(4))).toBe(false);
    pc.channel.readyState = "open";
    expect(connection.send(new Uint8Array(4))).toBe(true);
    pc.channel.bufferedAmount = 9e6;
    expect(connection.send(new Uint8Array(4))).toBe(false);
    expect(connection.bufferedAmount).toBe(9e6);
    connection.close();
    expect(connection.bufferedAmount).toBe(0);
  });

  test("text where bytes belong ends it", () => {
    const { pc, heard } = connect(true);
    pc.channel.onmessage!({ data: new ArrayBuffer(3) });
    pc.channel.onmessage!({ data: "hello" });
    expect(heard).toEqual(["message 3", "closed: it sent text where only bytes belong"]);
  });

  test("closing is not reported to the one who closed", async () => {
    const { connection, pc, heard } = connect(true);
    pc.channel.bufferedAmount = 20; // a BYE on its way
    connection.close();
    expect(pc.closed).toBe(false);
    await vi.advanceTimersByTimeAsync(300);
    expect(pc.closed).toBe(true);
    pc.channel.onclose!();
    expect(heard).toEqual([]);
  });
});
