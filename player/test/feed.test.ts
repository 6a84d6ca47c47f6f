import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Feed, type Edge } from "../src/feed";
import { HttpError, type Text } from "../src/fetch";
import { ManifestError } from "../src/manifest";
import type { Place } from "../src/port";
import { Clock } from "../src/timing";

const SEGMENT_MS = 2000;

/** An origin that publishes a segment every two seconds, and a feed that ticks. */
class World {
  readonly polls: number[] = [];
  fail: Error | undefined;
  /** There is another CDN, which fails. */
  secondFails = false;
  interrupted = false;
  duty = false;
  company = false;
  private head = 0;
  private told = 0;
  private readonly startMs = Date.now();
  readonly feed = new Feed(new Clock(Date.now, Date.now), {
    load: async (_, second) => {
      this.polls.push(Date.now() - this.startMs);
      if (second && this.secondFails) throw new HttpError(0, "the other CDN could not be reached");
      if (this.fail) throw this.fail;
      return this.text();
    },
    accept: async ({ text }) => {
      if (text === "forged") throw new ManifestError("signature", "segment 7", "it was changed");
      return this.edge(Number(text) / SEGMENT_MS);
    },
    turn: () => ({ rank: this.duty || !this.company ? 0 : 2, among: this.company ? 4 : 1 }),
  });

  /** An answer that somebody else got. */
  brought(): Text {
    return this.text();
  }

  /** Segments are published at 1.3 s after the start, and every two seconds from then on. */
  published(): number {
    return Math.floor((Date.now() - this.startMs + SEGMENT_MS - 1300) / SEGMENT_MS);
  }

  edge(head: number): Edge {
    const headMs = this.startMs + head * SEGMENT_MS;
    const text = String(head * SEGMENT_MS);
    const at = { number: head + 1, part: 0 };
    return { at, awaited: at, headMs, durationMs: SEGMENT_MS, targetDurationMs: SEGMENT_MS, ended: false, blocks: false, text };
  }

  private text(): Text {
    if (!this.interrupted) this.head = this.published();
    return { text: String(this.head * SEGMENT_MS), url: "u", receivedMs: Date.now(), age: null };
  }

  /** A neighbour tells of each segment so long after it was published. */
  gossip(afterMs: number): () => void {
    return () => {
      const head = Math.floor((Date.now() - this.startMs + SEGMENT_MS - 1300 - afterMs) / SEGMENT_MS);
      if (head <= this.told) return;
      this.told = head;
      if (head <= this.head) return this.feed.heard(this.edge(head).headMs);
      this.head = head;
      this.feed.advance(this.edge(head));
    };
  }

  /** Plays like hls.js: asks, and asks again two seconds after the answer says it was loaded. Returns the answers. */
  async play(forMs: number, meanwhile = () => {}): Promise<[number, string][]> {
    const answers: [number, string][] = [];
    const end = Date.now() + forMs;
    let askAt = Date.now();
    let asking = false;
    while (Date.now() < end) {
      if (!asking && Date.now() >= askAt) {
        asking = true;
        const done = (text: string, receivedMs = Date.now()) => {
          asking = false;
          askAt = receivedMs + SEGMENT_MS;
          answers.push([Date.now() - this.startMs, text]);
        };
        this.feed.read().then(
          (t) => done(t.text, t.receivedMs),
          (e: Error) => done(e.message),
        );
      }
      meanwhile();
      this.feed.tick();
      await vi.advanceTimersByTimeAsync(50);
    }
    return answers;
  }
}

