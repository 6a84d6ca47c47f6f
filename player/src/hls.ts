// hls.js loaders. Playlists come from the session's feed, already verified; a
// refused one is a load error whose text is the sentence that says why, and
// nothing of it plays. Fragments and init sections come from the session, which
// delivers verified bytes only. Timings are those of timing.ts.

import type {
  FragmentLoaderContext,
  HlsConfig,
  Loader,
  LoaderCallbacks,
  LoaderConfiguration,
  LoaderContext,
  LoaderStats,
  PlaylistLoaderContext,
} from "hls.js";
import type { Place } from "./port";
import type { Text } from "./fetch";
import type { Delivery } from "./objects";
import type { Progress, Ticket } from "./session";

/** HTTP's "bad gateway": what is in between sent something invalid. hls.js tries such a load again. */
const REFUSED = 502;

/** What the loaders need of the engine. */
export interface LoaderHost {
  /** Loads a playlist; of a signed channel only verified ones. */
  playlist(url: string, isManifest: boolean, place?: Place): Promise<Text>;
  /** Delivers the verified bytes of a fragment or init section. */
  deliver(url: string, delivery: Delivery): Ticket;
  /** False: the stream names no channel and none was asked for; hls.js loads its fragments by itself. */
  readonly signed: boolean;
  /** An unsigned stream's bytes went over HTTP. */
  countPlain(bytes: number): void;
}

type LoaderClass<C extends LoaderContext> = new (config: HlsConfig) => Loader<C>;

function newStats(): LoaderStats {
  return {
    aborted: false,
    loaded: 0,
    retry: 0,
    total: 0,
    chunkCount: 0,
    bwEstimate: 0,
    loading: { start: 0, first: 0, end: 0 },
    parsing: { start: 0, end: 0 },
    buffering: { start: 0, first: 0, end: 0 },
  };
}

/** What hls.js is told of an error: a status, which decides whether it tries again, and a sentence. */
export function loadError(error: unknown): { code: number; text: string } {
  const { status, message: text } = error as Error & { status?: number };
  return { code: status || REFUSED, text };
}

/** What hls.js wants of every loader: one load, which ends once, by itself or not. */
abstract class OneLoad<C extends LoaderContext> implements Loader<C> {
  context: C | null = null;
  stats = newStats();
  protected callbacks: LoaderCallbacks<C> | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  load(context: C, config: LoaderConfiguration, callbacks: LoaderCallbacks<C>): void {
    this.context = context;
    this.callbacks = callbacks;
    this.stats.loading.start = performance.now();
    const limit = config.loadPolicy.maxLoadTimeMs;
    if (Number.isFinite(limit)) {
      this.timer = setTimeout(() => this.release()?.onTimeout(this.stats, this.context!, null), limit);
    }
    this.begin(context, config);
  }

  abort(): void {
    const callbacks = this.release();
    if (!callbacks) return;
    this.stats.aborted = true;
    callbacks.onAbort?.(this.stats, this.context!, null);
  }

  destroy(): void {
    this.release();
    this.context = null;
  }

  protected abstract begin(context: C, config: LoaderConfiguration): void;

  /** Frees what begin took. */
  protected abstract end(): void;

  protected failed(error: unknown): void {
    this.release()?.onError(loadError(error), this.context!, null, this.stats);
  }

  /** Ends the load: whatever comes later is ignored. */
  protected release(): LoaderCallbacks<C> | null {
    const callbacks = this.callbacks;
    this.callbacks = null;
    clearTimeout(this.timer);
    this.end();
    return callbacks;
  }
}

