// <slipstream-player src channel cdns dvr autoplay muted p2p="off" upload="off">: a live
// player in one element. hls.js plays, the engine decides where bytes come from.
//
// Properties: stats, state, channel, video. Events: "stats" (once a second,
// detail: Stats), "statechange" (detail: state), "refusal" (a playlist was not
// believed or bytes were not, detail: the sentence), "error" (detail: {message, fatal}).

import type Hls from "hls.js";
import type { ErrorData } from "hls.js";
import { Controls } from "./controls";
import { SlipstreamEngine, type Stats } from "./engine";
import { offload, Overlay } from "./overlay";
import type { PlayState } from "./playhead";

/**
 * hls.js, in a file of its own: its light build, which does all that a signed stream asks of it. It is fetched and compiled at once, beside
 * the page's thread; to run it keeps that busy, so this happens when the stream has been asked for and the worker has begun to start, or after so long.
 */
const HLSJS = new URL("hlsjs.js", import.meta.url).href;
const RUN_AFTER_MS = 50;
document.head?.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href: HLSJS }));

const UPDATE_MS = 250;
const STATS_EVERY_UPDATES = 4;
/** Controls disappear when nobody moved for this long. */
const IDLE_MS = 3000;
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 10_000;
/** A media error that comes back this soon after a recovery is not recovered again at once. */
const MEDIA_RECOVERY_MS = 5000;
/** Further behind the edge than this is not live. */
const LIVE_WITHIN_S = 15;
/** So much of the oldest that is listed is about to go: whoever sought to it would be thrown to the live edge. */
const GOING_S = 10;

const ATTRIBUTES = ["src", "channel", "cdns", "dvr", "p2p", "upload", "muted", "poster"];

export class SlipstreamPlayer extends HTMLElement {
  static readonly observedAttributes = ATTRIBUTES;

  readonly video = document.createElement("video");
  private readonly controls: Controls;
  private readonly overlay = new Overlay();
  private engine: SlipstreamEngine | undefined;
  private hls: Hls | undefined;
  private updateTimer: ReturnType<typeof setInterval> | undefined;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private idleTimer: ReturnType<typeof setTimeout> | undefined;
  private retryMs = RETRY_MIN_MS;
  private recoveredMs = -Infinity;
  private updates = 0;
  private lastState: PlayState = "starting";
  private failed = false;
  private loadScheduled = false;

  constructor() {
    super();
    this.video.playsInline = true;
    this.video.preload = "auto";
    this.controls = new Controls({
      togglePlay: () => this.togglePlay(),
      toggleMute: () => this.setMuted(!this.video.muted),
      toggleStats: () => this.toggleStats(),
      toggleFullscreen: () => void this.toggleFullscreen(),
      goLive: () => this.goLive(),
      seek: (time) => (this.video.currentTime = time),
      unmute: () => this.setMuted(false),
      chooseLevel: (level) => this.hls && (this.hls.nextLevel = level),
    });
    this.controls.mount(this.attachShadow({ mode: "open" }), this.video);
    this.video.addEventListener("click", () => this.togglePlay());
    this.video.addEventListener("dblclick", () => void this.toggleFullscreen());
    this.addEventListener("keydown", (event) => this.key(event));
    for (const type of ["pointermove", "pointerdown", "focusin"]) this.addEventListener(type, () => this.wake());
  }

  connectedCallback(): void {
    if (!this.hasAttribute("tabindex")) this.tabIndex = 0;
    if (!this.hasAttribute("role")) this.setAttribute("role", "region");
    if (!this.hasAttribute("aria-label")) this.setAttribute("aria-label", "Live video");
    this.updateTimer = setInterval(() => this.update(), UPDATE_MS);
    document.addEventListener("keydown", this.pageKey);
    this.scheduleLoad();
  }

  disconnectedCallback(): void {
    clearInterval(this.updateTimer);
    document.removeEventListener("keydown", this.pageKey);
    this.unload();
  }

