import type Hls from "hls.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Entry } from "../src/objects";
import { Playhead, StallMeter } from "../src/playhead";
import { agrees, beginningMs, deadlineMs } from "../src/view";

const EPOCH = 1_767_225_600_000;
const SEGMENT_MS = 2000;

class FakeMedia extends EventTarget {
  paused = false;
  ended = false;
  seeking = false;
  readyState = 4;
  playbackRate = 1;
  currentTime = 0;
  ranges: [number, number][] = [];

  get buffered() {
    const ranges = this.ranges;
    return { length: ranges.length, start: (i: number) => ranges[i][0], end: (i: number) => ranges[i][1] };
  }
}

/** A video element and the window that hls.js and the session see. Media time 0 is EPOCH. */
class World {
  readonly media = new FakeMedia();
  healthy = true;
  ended = false;
  entries: Entry[] = [];
  private readonly hls = { loadLevel: 0 } as { loadLevel: number; latestLevelDetails?: unknown };
  readonly playhead = new Playhead(
    this.hls as unknown as Hls,
    () => ({ window: () => this.entries, healthy: () => this.healthy, ended: () => this.ended }),
    () => "360p",
  );

  constructor() {
    this.playhead.attach(this.media as unknown as HTMLMediaElement);
  }

  /** Lists segments first..last; those in gaps have nothing. */
  list(first: number, last: number, ...gaps: number[]): void {
    const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    this.entries = numbers.map((number) => ({
      number,
      startMs: EPOCH + number * SEGMENT_MS,
      durationMs: SEGMENT_MS,
      gap: gaps.includes(number),
    }));
    const fragments = numbers.map((sn) => ({ sn, level: 0, start: sn * 2, duration: 2, programDateTime: null }));
    this.hls.latestLevelDetails = { fragments };
  }

  deadline(number: number): number {
    const segment = { startMs: EPOCH + number * SEGMENT_MS, durationMs: SEGMENT_MS };
    return deadlineMs(this.playhead.view(), beginningMs(this.entries, this.ended), Date.now(), segment, this.ended);
  }

  say(type: string): void {
    this.media.dispatchEvent(new Event(type));
  }

  /** Plays for so long, as far as media is buffered. */
  async run(ms: number): Promise<void> {
    for (let t = 0; t < ms; t += 50) {
      await vi.advanceTimersByTimeAsync(50);
      const { currentTime, ranges, playbackRate } = this.media;
      const range = ranges.find(([start, end]) => start <= currentTime && currentTime < end);
      if (!range || this.media.paused) continue;
      this.media.currentTime = Math.min(currentTime + 0.05 * playbackRate, range[1]);
      if (playbackRate > 0) this.say("timeupdate");
      if (this.media.currentTime === range[1]) this.say("waiting");
    }
  }

  async start(at: number, until: number): Promise<void> {
    this.media.ranges = [[at, until]];
    this.media.currentTime = at;
    this.say("playing");
    await this.run(200);
  }
}

beforeEach(() => void vi.useFakeTimers({ now: EPOCH + 30_000 }));
afterEach(() => void vi.useRealTimers());

describe("stalls", () => {
  test("of a few frames are none", () => {
    const m = new StallMeter();
    m.waiting(1000);
    m.over(1060);
    expect([m.stalls(2000), m.stallMs(2000)]).toEqual([0, 0]);
  });

  test("are counted once with their whole length, also while they last", () => {
    const m = new StallMeter();
    m.waiting(1000);
    m.waiting(1500);
    expect([m.stalls(1700), m.stallMs(1700)]).toEqual([1, 700]);
    m.over(2000);
    m.over(2500);
    expect([m.stalls(9000), m.stallMs(9000)]).toEqual([1, 1000]);
  });
});

