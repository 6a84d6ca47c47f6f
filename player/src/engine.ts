// The library's front door: an engine makes an hls.js player fetch a channel's
// bytes from other viewers, and verifies all of them.
//
//	const engine = new SlipstreamEngine();
//	const hls = new Hls(engine.hlsConfig());
//	engine.attach(hls);
//	hls.loadSource("https://example.org/live/demo/index.m3u8");
//	hls.attachMedia(video);

import type Hls from "hls.js";
import type { HlsConfig, LevelDetails } from "hls.js";
import type { Offers } from "./cdns";
import { HASTY_MS, type Requests, type Text } from "./fetch";
import { fragmentLoader, playlistLoader, type LoaderHost } from "./hls";
import {
  folderOf,
  isHash,
  isMultivariant,
  MAX_PLAYLIST_BYTES,
  readMultivariant,
  type Multivariant,
  type Variant,
} from "./manifest";
import { DeliveryError, UNSIGNED, type Delivery } from "./objects";
import { CoreLink } from "./link";
import { PageHttp } from "./page-http";
import { Playhead, type PlayState } from "./playhead";
import type { CoreConfig, Place, Sources } from "./port";
import { NO_ACCOUNT, NOTHING, Remote } from "./remote";
import { address, multivariantPlaylist } from "./retell";
import { supportsWebRtc } from "./rtc";
import type { Ticket } from "./session";
import { NO_VIEW, RECORDING_BUFFER_S } from "./view";

export interface EngineOptions {
  /** The channel's id: the stream must be signed for it. Without one the first stream's id is believed. */
  channel?: string;
  /** The address that will be loaded: what can be is begun at once, while hls.js is still being set up. */
  src?: string;
  /** Addresses of the same at other CDNs, the preferred one first, for streams that do not name theirs (Content Steering). */
  cdns?: string[];
  /** Whether one can go back as far as the origin keeps the channel on disk. It is all verified first: for each hour 280 kB are loaded. */
  dvr?: boolean;
  /** False: everything comes from the CDN, still verified. Default true. */
  p2p?: boolean;
  /** False: take from neighbours, give nothing. By default nothing is given on metered links. */
  upload?: boolean;
  /** At most so many neighbours; default 16. */
  maxNeighbours?: number;
  /** Where ed25519.js lies, which browsers without Ed25519 need; by default beside this file. */
  ed25519Url?: string;
  /** STUN and TURN servers, if the operator has some. */
  iceServers?: RTCIceServer[];
}

/** What the player did so far. Bytes are of media, playlists apart. */
export interface Stats {
  httpBytes: number;
  p2pBytes: number;
  uploadedBytes: number;
  playlistBytes: number;
  /** Requests to the CDN so far, by what was asked for. */
  requests: Requests;
  startupMs: number;
  stalls: number;
  stallMs: number;
  latencyMs: number;
  peers: number;
  verifiedLeaves: number;
  rejectedLeaves: number;
  /** The rendition played, for example "360p"; "" before the first. */
  level: string;
  state: PlayState;
}

/** The connection as far as browsers tell (Network Information API). */
interface Connection {
  saveData?: boolean;
  type?: string;
  effectiveType?: string;
  /** Mb/s */
  downlink?: number;
}

const BANDWIDTH_KEY = "slipstream.bandwidth";
/** Bits/s assumed on a first visit; enough for a middle rendition. */
const ASSUMED_BANDWIDTH = 1_500_000;
/** How fast playback is that has fallen behind with parts: who starts late or stalls comes back. */
const CATCH_UP = 1.1;

export class SlipstreamEngine implements LoaderHost {
  /** Settles when it is known what stream it is, see signed. */
  readonly read: Promise<unknown> | undefined;
  /** Settles when everything is under way that needs no player yet. */
  readonly prepared: Promise<unknown> | undefined;
  private beganMs: number | undefined;
  private readonly http = new PageHttp();
  private readonly wanted: string | undefined;
  private readonly levels = new Map<string, string>(); // media playlist URL → rendition
  private session: Remote | undefined;
  private core: CoreLink | undefined;
  private id = "";
  private playhead: Playhead | undefined;
  private unsigned = false;
  private plainBytes = 0; // of media that is not signed
  private stopped = false;
  private ahead: { url: string; answer: Promise<Text> } | undefined;