  attributeChangedCallback(name: string, old: string | null, value: string | null): void {
    if (old === value) return;
    if (name === "muted") this.video.muted = value !== null;
    else if (name === "poster") this.video.poster = value ?? "";
    else if (this.isConnected) this.scheduleLoad();
  }

  /** What the player did so far. */
  get stats(): Stats {
    const stats = this.engine?.stats ?? new SlipstreamEngine().stats;
    if (!this.hls && this.video.hasAttribute("src")) return { ...stats, state: this.nativeState() }; // the browser plays HLS by itself
    return { ...stats, state: this.failed ? "error" : stats.state };
  }

  get state(): PlayState {
    return this.stats.state;
  }

  /** The id of the channel played, "" before it is known. */
  get channel(): string {
    return this.engine?.channel ?? "";
  }

  play(): Promise<void> {
    return this.video.play();
  }

  pause(): void {
    this.video.pause();
  }

  toggleStats(): void {
    this.overlay.visible = !this.overlay.visible;
    this.update();
  }

  // ── loading ──────────────────────────────────────────────────────────────

  /** Several attributes set in one go are one load. */
  private scheduleLoad(): void {
    if (this.loadScheduled) return;
    this.loadScheduled = true;
    queueMicrotask(() => {
      this.loadScheduled = false;
      if (this.isConnected) this.load();
    });
  }

  private load(): void {
    this.unload();
    const src = this.getAttribute("src");
    if (!src) return;
    this.retryMs = RETRY_MIN_MS;
    const url = new URL(src, document.baseURI).href;
    const mayPlay = "MediaSource" in globalThis || "ManagedMediaSource" in globalThis;
    try {
      this.engine = new SlipstreamEngine({
        src: mayPlay ? url : undefined,
        channel: this.getAttribute("channel") ?? undefined,
        cdns: this.getAttribute("cdns")?.match(/\S+/g) ?? [],
        dvr: this.hasAttribute("dvr"),
        p2p: this.getAttribute("p2p") !== "off",
        upload: this.getAttribute("upload") === "off" ? false : undefined,
      });
    } catch (error) {
      return this.fail((error as Error).message);
    }
    this.video.muted = this.hasAttribute("muted");
    void this.loadWith(this.engine, url);
  }

  private async loadWith(engine: SlipstreamEngine, url: string): Promise<void> {
    await Promise.race([engine.prepared, new Promise((resolve) => setTimeout(resolve, RUN_AFTER_MS))]);
    const light = await import("./hlsjs.js").catch(() => undefined);
    await engine.read;
    const module = engine.signed ? light : await import("./hlsjs-full.js").catch(() => light);
    if (this.engine !== engine) return; // there was another load meanwhile
    const Library = module?.default;
    const play = this.hasAttribute("autoplay") || !this.video.paused;
    if (Library?.isSupported()) this.loadWithHls(Library, engine, url);
    else if (this.video.canPlayType("application/vnd.apple.mpegurl")) this.loadNatively(url);
    else if (!Library) return this.fail("A part of the player could not be loaded. Loading this page again may help.");
    else return this.fail("This browser can play neither HLS nor Media Source Extensions. Another browser will do.");
    if (play) void this.autoplay();
  }

  private loadWithHls(Library: typeof Hls, engine: SlipstreamEngine, url: string): void {
    const hls = new Library(engine.hlsConfig());
    const { Events } = Library;
    this.hls = hls;
    engine.attach(hls);
    hls.on(Events.ERROR, (_, data) => this.hlsError(data));
    hls.on(Events.MANIFEST_PARSED, () => {
      this.controls.offerLevels(hls.levels.map((l) => l.name || (l.height ? `${l.height}p` : `${l.bitrate} bit/s`)));
    });
    hls.on(Events.FRAG_BUFFERED, () => {
      this.retryMs = RETRY_MIN_MS;
      this.say("");
    });
    hls.attachMedia(this.video);
    hls.loadSource(url);
  }

