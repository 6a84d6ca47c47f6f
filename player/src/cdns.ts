// Several CDNs. A file of its own (cdns.js), which is loaded only where there are several: the core asks through it, and the page
// learns from it what there is where. Everything goes by its address at the first CDN, so that a segment stays the same wherever it comes
// from; with each request the address is replaced.

import { Choice } from "./choice";
import { HASTY_MS, type Text } from "./fetch";
import { readPlaylist, type Multivariant, type Variant } from "./manifest";
import type { Several, Sources } from "./port";
import { Steering } from "./steering";

/** How long a request may bring nothing where there is nobody else to ask. */
const STALL_MS = 4000;
/** A playlist may be so many segments behind what is known: the edges of a CDN refresh at different moments. */
const LAGGING = 1;

type Ask<T> = (address: string, stallMs: number, from: number) => Promise<T>;

export class Cdns implements Several {
  readonly choice: Choice;
  private readonly places: string[][];
  private readonly steering: Steering | undefined;

  constructor({ cdns, urls, from, steering }: Sources, get: (url: string) => Promise<Text>) {
    this.choice = new Choice(cdns, Math.trunc(Math.random() * 1000));
    for (let i = 0; i < from; i++) this.blame(i);
    const folders = urls.map((place) => place.map((url) => url.replace(/[^/]*(\?.*)?$/, "")));
    this.places = [...urls, ...folders];
    if (steering) this.steering = new Steering(get, this.choice, cdns, steering);
  }

  /** What is missing at one CDN is its fault only if another one has it. */
  async ask<T>(url: string, ask: Ask<T>, signal?: AbortSignal): Promise<T> {
    const { choice } = this;
    const lacking: number[] = [];
    let trouble: unknown;
    for (let tried = 0, at = choice.next(); at >= 0; at = choice.next(tried)) {
      tried |= 1 << at;
      const startedMs = now();
      try {
        const result = await ask(this.moved(url, 0, at), choice.next(tried) < 0 ? STALL_MS : HASTY_MS, at);
        choice.worked(startedMs, at);
        for (const other of lacking) this.blame(other);
        return result;
      } catch (error) {
        if (signal?.aborted) throw error;
        trouble ??= error;
        const { status } = error as { status?: number };
        if (status === 404 || status === 410) lacking.push(at);
        else this.blame(at);
        if ((error as Error).name !== "HttpError") throw error; // who sent what is not signed is asked no more, but may be right about the rest
      }
    }
    throw trouble;
  }

  playlist(url: string, ask: Ask<Text>, waits: boolean, second: boolean): Promise<Text> {
    const first = this.choice.next();
    const other = this.choice.next(1 << first);
    const get = async (address: string, stallMs: number, from: number) => {
      const text = await ask(address, stallMs, from);
      return { ...text, url: this.moved(text.url, from, 0), from, second };
    };
    if (second && other >= 0) return get(this.moved(url, 0, other), HASTY_MS, other);
    if (waits) return get(this.moved(url, 0, first), other < 0 ? STALL_MS : HASTY_MS, first);
    return this.ask(url, get);
  }

  check({ text, url }: Text, variant: number | undefined): void {
    const other = readPlaylist(text).segments.some(({ record }) => record && variant !== undefined && record.variant !== variant);
    if (other) throw new Error(`${url} is of another encoder, whose segments do not fit those before.`);
  }

  judge({ text, from, second }: Text, before: number, head: number): void {
    if (newest(text) < head - LAGGING) this.blame(from);
    else if (second && head > before) this.blame(this.choice.next());
  }

  blame(from = 0): void {
    this.choice.failed(now(), from);
  }

  async visit(nowMs: number, url: string, ask: Ask<Text>, head: number, variant: number | undefined): Promise<void> {
    this.steering?.tick(nowMs);
    const at = this.choice.probe(now());
    if (at < 0) return;
    const startedMs = now();
    try {
      const text = await ask(this.moved(url, 0, at), HASTY_MS, at);
      this.check(text, variant);
      if (newest(text.text) < head - LAGGING) throw new Error("Its playlist is old.");
      this.choice.worked(startedMs, at);
    } catch {
      this.blame(at);
    }
  }

  address(url: string): string {
    return this.moved(url, 0, this.choice.next());
  }

  /** The address at another CDN of what has this one here. */
  moved(url: string, from: number, to: number): string {
    const place = this.places.find((at) => at[from] && at[to] && url.startsWith(at[from]));
    return place ? place[to] + url.slice(place[from].length) : url;
  }
}

/** The newest number that a playlist lists. */
function newest(text: string): number {
  const { mediaSequence, segments } = readPlaylist(text);
  return mediaSequence + segments.length - 1;
}

function now(): number {
  return Math.trunc(performance.now());
}

// ── for the page ─────────────────────────────────────────────────────────────

/** A multivariant playlist from the first of its addresses that answers. */
export async function firstOf(addresses: string[], get: (url: string, limitMs?: number) => Promise<Text>): Promise<Text> {
  for (let from = 0; ; from++) {
    const last = from === addresses.length - 1;
    try {
      return { ...(await get(addresses[from], last ? undefined : HASTY_MS)), from };
    } catch (error) {
      if (last) throw error;
    }
  }
}

export interface Offers {
  /** Each rendition once, its URI absolute. */
  variants: Variant[];
  /** Undefined: there is one CDN. */
  sources?: Sources;
}

/**
 * What a multivariant playlist offers, and at which CDNs: those that it names (Content Steering), or else those that the page knows. bases: addresses of the
 * playlist itself.
 */
export function offersOf(list: Multivariant, { url, from: answered = 0 }: Text, bases: string[]): Offers {
  bases[answered] = url;
  const named = list.variants.map((v) => v.pathway);
  const names = [...new Set([list.pathway, ...named])].filter((name) => named.includes(name));
  const steered = names.length > 1;
  const cdns = steered ? names : bases;
  const variants: Variant[] = [];
  const urls: string[][] = [];
  for (const v of list.variants) {
    const there = cdns.map((name, i) => {
      const twin = steered ? list.variants.find((other) => other.pathway === name && other.rendition === v.rendition) : v;
      return twin ? absolute(twin.uri, steered ? url : bases[i]) : "";
    });
    if (v.pathway !== names[0] || !there[0]) continue;
    variants.push({ ...v, uri: there[0] });
    urls.push(there);
  }
  const steering = list.steering && absolute(list.steering, url);
  return { variants, sources: { cdnsUrl: import.meta.url, cdns, urls, from: steered ? 0 : answered, steering } };
}

function absolute(uri: string, base: string): string {
  const { href } = URL.canParse(uri, base) ? new URL(uri, base) : { href: "" };
  return /^https?:/.test(href) ? href : "";
}