  constructor(private readonly options: EngineOptions = {}) {
    if (options.channel) {
      this.wanted = options.channel;
      if (!isHash(this.wanted)) throw new Error("The channel id is not 43 characters of base64url.");
    }
    if (options.src) {
      const url = new URL(options.src, globalThis.document?.baseURI).href;
      this.beganMs = performance.now();
      const answer = this.begin(url);
      this.ahead = { url, answer };
      this.read = answer.catch(() => undefined);
      this.prepared = this.read.then(() => this.session?.prepared);
    }
  }

  /** What to construct hls.js with; add what else you like. */
  hlsConfig(): Partial<HlsConfig> {
    // One more try, then another rendition: the session has tried several times before it gave up.
    const retry = { maxNumRetry: 1, retryDelayMs: 500, maxRetryDelayMs: 2000 };
    return {
      pLoader: playlistLoader(this),
      fLoader: fragmentLoader(this),
      enableInterstitialPlayback: false,
      backBufferLength: 30,
      maxBufferLength: RECORDING_BUFFER_S,
      testBandwidth: false, // it would fetch a first segment in vain
      startFragPrefetch: true, // the first playlist may be here before the video element is ready
      abrEwmaDefaultEstimate: rememberedBandwidth(),
      errorPenaltyExpireMs: 20_000, // a rendition that was gone may come back
      playlistLoadPolicy: {
        default: { maxTimeToFirstByteMs: 10_000, maxLoadTimeMs: 15_000, timeoutRetry: retry, errorRetry: retry },
      },
      fragLoadPolicy: {
        default: { maxTimeToFirstByteMs: 15_000, maxLoadTimeMs: 20_000, timeoutRetry: retry, errorRetry: retry },
      },
    };
  }

  /** Tells the engine which player it works for. */
  attach(hls: Hls): void {
    this.playhead = new Playhead(
      hls,
      () => this.session,
      (level) => this.levels.get(hls.levels[level]?.url[0] ?? "") ?? "",
      () => this.session?.tellView(),
      this.beganMs,
    );
    // The strings of hls.js's enum Events: its code is not bundled with ours.
    type Data = { media: HTMLMediaElement; details: LevelDetails };
    const on = hls.on.bind(hls) as (event: string, listener: (event: string, data: Data) => void) => void;
    on("hlsLevelUpdated", (_, { details }) => {
      if (details.partList) hls.config.maxLiveSyncPlaybackRate = CATCH_UP;
    });
    on("hlsMediaAttached", (_, data) => this.playhead?.attach(data.media));
    on("hlsMediaDetached", () => this.playhead?.detach());
    on("hlsDestroying", () => this.destroy());
    globalThis.addEventListener?.("pagehide", this.pageHides);
  }

  get stats(): Stats {
    const s = (this.session?.account ?? NO_ACCOUNT).stats;
    const { requests, bytes } = this.http;
    const { startupMs = 0, stalls = 0, stallMs = 0, latencyMs = 0, rendition: level = "", state = "starting" } = this.playhead ?? ({} as Partial<Playhead>);
    return {
      ...s,
      httpBytes: s.httpBytes + this.plainBytes,
      playlistBytes: s.playlistBytes + bytes,
      requests: { ...s.requests, playlist: s.requests.playlist + requests },
      startupMs,
      stalls,
      stallMs,
      latencyMs,
      level,
      state,
    };
  }

  /** The channel's id once it is known. */
  get channel(): string {
    return this.id;
  }

  /** Whether a load error's sentence says that something was not what the channel's owner signed. */
  isRefusal(sentence: string): boolean {
    return sentence !== "" && (sentence === this.session?.account.refused || sentence === UNSIGNED);
  }

  /** The picture is held until enough is there to go on, after an interruption or at the beginning of a broadcast. */
  get held(): boolean {
    return this.playhead?.held ?? false;
  }

