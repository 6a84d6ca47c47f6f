import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Feed } from "../src/feed";
import { HttpError, type Text } from "../src/fetch";
import { ManifestError } from "../src/manifest";
import { Clock } from "../src/timing";

const SEGMENT_MS = 2000;

/** An origin that publishes a segment every two seconds, and a feed that ticks. */
class World {
  readonly polls: number[] = [];
  fail: Error | undefined;
  interrupted = false;
  private head = 0;
  private readonly startMs = Date.now();
  readonly feed = new Feed(
    new Clock(Date.now, Date.now),
    async () => {
      this.polls.push(Date.now() - this.startMs);
      if (this.fail) throw this.fail;
      return this.text();
    },
    async (text) => {
      if (text.text === "forged") throw new ManifestError("signature", "segment 7", "it was changed");
      return { headMs: Number(text.text), targetDurationMs: SEGMENT_MS, ended: false, text: text.text };
    },
  );

  private text(): Text {
    // Segments are published at 1.3 s after the start, and every two seconds from then on.
    const published = Math.floor((Date.now() - this.startMs + SEGMENT_MS - 1300) / SEGMENT_MS);
    if (!this.interrupted) this.head = published;
    return { text: String(this.head * SEGMENT_MS), url: "u", receivedMs: Date.now(), header: () => null };
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
    forged.mockReturnValue({ text: "forged", url: "u", receivedMs: 0, header: () => null });
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

  test("what neighbours have of other renditions costs at most one more poll for each segment, and not the phase", async () => {
    const world = new World();
    await world.play(10_000);
    const before = world.polls.length;
    const answers = await world.play(20_000, () => world.feed.refresh());
    expect(world.polls.length - before).toBeLessThanOrEqual(22); // ten segments
    for (const [at, text] of answers) expect(at - (Number(text) - SEGMENT_MS + 1300)).toBeLessThan(600);
  });

  test("what neighbours have just after a segment was published is no news", async () => {
    const world = new World();
    await world.play(10_000);
    const before = world.polls.length;
    const startMs = Date.now(); // 0.7 s after a segment was published
    await world.play(20_000, () => void ((Date.now() - startMs) % SEGMENT_MS < 100 && world.feed.refresh()));
    expect(world.polls.length - before).toBeLessThanOrEqual(13);
  });

  test("a neighbour that has the next segment brings a poll", async () => {
    const world = new World();
    await world.play(10_000);
    const lastMs = world.polls.at(-1)!;
    await world.play(lastMs + 1200 - 10_000);
    world.feed.refresh();
    await world.play(100);
    expect(world.polls.at(-1)! - lastMs).toBeLessThan(1400);
  });

  test("while polls fail, neighbours bring no more of them", async () => {
    const count = async (meanwhile: (feed: Feed) => void) => {
      const world = new World();
      await world.play(5000);
      world.fail = new HttpError(503, "busy");
      await world.play(1000);
      const before = world.polls.length;
      await world.play(20_000, () => meanwhile(world.feed));
      return world.polls.length - before;
    };
    expect(await count((feed) => feed.refresh())).toBe(await count(() => {}));
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