describe("the feed", () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_767_225_600_000 }));
  afterEach(() => void vi.useRealTimers());

  test("polls just behind the origin, about once for each segment, and the player is told at once", async () => {
    const world = new World();
    const answers = await world.play(20_000);
    const settled = world.polls.filter((at) => at > 6000);
    expect(settled.length).toBeLessThanOrEqual(11); // seven segments in 14 s
    for (const [at, text] of answers.filter(([at]) => at > 4000)) {
      const publishedAt = Number(text) - SEGMENT_MS + 1300; // of the segment that ends at text
      expect(at - publishedAt).toBeLessThan(600);
    }
  });

  test("a player that brings the first answer spares a poll, and only that", async () => {
    const world = new World();
    const { text } = await world.feed.read(world.brought());
    expect(text).toBe(world.brought().text);
    expect(world.polls).toEqual([]);
    await world.play(4000);
    expect(world.polls.length).toBeGreaterThan(0);
  });

  test("does not poll when nobody plays", async () => {
    const world = new World();
    await world.play(4000);
    const before = world.polls.length;
    for (let i = 0; i < 400; i++) {
      world.feed.tick();
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(world.polls.length - before).toBeLessThanOrEqual(8); // the first seconds only
    expect(world.feed.active).toBe(false);
  });

  test("after a pause the player gets what is true now, not what was true then", async () => {
    const world = new World();
    await world.play(4000);
    await vi.advanceTimersByTimeAsync(60_000);
    const [answer] = await world.play(1000);
    expect(Number(answer[1])).toBeGreaterThan(60_000);
  });

  test("a refused playlist is told at once, with its sentence", async () => {
    const world = new World();
    await world.play(4000);
    const forged = vi.spyOn(world as never, "text" as never) as unknown as { mockReturnValue(v: Text): void };
    forged.mockReturnValue({ text: "forged", url: "u", receivedMs: 0, age: null });
    const answers = await world.play(4000);
    expect(answers.map(([, text]) => text)).toContain("segment 7: it was changed");
    expect(world.feed.healthy).toBe(false);
  });

  test("a network that hiccups is not told, one that stays away is", async () => {
    const world = new World();
    await world.play(4000);
    world.fail = new HttpError(0, "unreachable");
    expect((await world.play(3000)).map(([, text]) => text)).not.toContain("unreachable");
    expect((await world.play(15_000)).map(([, text]) => text)).toContain("unreachable");
    world.fail = undefined;
    expect((await world.play(8000)).some(([, text]) => Number(text) > 20_000)).toBe(true);
  });

  test("who hears of each segment by neighbours polls no more, and is not later", async () => {
    const world = new World();
    await world.play(10_000);
    world.company = true;
    await world.play(4000, world.gossip(250));
    const before = world.polls.length;
    const answers = await world.play(20_000, world.gossip(250));
    expect(world.polls.length - before).toBe(0);
    for (const [at, text] of answers) expect(at - (Number(text) - SEGMENT_MS + 1300)).toBeLessThan(600);
  });

  test("when neighbours fall silent, it is no later than half a segment", async () => {
    const world = new World();
    await world.play(10_000);
    world.company = true;
    await world.play(6000, world.gossip(250));
    const answers = await world.play(10_000);
    for (const [at, text] of answers) expect(at - (Number(text) - SEGMENT_MS + 1300)).toBeLessThan(1200);
    const last = world.polls.at(-1)!;
    expect((last - 1300) % SEGMENT_MS).toBeLessThan(400); // silence long enough is loneliness: it polls as if alone
  });

  test("whose duty the first piece is looks first", async () => {
    const world = new World();
    await world.play(10_000);
    world.company = world.duty = true;
    await world.play(10_000, world.gossip(700));
    const polls = world.polls.filter((at) => at > 12_000);
    expect(polls.length).toBeGreaterThanOrEqual(4);
    for (const at of polls) expect((at - 1300 + SEGMENT_MS) % SEGMENT_MS).toBeLessThan(700);
  });

  test("what only the playlist explains brings one poll for each segment, and no more while polls fail", async () => {
    const world = new World();
    await world.play(10_000);
    world.company = true;
    await world.play(6000, world.gossip(100));
    const before = world.polls.length;
    await world.play(10_000, () => {
      world.gossip(100)();
      world.feed.pollSoon();
    });
    expect(world.polls.length - before).toBeGreaterThanOrEqual(4);
    expect(world.polls.length - before).toBeLessThanOrEqual(6);
    world.fail = new HttpError(503, "busy");
    await world.play(3000);
    const failing = world.polls.length;
    await world.play(10_000, () => world.feed.pollSoon());
    expect(world.polls.length - failing).toBeLessThanOrEqual(5);
  });

  test("another CDN that fails when it is asked for a second opinion does not keep the feed from what the first has", async () => {
    const world = new World();
    world.secondFails = true;
    await world.play(6000);
    world.interrupted = true;
    await world.play(10_000);
    world.interrupted = false;
    const answers = await world.play(6000);
    expect(Number(answers.at(-1)![1])).toBeGreaterThanOrEqual((world.published() - 1) * SEGMENT_MS);
  });

  test("while the broadcast is interrupted polls become rarer", async () => {
    const world = new World();
    await world.play(6000);
    world.interrupted = true;
    await world.play(10_000);
    const before = world.polls.length;
    await world.play(20_000);
    expect(world.polls.length - before).toBeLessThanOrEqual(11);
  });
});