  /** What is played was broadcast before: one can seek in it. */
  get recording(): boolean {
    return this.playhead?.recording ?? false;
  }

  /** Whether this viewer gives to others. */
  get uploads(): boolean {
    return this.options.upload ?? !onMeteredLink();
  }

  /** Leaves the swarm. The engine cannot be used again. */
  destroy(): void {
    globalThis.removeEventListener?.("pagehide", this.pageHides);
    rememberBandwidth(this.session?.account.rate);
    this.playhead?.detach();
    this.stop();
  }

  private stop(): void {
    this.stopped = true;
    if (this.session) this.session.stop();
    else this.core?.end(0);
  }

  // ── for the loaders ──────────────────────────────────────────────────────

  get signed(): boolean {
    return !this.unsigned;
  }

  async playlist(url: string, isManifest: boolean, place?: Place): Promise<Text> {
    if (isManifest) return this.manifest(url);
    const asked = url.replace(/[?&]_HLS_.*/, ""); // what hls.js wants to wait for, it adds to the address
    const rendition = this.levels.get(asked) ?? folderOf(asked);
    if (this.session) return this.session.playlist(rendition, place);
    if (this.unsigned) return this.http.text(url, MAX_PLAYLIST_BYTES);
    throw new DeliveryError(404, "The channel's own playlist comes first.");
  }

  deliver(url: string, delivery: Delivery): Ticket {
    if (this.session) return this.session.deliver(url, delivery);
    queueMicrotask(() => delivery.failed(new DeliveryError(404, "No verified playlist lists this segment.")));
    return { progress: () => NOTHING, cancel: () => undefined };
  }

  countPlain(bytes: number): void {
    this.plainBytes += bytes;
  }

  private manifest(url: string): Promise<Text> {
    const { ahead } = this;
    this.ahead = undefined;
    return ahead?.url === url ? ahead.answer : this.begin(url);
  }

  /** Asks for the multivariant playlist, and has the core get ready meanwhile. */
  private begin(url: string): Promise<Text> {
    const bases = [url, ...(this.options.cdns ?? [])];
    const answer = this.anywhere(bases).then((text) => this.enter(text, bases));
    answer.catch(() => undefined); // told where it is awaited
    this.startCore();
    return answer;
  }

  private async anywhere(bases: string[]): Promise<Text> {
    const get = (url: string, limitMs?: number) => this.http.text(url, MAX_PLAYLIST_BYTES, {}, limitMs);
    const cdns = bases[1] && (await several());
    return cdns ? cdns.firstOf(bases, get) : get(bases[0]);
  }

  /** Reads the multivariant playlist, checks whose it is, and joins. */
  private async enter(text: Text, bases: string[]): Promise<Text> {
    const list = isMultivariant(text.text) ? readMultivariant(text.text) : undefined;
    const claimed = list?.channel;
    const channel = this.wanted ?? (this.id || claimed);
    if (claimed && channel !== claimed) {
      const expected = this.wanted ? "the one asked for" : "the one that it belonged to before";
      throw new DeliveryError(403, `This stream belongs to channel ${claimed}, not to ${expected}.`);
    }
    this.unsigned = channel === undefined; // a plain stream: no id was asked for, and none was ever seen
    if (!channel) return text;
    if (!list) throw new DeliveryError(403, "This address is one rendition's playlist; the channel's own is needed.");
    const { variants, sources } = await this.offers(list, text, bases);
    if (this.stopped) return text; // nobody reads it
    if (!this.session) this.join(channel, list, variants, text.url, sources);
    const followed = new Set(this.levels.values());
    return { ...text, text: multivariantPlaylist(variants.filter((v) => followed.has(v.rendition))) };
  }

  /** The renditions, with their absolute addresses, and where else they are. */
  private async offers(list: Multivariant, text: Text, bases: string[]): Promise<Offers> {
    const cdns = (list.steering || bases[1]) && (await several());
    if (cdns) return cdns.offersOf(list, text, bases);
    const variants = list.variants.flatMap((v) => {
      const uri = address(v.uri, text.url)?.href;
      return uri ? [{ ...v, uri }] : [];
    });
    return { variants };
  }