describe("the playhead", () => {
  test("knows its place in epoch time by the signed records", async () => {
    const world = new World();
    expect(world.playhead.state).toBe("starting");
    world.list(0, 14);
    await world.start(22, 30);
    expect(world.playhead.positionMs()).toBeCloseTo(EPOCH + 22_200, -1);
    expect(world.playhead.state).toBe("playing");
    expect(world.playhead.latencyMs).toBeCloseTo(8000, -2);
    expect(world.playhead.startupMs).toBeGreaterThan(0);
  });

  test("data that is there too late is a stall", async () => {
    const world = new World();
    world.list(0, 14);
    await world.start(22, 23);
    await world.run(2000);
    expect(world.playhead.state).toBe("stalled");
    world.media.ranges = [[22, 30]];
    await world.run(500);
    expect(world.playhead.state).toBe("playing");
    expect(world.playhead.stalls).toBe(1);
    expect(world.playhead.stallMs).toBeGreaterThan(1000);
    expect(world.playhead.stallMs).toBeLessThan(1500);
  });

  test("a viewer who seeks or pauses does not stall", async () => {
    const world = new World();
    world.list(0, 14);
    await world.start(22, 30);
    world.say("seeking");
    world.say("waiting");
    await world.run(1000);
    world.say("seeked");
    world.media.paused = true;
    world.say("pause");
    world.say("waiting");
    await world.run(3000);
    expect(world.playhead.stalls).toBe(0);
    expect(world.playhead.state).toBe("paused");
  });
});

describe("deadlines", () => {
  const at = (world: World, number: number) => world.deadline(number) - Date.now();

  test("are when the playhead gets there, less the time to append", async () => {
    const world = new World();
    world.list(0, 14);
    await world.start(22, 30); // 22.2 s by now
    expect(at(world, 14)).toBeCloseTo(5800 - 200, -2);
    expect(at(world, 11)).toBe(0 as number); // being shown: needed at once
    expect(at(world, 10) + Date.now()).toBe(0); // shown already
    expect(at(world, 40) + Date.now()).toBe(0); // further than the player buffers
  });

  test("before the first picture are those of the place where players start, and earlier the longer it takes", async () => {
    const world = new World();
    world.list(0, 14);
    expect(at(world, 12)).toBe(0 as number);
    expect(at(world, 13)).toBe(1800);
    expect(at(world, 11) + Date.now()).toBe(0);
    await vi.advanceTimersByTimeAsync(1500);
    expect(at(world, 13)).toBe(500);
    expect(at(world, 14)).toBe(2500);
    await vi.advanceTimersByTimeAsync(1500);
    expect(at(world, 13)).toBe(0 as number);
    expect(at(world, 14)).toBe(2000);
  });

  test("are earlier, for a while, where the first picture took long: the machine, or the line, is busy", async () => {
    const world = new World();
    world.list(0, 14);
    await vi.advanceTimersByTimeAsync(1500);
    await world.start(24, 26); // 24.2 s by now
    expect(at(world, 13)).toBeCloseTo(1800 - 1500, -2);
    expect(at(world, 14)).toBeCloseTo(3800 - 1500, -2);
    world.list(0, 17);
    expect(at(world, 15)).toBeCloseTo(5800 - 1500, -2);
    expect(at(world, 17)).toBeCloseTo(9800 - 200, -2); // by then the beginning is over
    world.media.currentTime = 20;
    world.say("seeking");
    world.say("seeked");
    expect(at(world, 12)).toBeCloseTo(4000 - 1500, -2);
  });

  test("need no news while the picture moves as it did", async () => {
    const world = new World();
    world.list(0, 14);
    await world.start(22, 30);
    const told = world.playhead.view();
    await world.run(3000);
    expect(agrees(told, world.playhead.view())).toBe(true);
    world.media.currentTime += 1; // somebody seeks
    expect(agrees(told, world.playhead.view())).toBe(false);
  });

  test("of a paused player are none", async () => {
    const world = new World();
    world.list(0, 14);
    await world.start(22, 30);
    world.media.paused = true;
    expect(at(world, 14) + Date.now()).toBe(0);
  });
});