  /** Without Media Source Extensions the browser fetches by itself: no peer-to-peer, no verification. */
  private loadNatively(url: string): void {
    this.video.src = url;
    this.video.onerror = () => this.retry("The video could not be loaded.", () => (this.video.src = url));
    this.video.onplaying = () => this.say("");
  }

  private unload(): void {
    clearTimeout(this.retryTimer);
    this.hls?.destroy();
    this.engine?.destroy();
    this.hls = undefined;
    this.engine = undefined;
    this.failed = false;
    this.video.onerror = this.video.onplaying = null;
    if (this.video.hasAttribute("src")) {
      this.video.removeAttribute("src");
      this.video.load();
    }
    this.say("");
  }

  /** Browsers start video with sound only after a gesture: start muted then, and offer the sound. */
  private async autoplay(): Promise<void> {
    try {
      await this.video.play();
    } catch (error) {
      if ((error as DOMException).name !== "NotAllowedError") return; // a new load, or no data yet
      const wanted = !this.video.muted;
      this.video.muted = true;
      await this.video.play().then(
        () => (this.controls.unmute.hidden = !wanted),
        () => undefined, // the viewer has to press play
      );
    }
  }

  // ── errors ───────────────────────────────────────────────────────────────

  private hlsError(data: ErrorData): void {
    const sentence = data.response?.text || data.error?.message || String(data.details);
    if (this.engine?.isRefusal(sentence)) {
      this.dispatchEvent(new CustomEvent("refusal", { detail: sentence }));
      this.say(`This stream cannot be trusted: ${finished(sentence)}`);
    }
    if (!data.fatal) return;
    this.dispatchEvent(new CustomEvent("error", { detail: { message: sentence, fatal: true } }));
    const hls = this.hls!;
    // The strings of hls.js's enums: its code is not bundled with ours.
    if ((data.type as string) === "mediaError" && performance.now() - this.recoveredMs > MEDIA_RECOVERY_MS) {
      this.recoveredMs = performance.now();
      return hls.recoverMediaError();
    }
    if ((data.details as string) === "manifestIncompatibleCodecsError") {
      return this.fail("This browser cannot decode any rendition of this stream.");
    }
    const url = new URL(this.getAttribute("src") ?? "", document.baseURI).href;
    const again = () => (hls.levels.length > 0 ? hls.startLoad() : hls.loadSource(url));
    this.retry(describe(data, sentence), again);
  }

  /** Says what is wrong and tries again, ever more rarely. */
  private retry(sentence: string, again: () => void): void {
    if (this.video.readyState < 3) this.say(`${sentence} Trying again…`);
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(again, this.retryMs * (0.75 + Math.random() / 2));
    this.retryMs = Math.min(this.retryMs * 2, RETRY_MAX_MS);
  }

  private fail(sentence: string): void {
    this.failed = true;
    this.say(sentence);
    this.dispatchEvent(new CustomEvent("error", { detail: { message: sentence, fatal: true } }));
  }

  private say(sentence: string): void {
    this.controls.say(sentence);
  }

  // ── what the viewer does ─────────────────────────────────────────────────

  private togglePlay(): void {
    this.wake();
    if (this.video.paused) void this.video.play().catch(() => undefined);
    else this.video.pause();
  }

  private setMuted(muted: boolean): void {
    this.video.muted = muted;
    this.controls.unmute.hidden = true;
    this.update();
  }

  private skip(seconds: number): void {
    this.video.currentTime += seconds;
  }

  private goLive(): void {
    const edge = this.hls?.liveSyncPosition;
    if (edge) this.video.currentTime = edge;
    void this.video.play().catch(() => undefined);
  }

