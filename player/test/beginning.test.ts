// How much a page has in hand while it begins, with scheduler and deadlines as they ship, in virtual time.

import { expect, test } from "vitest";
import { defaultConfig } from "../src/sched/config";
import { Core } from "../src/sched/core";
import { CDN, Do, event, Kind, TICK_MS, type Event } from "../src/sched";
import { beginningMs, deadlineMs, NO_VIEW } from "../src/view";

const SEGMENT_MS = 2000;
const LEAVES = 16;
const SIZE = LEAVES * 16_384;
/** The playlist is known so long before the first picture. */
const LISTED_MS = 300;
/** Neighbours are looked for with the first picture, or after so long; it takes a moment to meet them. */
const MEET_MS = 2000;
const MEETING_MS = 200;
const NEIGHBOUR = 1;
/** A request to the CDN takes so long on a busy machine. */
const CDN_MS = 150;

/**
 * A page begins at 0, knows a window of three segments a little before its first picture, which it has at pictureMs. It meets a neighbour that
 * announces everything and delivers nothing. How long before they are shown are the second and the third segment there?
 */
function aheadMs(pictureMs: number, seed: number): number[] {
  const core = new Core(defaultConfig(seed));
  const listedMs = pictureMs - LISTED_MS;
  const metMs = Math.max(Math.min(pictureMs, MEET_MS) + MEETING_MS, listedMs);
  const window = [0, 1, 2].map((number) => ({ number, startMs: (number - 4) * SEGMENT_MS, durationMs: SEGMENT_MS, gap: false }));
  const first = beginningMs(window, false)!;
  const deadline = (nowMs: number, number: number) => {
    const started = nowMs >= pictureMs;
    // With its first picture hls.js seeks to where that is.
    const view = { ...NO_VIEW, started, startupMs: started ? pictureMs : 0, sinceMs: started ? pictureMs : 0, positionMs: started ? first + nowMs - pictureMs : undefined, atMs: nowMs };
    return deadlineMs(view, first, nowMs, window[number], false);
  };
  const missing = window.map(() => new Set(Array.from({ length: LEAVES }, (_, leaf) => leaf)));
  const thereMs: number[] = [];
  let answers: { atMs: number; events: Event[] }[] = [];
  for (let nowMs = 0; nowMs < 8000; nowMs += TICK_MS) {
    const events: Event[] = [event(Kind.Tick)];
    if (nowMs === listedMs) {
      window.forEach((_, object) => events.push(event(Kind.ObjectAdd, { object, sequence: object, leaves: LEAVES, size: SIZE, value: deadline(nowMs, object) })));
    } else if (nowMs > listedMs && nowMs % 250 === 0) {
      window.forEach((_, object) => missing[object].size > 0 && events.push(event(Kind.ObjectWant, { object, value: deadline(nowMs, object) })));
    }
    if (nowMs === metMs) {
      events.push(event(Kind.NeighbourAdd, { neighbour: NEIGHBOUR }));
      for (const object of [1, 2]) events.push(event(Kind.Have, { neighbour: NEIGHBOUR, object, bits: new Uint8Array([255, 255]) }));
    }
    for (const { events: came } of answers.filter((a) => a.atMs <= nowMs)) {
      events.push(...came);
      for (const { kind, object, leaf } of came) {
        if (kind === Kind.Verified && missing[object].delete(leaf) && missing[object].size === 0) thereMs[object] = nowMs;
      }
    }
    answers = answers.filter((a) => a.atMs > nowMs);
    for (const { kind, object, leaf, last } of core.handle(nowMs, events)) {
      if (kind !== Do.Fetch) continue;
      const leaves = Array.from({ length: last - leaf + 1 }, (_, i) => event(Kind.Verified, { object, leaf: leaf + i, neighbour: CDN }));
      const done = event(Kind.FetchDone, { object, leaf, last, value: leaves.length * 16_384, elapsedMs: CDN_MS });
      answers.push({ atMs: nowMs + CDN_MS, events: [...leaves, done] });
    }
  }
  return [1, 2].map((number) => pictureMs + number * SEGMENT_MS - thereMs[number]);
}

test.each([
  [300, 300, 400], // of the two seconds that the first one lasts: neighbours have the rest
  [1000, 1000, 1000],
  [2000, 2000, 2000],
  [4000, 2000, 2000],
])("a page whose first picture took %i ms has as much in hand, up to a segment, whatever its neighbour says it holds", (pictureMs, second, third) => {
  const worst = [Infinity, Infinity];
  for (let seed = 0; seed < 20; seed++) aheadMs(pictureMs, seed).forEach((ms, i) => (worst[i] = Math.min(worst[i], ms)));
  expect(worst[0]).toBeGreaterThanOrEqual(second);
  expect(worst[1]).toBeGreaterThanOrEqual(third);
});