describe("where the server holds requests", () => {
  const PART_MS = 500;
  beforeEach(() => void vi.useFakeTimers({ now: 1_767_225_600_000 }));
  afterEach(() => void vi.useRealTimers());

  /** An origin that publishes four parts of each segment, 300 ms behind media time, and holds requests until there is what they name. */
  class LowLatency {
    readonly polls: { atMs: number; place?: Place }[] = [];
    interrupted = false;
    private readonly startMs = Date.now();
    readonly feed: Feed = new Feed(new Clock(Date.now, Date.now), {
      load: async (place) => {
        this.polls.push({ atMs: Date.now() - this.startMs, place });
        if (place) {
          const at = (place.number * 4 + place.part! + 1) * PART_MS + 300 - (Date.now() - this.startMs);
          await new Promise((resolve) => setTimeout(resolve, this.interrupted ? 4000 : Math.max(at, 0)));
          if (this.interrupted) throw new HttpError(0, "brought nothing for 4 s");
        }
        return { text: String(this.parts()), url: "u", receivedMs: Date.now(), age: null };
      },
      accept: async ({ text }) => this.edge(Number(text)),
      turn: () => ({ rank: 0, among: 1 }),
    });
    private last = 0;

    /** How many parts are out. */
    private parts(): number {
      if (!this.interrupted) this.last = Math.max(0, Math.floor((Date.now() - this.startMs - 300) / PART_MS));
      return this.last;
    }

    private edge(parts: number): Edge {
      const at = { number: Math.floor(parts / 4), part: parts % 4 };
      const headMs = this.startMs + parts * PART_MS;
      return { at, awaited: at, headMs, durationMs: PART_MS, targetDurationMs: SEGMENT_MS, ended: false, blocks: true, text: String(parts) };
    }

    /** Reads for so long as hls.js does, each time naming what comes next; how late each answer was. */
    async play(forMs: number): Promise<number[]> {
      const late: number[] = [];
      let next = this.last;
      let asking = false;
      for (const end = Date.now() + forMs; Date.now() < end; ) {
        if (!asking) {
          asking = true;
          void this.feed.read(undefined, { number: Math.floor(next / 4), part: next % 4 }).then(({ text }) => {
            asking = false;
            next = Number(text);
            late.push(Date.now() - this.startMs - next * PART_MS - 300);
          });
        }
        this.feed.tick();
        await vi.advanceTimersByTimeAsync(50);
      }
      return late;
    }
  }

  test("the player has each part when it is out, for one request a part", async () => {
    const world = new LowLatency();
    await world.play(4000);
    const before = world.polls.length;
    const late = await world.play(10_000);
    expect(world.polls.length - before).toBeGreaterThanOrEqual(19);
    expect(world.polls.length - before).toBeLessThanOrEqual(21);
    expect(late.length).toBeGreaterThanOrEqual(19);
    for (const ms of late) expect(ms).toBeLessThan(60);
  });

  test("a broadcast that is interrupted is no failure, and asked for ever more rarely", async () => {
    const world = new LowLatency();
    await world.play(4000);
    world.interrupted = true;
    await world.play(10_000);
    expect(world.feed.healthy).toBe(true);
    const before = world.polls.length;
    await world.play(20_000);
    expect(world.polls.length - before).toBeLessThanOrEqual(11);
    expect(world.polls.slice(before).every((p) => p.place === undefined)).toBe(true);
    world.interrupted = false;
    const late = await world.play(10_000);
    expect(late.at(-1)).toBeLessThan(60);
  });
});