  private async toggleFullscreen(): Promise<void> {
    const video = this.video as HTMLVideoElement & { webkitEnterFullscreen?: () => void };
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else if (this.requestFullscreen) await this.requestFullscreen();
      else video.webkitEnterFullscreen?.(); // iPhones know no other
    } catch {
      // refused: nothing changes
    }
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onControl = event.composedPath()[0] !== this;
    const actions: { [key: string]: () => void } = {
      k: () => this.togglePlay(),
      m: () => this.setMuted(!this.video.muted),
      f: () => void this.toggleFullscreen(),
      s: () => this.toggleStats(),
      ...(onControl ? {} : { " ": () => this.togglePlay() }), // space on a button presses it
      ...(onControl || !(this.engine?.recording || this.hasAttribute("dvr")) ? {} : { ArrowLeft: () => this.skip(-5), ArrowRight: () => this.skip(5) }),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  /** The s key works anywhere on the page, unless somebody is typing. */
  private readonly pageKey = (event: KeyboardEvent): void => {
    const target = event.target as HTMLElement | null;
    const typing = target?.isContentEditable || /^(?:input|textarea|select)$/i.test(target?.tagName ?? "");
    if (event.key !== "s" || event.ctrlKey || event.metaKey || event.altKey || typing) return;
    this.toggleStats();
  };

  private wake(): void {
    this.classList.remove("idle");
    clearTimeout(this.idleTimer);
    this.idleTimer = setTimeout(() => this.classList.toggle("idle", !this.video.paused), IDLE_MS);
  }

  // ── what the viewer sees ─────────────────────────────────────────────────

  private update(): void {
    const stats = this.stats;
    const { video, controls } = this;
    controls.cover(this.shadowRoot!, this.overlay.element);
    const busy = !this.failed && !video.paused && (video.readyState < 3 || (this.engine?.held ?? false));
    controls.showPlayback(video.paused, video.muted, busy);
    const behind = this.hls?.liveSyncPosition ? this.hls.latency : 0;
    controls.showTimeline(this.range(), video.currentTime);
    controls.showLive(!this.engine?.recording, stats.state === "playing" && behind < LIVE_WITHIN_S);
    controls.showShare(stats.peers > 0 || stats.p2pBytes > 0 ? `${Math.round(offload(stats) * 100)} % from peers` : "");
    this.overlay.update(stats, this.note());
    if (stats.state !== this.lastState) {
      this.lastState = stats.state;
      if (stats.state === "off-air") this.say("The broadcast is interrupted. It goes on here as soon as it is back.");
      else if (stats.state === "playing") this.say("");
      this.dispatchEvent(new CustomEvent("statechange", { detail: stats.state }));
    }
    if (this.updates++ % STATS_EVERY_UPDATES === 0) this.dispatchEvent(new CustomEvent("stats", { detail: stats }));
  }

  /** Between which times one can seek, if there is more to it than going live. */
  private range(): [from: number, to: number] | undefined {
    const { seekable } = this.video;
    if (this.engine?.recording && seekable.length > 0) return [seekable.start(0), seekable.end(0)];
    const first = this.hls?.latestLevelDetails?.fragments[0]?.start;
    const live = this.hls?.liveSyncPosition;
    return this.hasAttribute("dvr") && first !== undefined && live ? [Math.min(first + GOING_S, live), live] : undefined;
  }

  private note(): string {
    if (!this.engine) return "";
    if (!this.engine.signed) return "This stream is not signed: it is played unverified and not shared.";
    const giving = this.engine.uploads ? "" : "Nothing is uploaded. ";
    return this.channel ? `${giving}Channel ${this.channel}` : giving;
  }

  private nativeState(): PlayState {
    if (this.failed) return "error";
    if (this.video.paused) return "paused";
    return this.video.readyState >= 3 ? "playing" : this.video.played.length > 0 ? "stalled" : "starting";
  }
}

/** A sentence for viewers. */
function describe(data: ErrorData, sentence: string): string {
  const status = data.response?.code;
  if (status === 404 || status === 410) return "This channel is not on air at the moment.";
  if ((data.details as string) === "manifestLoadTimeOut") return "The server takes too long to answer.";
  if (status && status !== 502 && status >= 500) return `The server has a problem (${status}).`;
  return finished(sentence);
}

function finished(sentence: string): string {
  return /[.!?…]$/.test(sentence) ? sentence : `${sentence}.`;
}

if (!customElements.get("slipstream-player")) customElements.define("slipstream-player", SlipstreamPlayer);
