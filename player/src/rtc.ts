// A data channel to one neighbour. The channel is negotiated in advance (id 0,
// ordered, reliable), and signalling carries only what differs between two
// session descriptions: both sides rebuild the rest from the template in the
// specification of tracker/announce.

import { MAX_CANDIDATES, isCandidate, type Signal } from "./announce";
import type { Bytes } from "./bytes";

/** How long a connection may take to come about. */
export const CONNECT_TIMEOUT_MS = 15_000;
/** How long a broken connection may take to mend by itself. */
const DISCONNECT_TIMEOUT_MS = 8_000;
/** Below this much in the send buffer we hear of it, so that the next leaf can follow. */
/** Less than a leaf, so that it is crossed even if a single one was waiting. */
const BUFFERED_LOW_BYTES = 8 * 1024;
/** Candidates are gathered this long before they are signalled, to need fewer messages. */
const GATHER_MS = 50;
/** Chromium refuses to queue more than 16 MiB; nobody gets near it. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;

export interface Callbacks {
  /** To be carried to the neighbour by the tracker. */
  signal(signal: Signal): void;
  open(): void;
  message(bytes: Bytes): void;
  bufferedLow(): void;
  /** Once, with a reason for people; not after close(). */
  closed(reason: string): void;
}

/** What a session needs of a connection; tests bring their own. */
export interface Connection {
  /** False if the connection is gone or its buffer is full. */
  send(bytes: Bytes): boolean;
  readonly bufferedAmount: number;
  signal(signal: Signal): void;
  close(): void;
}

/** Makes connections: makesOffer says which of the two sides begins. */
export type Connector = (makesOffer: boolean, callbacks: Callbacks) => Connection;

/** Whether this browser can connect to neighbours at all. */
export function supportsWebRtc(): boolean {
  return typeof RTCPeerConnection === "function" && typeof RTCDataChannel === "function";
}

export function rtcConnector(configuration: RTCConfiguration = {}): Connector {
  return (makesOffer, callbacks) => new RtcConnection(makesOffer, callbacks, configuration);
}

/** What a session description says about one side, or undefined if it is not one of ours. */
export function readDescription(sdp: string): Pick<Signal, "ufrag" | "pwd" | "fingerprint" | "setup"> | undefined {
  const line = (name: string) => new RegExp(`^a=${name}:(.*?)\\r?$`, "m").exec(sdp)?.[1];
  const [ufrag, pwd, setup] = [line("ice-ufrag"), line("ice-pwd"), line("setup")];
  const fingerprint = line("fingerprint");
  if (!ufrag || !pwd || !fingerprint || !setup) return undefined;
  const [algorithm, digest] = fingerprint.split(" ");
  return {
    ufrag,
    pwd,
    fingerprint: `${algorithm.toLowerCase()} ${(digest ?? "").toUpperCase()}`,
    setup: setup as Signal["setup"],
  };
}

/** The session description that a signal stands for. The signal's alphabets make sure that nothing adds a line. */
export function writeDescription(s: Signal): string {
  return [
    "v=0",
    "o=- 1 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    `a=ice-ufrag:${s.ufrag}`,
    `a=ice-pwd:${s.pwd}`,
    "a=ice-options:trickle",
    `a=fingerprint:${s.fingerprint}`,
    `a=setup:${s.setup}`,
    "a=mid:0",
    "a=sctp-port:5000",
    "a=max-message-size:262144",
    ...s.candidates.map((c) => `a=${c}`),
    "",
  ].join("\r\n");
}

class RtcConnection implements Connection {
  private readonly pc: RTCPeerConnection;
  private readonly channel: RTCDataChannel;
  private ended = false;
  private timer: ReturnType<typeof setTimeout>;
  private gatherTimer: ReturnType<typeof setTimeout> | undefined;
  /** Set until the offer or answer went out: what the candidates gathered meanwhile travel with. */
  private description: Signal | undefined;
  private ufrag = "";
  private gathered: string[] = [];
  /** Signals are taken one after the other: a candidate waits for its description. */
  private turn: Promise<void> = Promise.resolve();
  private described = false;