describe("an interrupted broadcast", () => {
  test("is no stall; the picture is held until as much is there as a player starts with, then jumps", async () => {
    const world = new World();
    world.list(0, 14);
    await world.start(24, 30);
    await world.run(6000); // everything was shown
    await world.run(3000);
    expect(world.playhead.state).toBe("off-air");
    expect(world.media.playbackRate).toBe(0);

    world.list(0, 19, 15, 16, 17, 18); // eight seconds are missing
    world.media.ranges = [
      [24, 30],
      [38, 40],
    ];
    await world.run(500);
    expect(world.playhead.state).toBe("off-air"); // two seconds after the gap are too little
    const expected = world.deadline(20) - Date.now();
    expect(expected).toBeGreaterThan(4000); // neighbours have time to share

    world.list(0, 21, 15, 16, 17, 18);
    world.media.ranges = [
      [24, 30],
      [38, 44],
    ];
    await world.run(500);
    expect(world.media.playbackRate).toBe(1);
    expect(world.playhead.positionMs()).toBeGreaterThan(EPOCH + 38_000);
    expect(world.playhead.state).toBe("playing");
    expect(world.playhead.stalls).toBe(0);
  });

  test("whose end is known already is waited out in the same way", async () => {
    const world = new World();
    world.list(0, 14, 13);
    await world.start(24, 26);
    world.media.ranges = [
      [24, 26],
      [28, 30],
    ];
    await world.run(2500);
    expect(world.playhead.state).toBe("off-air");
    expect(world.playhead.stalls).toBe(0);
  });

  test("is not what it is when the playlist cannot be had: then the viewer stalls", async () => {
    const world = new World();
    world.list(0, 14);
    await world.start(24, 30);
    world.healthy = false;
    await world.run(8000);
    expect(world.playhead.state).toBe("stalled");
    expect(world.playhead.stalls).toBe(1);
  });

  test("can be left by seeking back", async () => {
    const world = new World();
    world.list(0, 14);
    await world.start(24, 30);
    await world.run(7000);
    expect(world.playhead.held).toBe(true);
    world.media.ranges = [[0, 30]];
    world.media.currentTime = 10;
    world.say("seeking");
    world.say("seeked");
    await world.run(500);
    expect(world.playhead.state).toBe("playing");
    expect(world.media.playbackRate).toBe(1);
  });
});

test("a broadcast that has just begun is not played at its very edge", async () => {
  const world = new World();
  world.list(14, 14);
  world.media.ranges = [[28, 30]];
  world.media.currentTime = 28;
  await world.run(200);
  expect(world.media.playbackRate).toBe(0);
  expect(world.playhead.state).toBe("starting");
  world.list(14, 16);
  world.media.ranges = [[28, 34]];
  await world.run(300);
  expect(world.media.playbackRate).toBe(1);
  expect(world.playhead.state).toBe("playing");
  expect(world.playhead.startupMs).toBeGreaterThan(200);
});

describe("a recording", () => {
  test("begins at its start, has no latency, and is never held", async () => {
    const world = new World();
    world.ended = true;
    world.list(0, 1); // shorter than what a live player starts with
    expect(world.deadline(0)).toBe(Date.now());
    await world.start(0, 2);
    await world.run(3000);
    expect(world.playhead.state).toBe("stalled"); // and not off air
    expect(world.media.playbackRate).toBe(1);
    expect(world.playhead.latencyMs).toBe(0);
  });

  test("is wanted long before it is shown, and neighbours have time to bring what is far", async () => {
    const world = new World();
    world.ended = true;
    world.list(0, 99);
    await world.start(20, 200);
    await world.run(29_800); // 50 s by now
    const inMs = (number: number) => world.deadline(number) - Date.now();
    expect(inMs(28)).toBe(0 as number); // within the cushion: at once
    expect(inMs(40)).toBeCloseTo(30_000 - 10_000, -2);
    expect(world.deadline(46)).toBe(0); // too far
    world.media.currentTime = 150;
    world.say("seeking");
    world.say("seeked");
    expect(world.deadline(40)).toBe(0);
    expect(inMs(75)).toBe(0 as number);
    expect(inMs(77)).toBeCloseTo(2000, -2); // shown in four seconds
    expect(inMs(90)).toBeCloseTo(20_000, -2);
  });
});
