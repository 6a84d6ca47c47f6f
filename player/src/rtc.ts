// The line to one neighbour: an RTCPeerConnection, which only pages have, and the
// signals that bring it about. Its data channel is negotiated in advance (id 0, ordered,
// reliable) and handed to the core, see channel.ts. Signalling carries only what differs
// between two session descriptions: both sides rebuild the rest from the template in the
// specification of tracker/announce.

import { MAX_CANDIDATES, type Signal } from "./announce";

/** How long a broken connection may take to mend by itself. */
const DISCONNECT_TIMEOUT_MS = 8_000;
/** Candidates are gathered this long before they are signalled, to need fewer messages. */
const GATHER_MS = 50;
/** How often a round trip is looked up, which costs the page's thread half a millisecond: as often as the tracker exchanges neighbours. */
const MEASURE_EVERY_MS = 30_000;

/** Whether this browser can connect to neighbours at all. */
export function supportsWebRtc(): boolean {
  return typeof RTCPeerConnection === "function" && typeof RTCDataChannel === "function";
}

export interface LineEvents {
  /** To be carried to the neighbour by the tracker. */
  signal(signal: Signal): void;
  /** How long a round trip takes, as ICE last measured it. */
  measured(roundTripMs: number): void;
  /** Once, with a reason for people; not after close(). */
  ended(reason: string): void;
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

/**
 * Gives all lines of this visit one certificate, and returns its fingerprint. It is read from an offer, for not all
 * browsers tell it otherwise.
 */
export async function certify(configuration: RTCConfiguration): Promise<string> {
  const ecdsa = { name: "ECDSA", namedCurve: "P-256" };
  const certificates = [await RTCPeerConnection.generateCertificate(ecdsa)];
  const pc = new RTCPeerConnection({ certificates });
  pc.createDataChannel("");
  const { sdp } = await pc.createOffer();
  pc.close();
  configuration.certificates = certificates;
  return readDescription(sdp!)!.fingerprint!;
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

export class Line {
  /** To be handed over before anything else happens: a channel that has been used can not move. */
  readonly channel: RTCDataChannel;
  private readonly pc: RTCPeerConnection;
  private closed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private gatherTimer: ReturnType<typeof setTimeout> | undefined;
  private measureTimer: ReturnType<typeof setTimeout> | undefined;
  /** Set until the offer or answer went out: what the candidates gathered meanwhile travel with. */
  private description: Signal | undefined;
  private ufrag = "";
  private gathered: string[] = [];
  /** Signals are taken one after the other: a candidate waits for its description. */
  private turn: Promise<void> = Promise.resolve();
  private described = false;

  constructor(
    private readonly makesOffer: boolean,
    configuration: RTCConfiguration,
    private readonly events: LineEvents,
  ) {
    this.pc = new RTCPeerConnection(configuration);
    this.channel = this.pc.createDataChannel("slipstream", { negotiated: true, id: 0, ordered: true });
    this.pc.onicecandidate = (event) => this.gather(event.candidate?.candidate ?? "");
    this.pc.onconnectionstatechange = () => this.stateChanged();
    if (makesOffer) this.inTurn(() => this.describe("offer"));
  }

  signal(signal: Signal): void {
    this.inTurn(() => this.take(signal));
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.gatherTimer);
    clearTimeout(this.measureTimer);
    this.pc.close();
  }

  private end(reason: string): void {
    if (this.closed) return;
    this.close();
    this.events.ended(reason);
  }

  private inTurn(step: () => Promise<void>): void {
    this.turn = this.turn.then(step).catch((error: unknown) => {
      this.end(`a signal was not understood: ${(error as Error).message}`);
    });
  }

  private async take(signal: Signal): Promise<void> {
    if (this.closed) return;
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
    if (candidate) this.gathered.push(candidate.replace(/^a=/, ""));
    if (candidate && this.gathered.length < MAX_CANDIDATES) this.scheduleSignal();
    else this.flush(); // gathering ended, or a signal is full
  }

  private scheduleSignal(): void {
    this.gatherTimer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  /** Signals the description, if it is due, with the candidates gathered so far. */
  private flush(): void {
    clearTimeout(this.gatherTimer);
    this.gatherTimer = undefined;
    if (this.closed || !this.ufrag) return;
    const candidates = this.gathered.splice(0, MAX_CANDIDATES);
    if (this.description) this.events.signal({ ...this.description, candidates });
    else if (candidates.length > 0) this.events.signal({ kind: "candidate", ufrag: this.ufrag, candidates });
    this.description = undefined;
    if (this.gathered.length > 0) this.scheduleSignal();
  }

  private async measure(): Promise<void> {
    clearTimeout(this.measureTimer);
    this.measureTimer = setTimeout(() => void this.measure(), MEASURE_EVERY_MS);
    const stats = await this.pc.getStats().catch(() => new Map() as RTCStatsReport);
    stats.forEach(({ nominated, currentRoundTripTime }: RTCIceCandidatePairStats) => {
      if (nominated && currentRoundTripTime) this.events.measured(Math.ceil(currentRoundTripTime * 1000));
    });
  }

  /** Browsers notice a death after 8 to 18 s; the scheduler's own deadlines are far shorter. */
  private stateChanged(): void {
    const state = this.pc.connectionState;
    if (state === "failed" || state === "closed") this.end("the connection was lost");
    clearTimeout(this.timer);
    if (state === "connected") void this.measure();
    if (state === "disconnected") {
      this.timer = setTimeout(() => this.end("the connection was lost"), DISCONNECT_TIMEOUT_MS);
    }
  }
}