  constructor(
    private readonly makesOffer: boolean,
    private readonly callbacks: Callbacks,
    configuration: RTCConfiguration,
  ) {
    this.pc = new RTCPeerConnection(configuration);
    this.channel = this.pc.createDataChannel("slipstream", { negotiated: true, id: 0, ordered: true });
    this.channel.binaryType = "arraybuffer";
    this.channel.bufferedAmountLowThreshold = BUFFERED_LOW_BYTES;
    this.channel.onopen = () => this.opened();
    this.channel.onclose = () => this.end("the data channel was closed");
    this.channel.onbufferedamountlow = () => callbacks.bufferedLow();
    this.channel.onmessage = (event: MessageEvent) => {
      if (event.data instanceof ArrayBuffer) callbacks.message(new Uint8Array(event.data));
      else this.end("it sent text where only bytes belong");
    };
    this.pc.onicecandidate = (event) => this.gather(event.candidate?.candidate ?? "");
    this.pc.onconnectionstatechange = () => this.stateChanged();
    this.timer = setTimeout(() => this.end("no connection came about"), CONNECT_TIMEOUT_MS);
    if (makesOffer) this.inTurn(() => this.describe("offer"));
  }

  get bufferedAmount(): number {
    return this.ended ? 0 : this.channel.bufferedAmount;
  }

  send(bytes: Bytes): boolean {
    if (this.ended || this.channel.readyState !== "open") return false;
    if (this.channel.bufferedAmount + bytes.length > MAX_BUFFERED_BYTES) return false;
    try {
      this.channel.send(bytes);
      return true;
    } catch {
      return false;
    }
  }

  signal(signal: Signal): void {
    this.inTurn(() => this.take(signal));
  }

  close(): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.timer);
    clearTimeout(this.gatherTimer);
    // A message that was just sent, such as BYE, still has to leave the buffer.
    const linger = this.channel.bufferedAmount > 0 ? 250 : 0;
    setTimeout(() => this.pc.close(), linger);
  }

  private end(reason: string): void {
    if (this.ended) return;
    this.close();
    this.callbacks.closed(reason);
  }

  private inTurn(step: () => Promise<void>): void {
    this.turn = this.turn.then(step).catch((error: unknown) => {
      this.end(`a signal was not understood: ${error instanceof Error ? error.message : String(error)}`);
    });
  }

  private async take(signal: Signal): Promise<void> {
    if (this.ended) return;
    if (signal.kind === "candidate") {
      if (!this.described) return;
      for (const candidate of signal.candidates) {
        const init = { candidate, sdpMid: "0", sdpMLineIndex: 0, usernameFragment: signal.ufrag };
        await this.pc.addIceCandidate(init).catch(() => undefined); // one bad candidate is not the end
      }
      return;
    }
    if (this.described || (signal.kind === "offer") === this.makesOffer) return; // not its turn
    this.described = true;
    await this.pc.setRemoteDescription({ type: signal.kind, sdp: writeDescription(signal) });
    if (signal.kind === "offer") await this.describe("answer");
  }

  private async describe(kind: "offer" | "answer"): Promise<void> {
    const local = kind === "offer" ? await this.pc.createOffer() : await this.pc.createAnswer();
    const parts = readDescription(local.sdp ?? "");
    if (!parts) throw new Error("the browser's session description lacks a part");
    this.description = { kind, ...parts, candidates: [] };
    this.ufrag = parts.ufrag;
    this.scheduleSignal();
    await this.pc.setLocalDescription(local);
  }

  private gather(candidate: string): void {
    const text = candidate.startsWith("a=") ? candidate.slice(2) : candidate;
    if (isCandidate(text)) this.gathered.push(text);
    if (text && this.gathered.length < MAX_CANDIDATES) this.scheduleSignal();
    else this.flush(); // gathering ended, or a signal is full
  }

  private scheduleSignal(): void {
    this.gatherTimer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  /** Signals the description, if it is due, with the candidates gathered so far. */
  private flush(): void {
    clearTimeout(this.gatherTimer);
    this.gatherTimer = undefined;
    if (this.ended || !this.ufrag) return;
    const candidates = this.gathered.splice(0, MAX_CANDIDATES);
    if (this.description) this.callbacks.signal({ ...this.description, candidates });
    else if (candidates.length > 0) this.callbacks.signal({ kind: "candidate", ufrag: this.ufrag, candidates });
    this.description = undefined;
    if (this.gathered.length > 0) this.scheduleSignal();
  }

  private opened(): void {
    clearTimeout(this.timer);
    this.callbacks.open();
  }

  /** Browsers notice a death after 8 to 18 s; the scheduler's own deadlines are far shorter. */
  private stateChanged(): void {
    const state = this.pc.connectionState;
    if (state === "failed" || state === "closed") this.end("the connection was lost");
    if (this.channel.readyState !== "open") return;
    clearTimeout(this.timer);
    if (state === "disconnected") {
      this.timer = setTimeout(() => this.end("the connection was lost"), DISCONNECT_TIMEOUT_MS);
    }
  }
}
