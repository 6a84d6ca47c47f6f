import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Bytes } from "../src/bytes";
import { Neighbours, type NeighboursHost } from "../src/neighbours";
import type { Carried } from "../src/objects";
import type { Callbacks, Connection } from "../src/channel";
import { Kind, type Event } from "../src/sched";
import { Store } from "../src/store";
import { encode, type Message } from "../src/wire";

const PEER = "00000000000000aa";
const CHANNEL = new Uint8Array(32) as Bytes;
const KEY = "0123456789abcdef";
const CANDIDATE = { kind: "candidate", ufrag: "abcd", candidates: [] } as const;

/** Neighbours of nobody, and what they tell. */
class World {
  readonly events: Event[] = [];
  readonly signals: number[] = [];
  readonly wires: (Callbacks & { signalled: number; closed_: boolean })[] = [];
  readonly neighbours = new Neighbours(
    {
      channel: CHANNEL,
      object: () => undefined,
      objectByKey: () => undefined,
      expects: () => false,
      event: (e) => this.events.push(e),
      stored: () => undefined,
      rejected: () => undefined,
      uploaded: () => undefined,
      learn: async () => true,
      heard: () => undefined,
      heads: () => [],
      signal: (_to, _signal, visit) => this.signals.push(visit),
    } as NeighboursHost,
    new Store(1 << 20),
    (_, callbacks): Connection => {
      const wire = { ...callbacks, signalled: 0, closed_: false };
      this.wires.push(wire);
      return {
        bufferedAmount: 0,
        send: () => true,
        signal: () => void wire.signalled++,
        close: () => void (wire.closed_ = true),
      };
    },
    8,
    true,
  );

  /** A neighbour that has said HELLO. */
  meet(): void {
    this.neighbours.meet(PEER, true, 1);
    this.wires[0].open();
    this.say({ type: "HELLO", version: 1, channel: "0".repeat(16), flags: 0, instance: KEY });
    expect(this.neighbours.open).toBe(1);
  }

  say(m: Message): void {
    this.wires[0].message(encode(m));
  }

  get strikes(): number[] {
    return this.events.filter((e) => e.kind === Kind.Unsolicited).map((e) => e.object);
  }
}

beforeEach(() => void vi.useFakeTimers({ now: 1_767_225_600_000 }));
afterEach(() => void vi.useRealTimers());

describe("visits to the tracker", () => {
  test("a late candidate goes with the visit that introduced the neighbour", () => {
    const world = new World();
    world.neighbours.meet(PEER, true, 1);
    world.neighbours.meet("00000000000000bb", true, 2);
    for (const wire of world.wires) wire.signal(CANDIDATE as never);
    expect(world.signals).toEqual([1, 2]);
  });

  test("a neighbour that is introduced again while it connects is connected anew", () => {
    const world = new World();
    world.neighbours.meet(PEER, true, 1);
    world.neighbours.meet(PEER, true, 1);
    expect(world.wires).toHaveLength(1);
    world.neighbours.meet(PEER, true, 2);
    expect(world.wires.map((w) => w.closed_)).toEqual([true, false]);
    world.neighbours.signalled(PEER, CANDIDATE as never, 1);
    world.neighbours.signalled(PEER, CANDIDATE as never, 2);
    expect(world.wires.map((w) => w.signalled)).toEqual([0, 1]);
    expect(world.neighbours.takeDrops()).toEqual([]);
  });

  test("one that is connected stays", () => {
    const world = new World();
    world.meet();
    world.neighbours.meet(PEER, true, 2);
    expect(world.wires).toHaveLength(1);
    expect(world.neighbours.open).toBe(1);
  });
});

describe("a neighbour that floods us", () => {
  const leaf: Message = { type: "LEAF", key: KEY, leaf: 3, data: new Uint8Array(10) as Bytes };
  const list: Message = { type: "LEAVES", key: KEY, hashes: new Uint8Array(64) as Bytes };

  test("gets a strike for each leaf and list of objects that we do not know", () => {
    const world = new World();
    world.meet();
    world.say(leaf);
    world.say(list);
    expect(world.strikes).toEqual([-1, -1]);
  });

  test("gets none for ten seconds after we gave the object up", async () => {
    const world = new World();
    world.meet();
    world.neighbours.forgetObject({ key: KEY } as Carried);
    world.say(leaf);
    await vi.advanceTimersByTimeAsync(9_900);
    world.say(list);
    expect(world.strikes).toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    world.say(leaf);
    expect(world.strikes).toEqual([-1]);
  });

  test.each<Message>([
    { type: "REQUEST", key: KEY, flags: 0, wanted: [[0, 1]] },
    { type: "CANCEL", key: KEY, pieces: [0] },
    { type: "REFUSE", key: KEY, reason: 1, pieces: [0] },
    { type: "LOST", key: KEY },
    list,
  ])("with more messages than anybody needs is dropped: $type", async (m) => {
    const world = new World();
    world.meet();
    for (let second = 0; second < 20; second++) {
      for (let i = 0; i < 200; i++) world.say(m);
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(world.neighbours.open).toBe(1);
    for (let i = 0; i < 8193; i++) world.say(m);
    expect(world.neighbours.open).toBe(0);
    expect(world.neighbours.takeDrops()).toEqual([{ id: PEER, reason: "intruder" }]);
  });
});
