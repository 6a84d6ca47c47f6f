// Elects, without a tracker, who fetches a stripe from the CDN; the twin of acting.go,
// which tells how.

import { offers } from "./announce";
import { ALONE_MOST, STAND_BACK_SHARE } from "./config";
import type { Core } from "./core";
import { mix32 } from "./mix32";
import type { SwarmObject } from "./object";
import { add, countBits, inSet, STRIPES, stripe } from "./piece";

/** What a viewer has taken upon itself of a rendition. */
export interface Acting {
  readonly rendition: number;
  stripes: number;
  readonly alone: number[]; // by stripe: how often standing back has shown that nobody else fetches it
}

function actingFor(c: Core, rendition: number): Acting | undefined {
  return c.acting.find((a) => a.rendition === rendition);
}

/** Whoever has a tracker again need not guess: it sees more. */
export function forgetActing(c: Core, rendition: number): void {
  const a = actingFor(c, rendition);
  if (!a) return;
  a.stripes = 0;
  a.alone.fill(0);
}

/** Tells which pieces of a new object we fetch untold: of a stripe that was rescued once, none yet. */
export function markActing(c: Core, o: SwarmObject): void {
  const a = actingFor(c, o.rendition);
  if (!a || a.stripes === 0) return;
  for (let i = 0; i < o.pieces; i++) {
    const s = stripe(i, o.pieces, o.sequence);
    if (((a.stripes >> s) & 1) === 0) continue;
    const draw = mix32((mix32((c.cfg.seed ^ (o.sequence + 1)) >>> 0) ^ s) >>> 0);
    const actNow = (draw & ((1 << a.alone[s]) - 1)) !== 0;
    add(actNow ? o.acting : o.standing, i);
  }
}

/**
 * Notes that a piece has to be fetched because nobody near brings it: its stripe is ours
 * from now on, if we can pass it on.
 */
export function rescued(c: Core, o: SwarmObject, i: number): void {
  if (inSet(o.duty, i) || inSet(o.acting, i) || c.neighbours.length === 0 || !offers(c, o)) return;
  let a = actingFor(c, o.rendition);
  if (!a) {
    a = { rendition: o.rendition, stripes: 0, alone: new Array<number>(STRIPES).fill(0) };
    c.acting.push(a);
  }
  const s = stripe(i, o.pieces, o.sequence);
  if (((o.rescued >> s) & 1) === 0 && ((a.stripes >> s) & 1) !== 0) a.alone[s] = Math.min(a.alone[s] + 1, ALONE_MOST);
  o.rescued |= 1 << s;
  a.stripes |= 1 << s;
}

/** Notes that a piece came from a neighbour. */
export function resign(c: Core, o: SwarmObject, i: number): void {
  const a = actingFor(c, o.rendition);
  if (!a || a.stripes === 0) return;
  const s = stripe(i, o.pieces, o.sequence);
  if (((o.rescued >> s) & 1) !== 0) return;
  a.stripes &= ~(1 << s);
  a.alone[s] = 0;
}

/** Whether we act for twice our share of the stripes: others rescue first. */
export function sated(c: Core, rendition: number): boolean {
  const a = actingFor(c, rendition);
  return a !== undefined && countBits(a.stripes) * (c.neighbours.length + 1) >= 2 * STRIPES;
}

/** Until when others are waited for: longer than a stripe takes to come from afar, less long than others wait for us. */
export function standBackMs(o: SwarmObject, hardMs: number): number {
  return o.addedMs + Math.trunc((hardMs - o.addedMs) / STAND_BACK_SHARE);
}
