// A data channel to one neighbour, as the core sees it: bytes in, bytes out. The
// connection under it is the page's (rtc.ts), since workers have no RTCPeerConnection;
// the channel itself moves here.

import { isCandidate, type Signal } from "./announce";
import type { Bytes } from "./bytes";

/** How long a connection may take to come about. */
export const CONNECT_TIMEOUT_MS = 15_000;
/**
 * Below this much in the send buffer we hear of it, so that the next leaf can follow. Less than a leaf, so that it is
 * crossed even if a single one was waiting.
 */
const BUFFERED_LOW_BYTES = 8 * 1024;
/** Chromium refuses to queue more than 16 MiB; nobody gets near it. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;
/** A message that was just sent, such as BYE, still has to leave the buffer. */
const LINGER_MS = 250;

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
  /** As measured last; 0: not yet. */
  readonly roundTripMs: number;
  signal(signal: Signal): void;
  close(): void;
}

/** Makes connections: makesOffer says which of the two sides begins. */
export type Connector = (makesOffer: boolean, callbacks: Callbacks) => Connection;

/** The line that carries the channel, far away in the page. */
export interface LineControl {
  signal(signal: Signal): void;
  close(): void;
}

export class ChannelConnection implements Connection {
  roundTripMs = 0;
  private channel: RTCDataChannel | undefined;
  private ended = false;
  private readonly timer: ReturnType<typeof setTimeout>;

  constructor(
    private readonly line: LineControl,
    private readonly callbacks: Callbacks,
  ) {
    this.timer = setTimeout(() => this.end("no connection came about"), CONNECT_TIMEOUT_MS);
  }

  /** The channel came over from the page. */
  attach(channel: RTCDataChannel): void {
    if (this.ended) return channel.close();
    this.channel = channel;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = BUFFERED_LOW_BYTES;
    channel.onopen = () => this.opened();
    channel.onclose = () => this.end("the data channel was closed");
    channel.onbufferedamountlow = () => this.callbacks.bufferedLow();
    channel.onmessage = (event: MessageEvent) => {
      if (event.data instanceof ArrayBuffer) this.callbacks.message(new Uint8Array(event.data));
      else this.end("it sent text where only bytes belong");
    };
  }

  /** The page has something to signal. Candidates of a kind that may not travel stay here. */
  signalled(signal: Signal): void {
    const candidates = signal.candidates.filter(isCandidate);
    if (this.ended || (signal.kind === "candidate" && candidates.length === 0)) return;
    this.callbacks.signal({ ...signal, candidates });
  }

  get bufferedAmount(): number {
    return this.ended ? 0 : (this.channel?.bufferedAmount ?? 0);
  }

  send(bytes: Bytes): boolean {
    const { channel } = this;
    if (this.ended || channel?.readyState !== "open") return false;
    if (channel.bufferedAmount + bytes.length > MAX_BUFFERED_BYTES) return false;
    try {
      channel.send(bytes);
      return true;
    } catch {
      return false;
    }
  }

  signal(signal: Signal): void {
    if (!this.ended) this.line.signal(signal);
  }

  close(): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.timer);
    if ((this.channel?.bufferedAmount ?? 0) > 0) setTimeout(() => this.line.close(), LINGER_MS);
    else this.line.close();
  }

  /** It ended without our doing. */
  end(reason: string): void {
    if (this.ended) return;
    this.close();
    this.callbacks.closed(reason);
  }

  private opened(): void {
    clearTimeout(this.timer);
    if (!this.ended) this.callbacks.open();
  }
}