  private join(channel: string, list: Multivariant, variants: Variant[], base: string, sources?: Sources): void {
    const { dvr } = this.options;
    const renditions = variants.map((v) => ({ name: v.rendition, url: v.uri, dvr: dvr ? new URL("dvr.m3u8", v.uri).href : undefined }));
    for (const r of renditions) this.levels.set(r.url, r.name);
    const swarm = this.swarm(list, base);
    const rtc = { iceServers: this.options.iceServers ?? [] };
    const likely = likelyFirst(variants);
    const view = () => {
      const view = this.playhead?.view() ?? NO_VIEW;
      return { ...view, rendition: view.rendition || likely?.rendition || "" };
    };
    const ed25519Url = this.options.ed25519Url ?? beside("ed25519.js");
    this.id = channel;
    this.session = new Remote(this.startCore(), { channel, renditions, sources, swarm, ed25519Url }, this.http, rtc, view);
    // What lies at a CDN that did not answer just now, the core asks another one for.
    if (likely && !sources?.from) this.session.begin(likely.rendition, likely.uri, sources && HASTY_MS);
  }

  private startCore(): CoreLink {
    this.core ??= new CoreLink(this.options.p2p !== false && supportsWebRtc());
    return this.core;
  }

  private swarm(list: Multivariant, base: string): CoreConfig["swarm"] {
    if (this.options.p2p === false || !list.tracker || !list.token || !supportsWebRtc()) return undefined;
    const tracker = address(list.tracker, base, ["ws:", "wss:", "http:", "https:"]);
    const token = address(list.token, base);
    if (!tracker || !token) return undefined; // everything from the CDN
    return {
      trackerUrl: tracker.href.replace(/^http/, "ws"),
      tokenUrl: token.href,
      maxNeighbours: this.options.maxNeighbours ?? 16,
      upload: this.uploads,
    };
  }

  private readonly pageHides = (event: Event): void => {
    rememberBandwidth(this.session?.account.rate);
    if (!(event as PageTransitionEvent).persisted) this.stop();
  };
}

/** What a player begins with, as hls.js does: the best that the network carries, or else the first. */
function likelyFirst(variants: Variant[]): Variant | undefined {
  const bandwidth = variants.length > 1 ? rememberedBandwidth() : 0; // to look it up takes some ms
  return variants.filter((v) => v.bandwidth <= bandwidth).sort((a, b) => b.bandwidth - a.bandwidth)[0] ?? variants[0];
}

/** What it takes where there are several CDNs; who cannot load it plays from one. */
function several(): Promise<typeof import("./cdns") | undefined> {
  return import(beside("cdns.js")).catch(() => undefined);
}

/** The address of a file that lies beside this one. */
function beside(name: string): string {
  return new URL(name, import.meta.url).href;
}

/** Whether uploading would cost the viewer money or data volume. */
export function onMeteredLink(): boolean {
  const link = connection();
  return link?.saveData === true || link?.type === "cellular";
}

function connection(): Connection | undefined {
  return (globalThis.navigator as { connection?: Connection } | undefined)?.connection;
}

/** Bits/s measured at the last visit, or what the browser guesses, so that a good rendition is played from the start. */
function rememberedBandwidth(): number {
  let known = 0;
  try {
    known = Number(globalThis.localStorage?.getItem(BANDWIDTH_KEY));
  } catch {
    // storage may be forbidden
  }
  const { effectiveType = "4g", downlink = 0 } = connection() ?? {};
  const guess = downlink * 800_000;
  const bandwidth = known || (effectiveType === "4g" ? Math.max(guess, ASSUMED_BANDWIDTH) : guess);
  return Math.min(Math.max(bandwidth, 300_000), 20_000_000);
}

function rememberBandwidth(bytesPerMs: number | undefined): void {
  if (!bytesPerMs) return;
  try {
    globalThis.localStorage?.setItem(BANDWIDTH_KEY, String(Math.round(bytesPerMs * 8000)));
  } catch {
    // storage may be forbidden
  }
}