export function playlistLoader(host: LoaderHost): LoaderClass<PlaylistLoaderContext> {
  return class PlaylistLoader extends OneLoad<PlaylistLoaderContext> {
    private retryTimer: ReturnType<typeof setTimeout> | undefined;
    private answer: Text | undefined;

    protected begin(context: PlaylistLoaderContext, config: LoaderConfiguration): void {
      // The strings of hls.js's enum LoaderContextType: its code is not bundled with ours.
      const manifest = (context.type as string) === "manifest";
      const { msn: number, part } = context.deliveryDirectives ?? {};
      host.playlist(context.url, manifest, number === undefined ? undefined : { number, part }).then(
        (text) => this.succeeded(text),
        (error: unknown) => {
          const retry = config.loadPolicy.errorRetry; // null for media playlists: hls.js retries those itself
          if (!this.callbacks) return;
          if (!retry || this.stats.retry >= retry.maxNumRetry) return this.failed(error);
          this.stats.retry++;
          this.retryTimer = setTimeout(() => this.callbacks && this.begin(context, config), retry.retryDelayMs);
        },
      );
    }

    protected end(): void {
      clearTimeout(this.retryTimer);
    }

    getCacheAge(): number | null {
      const age = this.answer?.age;
      return age ? parseFloat(age) : null;
    }

    private succeeded(text: Text): void {
      const callbacks = this.release();
      if (!callbacks) return;
      this.answer = text;
      // hls.js asks again one target duration after "start". The feed's polls are in step with the origin's publishing;
      // told the time of the poll, hls.js falls into that step as well.
      const { loading } = this.stats;
      loading.start = loading.first = loading.end = text.receivedMs;
      // From when it came, hls.js reckons where live is now. By that a player that takes long to start would begin near the end of its
      // first segment, with no time to get the next: as when hls.js loads by itself, the first playlist counts from when it is read.
      if (!this.context!.levelOrTrack?.details) loading.first = loading.end = performance.now();
      this.stats.loaded = this.stats.total = text.text.length;
      callbacks.onSuccess({ url: text.url, data: text.text, code: 200 }, this.stats, this.context!, null);
    }
  };
}

/**
 * Makes the times that hls.js estimates bandwidth from tell, whenever it looks, that the
 * transfer just now took as long as the network needed for what is loaded.
 */
function liveTimings(stats: LoaderStats, progress: () => Progress): void {
  const start = (p: Progress) => Math.max(1, performance.now() - p.elapsedMs - (p.loaded > 0 ? p.firstByteMs : 0));
  derive(stats, "loaded", () => progress().loaded);
  derive(stats, "total", () => progress().total);
  derive(stats.loading, "start", () => start(progress()));
  derive(stats.loading, "first", () => (progress().loaded > 0 ? start(progress()) + progress().firstByteMs : 0));
}

/** A property that is computed until it is set. */
function derive<T, K extends keyof T>(target: T, name: K, get: () => T[K]): void {
  const set = (value: T[K]) => fix(target, name, value);
  Object.defineProperty(target, name, { get, set, configurable: true, enumerable: true });
}

function fix<T, K extends keyof T>(target: T, name: K, value: T[K]): void {
  Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: true });
}

export function fragmentLoader(host: LoaderHost): LoaderClass<FragmentLoaderContext> {
  class FragmentLoader extends OneLoad<FragmentLoaderContext> {
    private ticket: Ticket | undefined;

    protected begin(context: FragmentLoaderContext): void {
      const ticket = host.deliver(context.url, {
        done: (bytes) => this.done(bytes),
        failed: (error) => this.failed(error),
      });
      this.ticket = ticket;
      liveTimings(this.stats, () => ticket.progress());
    }

    /** The times stand still from now on. */
    protected end(): void {
      const { stats } = this;
      const { start, first } = stats.loading;
      fix(stats, "loaded", stats.loaded);
      fix(stats, "total", stats.total);
      fix(stats.loading, "start", start);
      fix(stats.loading, "first", first);
      this.ticket?.cancel();
      this.ticket = undefined;
    }

    private done(bytes: ArrayBuffer): void {
      const callbacks = this.release();
      if (!callbacks) return;
      const { stats, context } = this;
      const now = performance.now();
      stats.loaded = stats.total = bytes.byteLength;
      stats.loading.first ||= now;
      stats.loading.end = now;
      stats.bwEstimate = (stats.total * 8000) / Math.max(1, now - stats.loading.first);
      callbacks.onProgress?.(stats, context!, bytes, null);
      callbacks.onSuccess({ url: context!.url, data: bytes, code: 200 }, stats, context!, null);
    }
  }

  /** For a stream that is not signed: what hls.js would do without us, and counters. */
  function plain(config: HlsConfig): Loader<FragmentLoaderContext> {
    const inner = new config.loader(config) as Loader<FragmentLoaderContext>;
    const load = inner.load.bind(inner);
    inner.load = (context, loaderConfig, callbacks) =>
      load(context, loaderConfig, {
        ...callbacks,
        onSuccess: (response, stats, ...rest) => {
          host.countPlain(stats.loaded);
          callbacks.onSuccess(response, stats, ...rest);
        },
      });
    return inner;
  }

  return function (config: HlsConfig) {
    return host.signed ? new FragmentLoader() : plain(config);
  } as unknown as LoaderClass<FragmentLoaderContext>;
}
