// The session as the page sees it: asks the core for playlists and bytes, tells it what
// the player does, and connects to neighbours for it.

import type { Text } from "./fetch";
import { CoreLink } from "./link";
import { DeliveryError, type Delivery, type Entry } from "./objects";
import { MAX_PLAYLIST_BYTES } from "./manifest";
import { letter, opened, type Account, type CoreConfig, type Failure, type FromCore, type Letter, type Place } from "./port";
import type { PageHttp } from "./page-http";
import type { Progress, Ticket } from "./session";
import { certify, Line } from "./rtc";
import { agrees, NO_VIEW, type View } from "./view";

/** How often the core hears of the player, besides at once when something happens: every time, and if nothing did. */
const VIEW_EVERY_MS = 1000;
const VIEW_AT_LEAST_EVERY_MS = 4000;
/** The core says goodbye to neighbours before it ends. */
const FAREWELL_MS = 300;

export const NOTHING: Progress = { loaded: 0, total: 0, elapsedMs: 0, firstByteMs: 0 };
export const NO_ACCOUNT: Account = {
  stats: {
    httpBytes: 0,
    p2pBytes: 0,
    uploadedBytes: 0,
    playlistBytes: 0,
    requests: { playlist: 0, list: 0, media: 0, other: 0 },
    verifiedLeaves: 0,
    rejectedLeaves: 0,
    peers: 0,
  },
  refused: "",
  rate: undefined,
};

interface Asked {
  delivery: Delivery;
  progress: Progress;
}

export class Remote {
  account = NO_ACCOUNT;
  /** Settles when the page has done its part of what was begun. */
  prepared: Promise<unknown> | undefined;
  private readonly windows = new Map<string, { entries: readonly Entry[]; healthy: boolean; ended: boolean }>();
  private readonly texts = new Map<number, { resolve: (text: Text) => void; reject: (error: Error) => void }>();
  private readonly asked = new Map<number, Asked>();
  private readonly lines = new Map<number, Line>();
  private readonly iceServers: RTCIceServer[];
  private nextId = 0;
  private told: View = NO_VIEW;
  private timer: ReturnType<typeof setInterval> | undefined;
  /** What was asked for before the player asked. */
  private begun: { rendition: string; answer: Promise<Text> } | undefined;

  constructor(
    private readonly link: CoreLink,
    config: CoreConfig,
    private readonly http: PageHttp,
    private rtc: RTCConfiguration,
    private readonly view: () => View,
  ) {
    this.iceServers = rtc.iceServers ?? [];
    link.heard = (m) => this.heard(m);
    link.say({ type: "open", config });
    this.timer = setInterval(() => this.tellView(), VIEW_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.timer);
    this.link.say({ type: "stop" });
    this.link.end(FAREWELL_MS);
    setTimeout(() => {
      for (const line of this.lines.values()) line.close();
    }, FAREWELL_MS);
  }

  /**
   * Asks for the playlist that the player will ask for in a moment, while the core starts; the core decides what the answer is
   * worth, and fetches what playback begins with.
   */
  begin(rendition: string, url: string, limitMs?: number): void {
    const fetched = this.http.text(url, MAX_PLAYLIST_BYTES, { cache: "no-cache" }, limitMs).then(letter, () => undefined);
    const answer = fetched.then((text) => this.ask(rendition, text));
    answer.catch(() => undefined); // told where it is awaited
    this.begun = { rendition, answer };
    this.prepared = fetched;
  }

  /** The newest verified media playlist of a rendition, or the next one if the player has that already, or the first with a place. */
  playlist(rendition: string, place?: Place): Promise<Text> {
    const { begun } = this;
    this.begun = undefined;
    // However old it is, hls.js is told when it came, and asks again at once if that is long ago.
    return begun?.rendition === rendition ? begun.answer : this.ask(rendition, undefined, place);
  }

  private ask(rendition: string, fetched: Letter | undefined, place?: Place): Promise<Text> {
    const id = this.nextId++;
    this.tellView();
    this.link.say({ type: "playlist", id, rendition, fetched, place });
    return new Promise((resolve, reject) => this.texts.set(id, { resolve, reject }));
  }

  /** Delivers the verified bytes of a segment or an init section, and nothing else. */
  deliver(url: string, delivery: Delivery): Ticket {
    const id = this.nextId++;
    const asked: Asked = { delivery, progress: NOTHING };
    this.asked.set(id, asked);
    this.tellView();
    this.link.say({ type: "deliver", id, url });
    return {
      progress: () => asked.progress,
      cancel: () => {
        if (this.asked.delete(id)) this.link.say({ type: "cancel", id });
      },
    };
  }

  /** Whether a rendition's playlist could be had and verified lately. */
  healthy(rendition: string): boolean {
    return this.windows.get(rendition)?.healthy ?? false;
  }

  /** Whether it is a recording. */
  ended(rendition: string): boolean {
    return this.windows.get(rendition)?.ended ?? false;
  }

  /** A rendition's window, oldest first. */
  window(rendition: string): readonly Entry[] {
    return this.windows.get(rendition)?.entries ?? [];
  }

  /** Tells the core where the player is, if it is not where the core believes. */
  tellView(): void {
    const view = this.view();
    if (agrees(this.told, view) && view.atMs - this.told.atMs < VIEW_AT_LEAST_EVERY_MS) return;
    this.told = view;
    this.link.say({ type: "view", view });
  }

  private heard(m: FromCore): void {
    switch (m.type) {
      case "account":
        this.account = m.account;
        return;
      case "window":
        this.windows.set(m.rendition, m);
        return this.tellView();
      case "playlist":
        this.texts.get(m.id)?.resolve(opened(m.letter));
        return void this.texts.delete(m.id);
      case "progress": {
        const asked = this.asked.get(m.id);
        if (asked) asked.progress = m.progress;
        return;
      }
      case "bytes": {
        const asked = this.asked.get(m.id);
        this.asked.delete(m.id);
        if (!asked) return;
        asked.progress = m.progress;
        return asked.delivery.done(m.bytes);
      }
      case "failed":
        return this.failed(m.id, m.failure);
      case "certify":
        return void certify(this.rtc).catch(() => "").then((fingerprint) => this.link.say({ type: "certified", fingerprint }));
      case "ice":
        this.rtc = { ...this.rtc, iceServers: [...this.iceServers, ...m.servers], iceTransportPolicy: m.relayOnly ? "relay" : "all" };
        return;
      case "connect":
        return this.connect(m.line, m.makesOffer);
      case "signal":
        return this.lines.get(m.line)?.signal(m.signal);
      case "close":
        this.lines.get(m.line)?.close();
        this.lines.delete(m.line);
    }
  }

  private failed(id: number, { status, message, unsigned }: Failure): void {
    const error = new DeliveryError(status, message, unsigned);
    this.texts.get(id)?.reject(error);
    this.texts.delete(id);
    this.asked.get(id)?.delivery.failed(error);
    this.asked.delete(id);
  }

  private connect(id: number, makesOffer: boolean): void {
    const ended = (reason: string) => {
      this.lines.delete(id);
      this.link.say({ type: "ended", line: id, reason });
    };
    try {
      const line = new Line(makesOffer, this.rtc, {
        signal: (signal) => this.link.say({ type: "signalled", line: id, signal }),
        measured: (roundTripMs) => this.link.say({ type: "measured", line: id, roundTripMs }),
        ended,
      });
      this.lines.set(id, line);
      const { channel } = line;
      this.link.say({ type: "channel", line: id, channel }, [channel as unknown as Transferable]);
    } catch {
      ended("this browser forbids connections"); // WebRTC is there but forbidden
    }
  }
}
