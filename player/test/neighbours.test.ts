import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Bytes } from "../src/bytes";
import type { Judgement } from "../src/gossip";
import { lot, Neighbours, type NeighboursHost } from "../src/neighbours";
import type { Carried } from "../src/objects";
import type { Callbacks, Connection } from "../src/channel";
import { LEAF_SIZE } from "../src/manifest";
import { Do, Kind, type Event } from "../src/sched";
import { NO_OBJECT } from "../src/sounding";
import { Store } from "../src/store";
import { encode, unbundle, FLAG_NEED_LIST, FLAG_TELL_ME, keyOf, type Key, type Message } from "../src/wire";
import { TestChannel } from "./fixture";

const PEER = "00000000000000aa";
const CHANNEL = new Uint8Array(32) as Bytes;
const KEY = "0123456789abcdef";
const CANDIDATE = { kind: "candidate", ufrag: "abcd", candidates: [] } as const;

/** Neighbours of nobody, and what they tell. */
/** What is said in one go is sent when that is over. */
const spoken = () => Promise.resolve();

class World {
  readonly events: Event[] = [];
  readonly signals: number[] = [];
  readonly sent: Message[][] = [];
  known: Carried | undefined;
  buffered = 0;
  roundTripMs = 0;
  proven = true;
  silent = false;
  judgement: Judgement = "genuine";
  readonly learned: Key[] = [];
  readonly wires: (Callbacks & { signalled: number; closed_: boolean })[] = [];
  readonly store = new Store(1 << 20);
  readonly neighbours = new Neighbours(
    {
      channel: CHANNEL,
      object: () => this.known,
      objectByKey: (key) => (this.known?.key === key ? this.known : undefined),
      expects: () => false,
      passesOn: () => !this.silent,
      proven: () => this.proven,
      event: (e) => this.events.push(e),
      stored: () => undefined,
      rejected: () => undefined,
      uploaded: () => undefined,
      learn: async (record) => {
        this.learned.push(keyOf(record.root));
        return this.judgement;
      },
      lists: () => false,
      heard: () => undefined,
      signal: (_to, _signal, visit) => this.signals.push(visit),
    } as NeighboursHost,
    this.store,
    (_, callbacks): Connection => {
      const world = this;
      const wire = { ...callbacks, signalled: 0, closed_: false };
      const sent: Message[] = [];
      this.wires.push(wire);
      this.sent.push(sent);
      return {
        bufferedAmount: this.buffered,
        get roundTripMs() {
          return world.roundTripMs;
        },
        send: (b) => sent.push(...unbundle(b)) > 0,
        signal: () => void wire.signalled++,
        close: () => void (wire.closed_ = true),
      };
    },
    8,
    true,
  );

  /** Neighbours that have said HELLO, the last one with these flags. */
  meet(count = 1, flags = 0): void {
    for (let i = 0; i < count; i++) {
      this.neighbours.meet(i === 0 ? PEER : `00000000000001a${i}`, true, 1);
      this.wires[i].open();
      this.say({ type: "HELLO", version: 2, channel: "0".repeat(16), flags: i === count - 1 ? flags : 0, instance: `${KEY.slice(1)}${i}` }, i);
    }
    expect(this.neighbours.open).toBe(count);
  }

  say(m: Message, who = 0): void {
    this.wires[who].message(encode(m));
  }

  /** What was said to a neighbour so far, of one type. */
  heard(type: Message["type"], who = 0): Message[] {
    return this.sent[who].filter((m) => m.type === type);
  }

  get strikes(): number[] {
    return this.events.filter((e) => e.kind === Kind.Unsolicited).map((e) => e.object);
  }
}

beforeEach(() => void vi.useFakeTimers({ now: 1_767_225_600_000 }));
afterEach(() => void vi.useRealTimers());

test("a round trip is told when it is first known, and when it has doubled or halved", () => {
  const world = new World();
  const { neighbours } = world;
  world.meet();
  const measured = (ms: number) => {
    world.roundTripMs = ms;
    return neighbours.roundTrips()?.map((r) => r.ms);
  };
  expect(measured(0)).toBeUndefined();
  expect(neighbours.roundTrips()).toBeUndefined();
  world.roundTripMs = 31;
  expect(neighbours.roundTrips()).toEqual([{ id: PEER, ms: 31 }]);
  expect([31, 61, 16, 62, 32, 31, 90_000].map(measured)).toEqual([undefined, undefined, undefined, [62], undefined, [31], [60_000]]);
});

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

test("a neighbour that does not read what it is sent is dropped", async () => {
  const world = new World();
  world.buffered = 5 << 20;
  world.meet();
  await spoken();
  world.neighbours.tick(performance.now());
  expect(world.neighbours.open).toBe(0);
  expect(world.neighbours.takeDrops()).toEqual([{ id: PEER, reason: "stalled" }]);
});

test("a leaf list that was asked for in advance comes before the first leaf, once", async () => {
  const { record, data, leaves } = new TestChannel(1_767_225_600_000).publish(LEAF_SIZE + 9);
  const key = keyOf(record.root);
  const world = new World();
  world.known = { key, id: 0, leaves: 2, record } as Carried;
  world.meet();
  world.store.add(record);
  const ask: Message = { type: "REQUEST", key, flags: FLAG_NEED_LIST, wanted: [[0, 1], [1, 1]] };
  world.say(ask);
  await spoken();
  expect(world.heard("LEAVES")).toEqual([]); // we have none yet: the leaves are on their way to us
  world.store.putLeaves(key, leaves);
  await world.store.putObject(key, data);
  const leaf = (i: number) => ({ kind: Do.SendLeaf, neighbour: 0, object: 0, piece: 0, mask: 0, leaf: i, last: 0, reason: 0 });
  world.neighbours.run([leaf(0), leaf(1)]);
  world.say(ask);
  const said = world.sent[0].map((m) => m.type).filter((type) => type.startsWith("LEA"));
  expect(said).toEqual(["LEAVES", "LEAF", "LEAF"]);
});

test("a leaf that is to show what the uplink carries waits for its receiver's answer, not for the browser's buffer", async () => {
  const { record, data, leaves } = new TestChannel(1_767_225_600_000).publish(LEAF_SIZE);
  const key = keyOf(record.root);
  const world = new World();
  world.known = { key, id: 0, leaves: 1, record } as Carried;
  world.meet();
  world.store.add(record);
  world.store.putLeaves(key, leaves);
  await world.store.putObject(key, data);
  const told = () => world.events.filter((e) => e.kind === Kind.Buffered).map((e) => e.value);
  const send = () => world.neighbours.run([{ kind: Do.SendLeaf, neighbour: 0, object: 0, piece: 0, mask: 0, leaf: 0, last: 0, reason: 0 }]);
  const nothing: Message = { type: "LOST", key: NO_OBJECT };
  send();
  world.neighbours.tick(performance.now());
  expect(told()).toEqual([0]); // the browser has taken it
  expect(world.heard("ASK")).toEqual([]);
  world.proven = false;
  send();
  world.neighbours.tick(performance.now());
  world.neighbours.tick(performance.now());
  await spoken();
  expect(world.heard("ASK")).toEqual([{ type: "ASK", key: NO_OBJECT }]);
  expect(told().slice(1)).toEqual([LEAF_SIZE, LEAF_SIZE]);
  world.say(nothing);
  expect(told().at(-1)).toBe(0);
  world.say(nothing); // nobody asked: it is as good as any LOST
  world.say({ type: "ASK", key: NO_OBJECT });
  world.say({ type: "ASK", key: NO_OBJECT });
  await spoken();
  expect(world.heard("LOST")).toEqual([nothing, nothing]);
});

test("who passes nothing on tells of no records", async () => {
  const { record } = new TestChannel(1_767_225_600_000).publish(LEAF_SIZE);
  const world = new World();
  world.known = { key: keyOf(record.root), id: 0, leaves: 1, record } as Carried;
  world.silent = true;
  world.meet();
  world.neighbours.introduce(world.known, true);
  await spoken();
  expect(world.heard("HAVE")).toEqual([]);
  world.silent = false;
  world.neighbours.introduce(world.known, true);
  await spoken();
  expect(world.heard("HAVE")).toHaveLength(1);
});

describe("records", () => {
  const segment = new TestChannel(1_767_225_600_000).publish(1000);
  const key = keyOf(segment.record.root);
  const have = (k: string): Message => ({ type: "HAVE", key: k, leaves: 1, bitfield: new Uint8Array([0x80]) as Bytes });
  const record: Message = { type: "RECORD", key, data: segment.record.encoded };

  test("are asked of one who announced the object, and of the next one when no answer comes", async () => {
    const world = new World();
    world.meet(3);
    world.say(have(key), 1);
    world.say(have(key), 2);
    const asked = () => [0, 1, 2].map((who) => world.heard("ASK", who).length);
    await spoken();
    expect(asked()).toEqual([0, 1, 0]);
    await vi.advanceTimersByTimeAsync(390);
    world.neighbours.tick(performance.now());
    expect(asked()).toEqual([0, 1, 0]);
    await vi.advanceTimersByTimeAsync(20);
    world.neighbours.tick(performance.now());
    await spoken();
    expect(asked()).toEqual([0, 1, 1]);
    world.say({ type: "LOST", key }, 2);
    await vi.advanceTimersByTimeAsync(1000);
    world.neighbours.tick(performance.now());
    expect(asked()).toEqual([0, 1, 1]); // nobody is left
  });

  test("that came are not asked for again", async () => {
    const world = new World();
    world.meet(2);
    world.say(have(key), 0);
    world.say(record, 0);
    await vi.advanceTimersByTimeAsync(1);
    world.say(have(key), 1);
    await spoken();
    expect(world.heard("ASK", 1)).toEqual([]);
    expect(world.strikes).toEqual([]);
  });

  test("are asked of nobody who owes eight already", async () => {
    const world = new World();
    world.meet();
    for (let i = 0; i < 20; i++) world.say(have(i.toString(16).padStart(16, "0")));
    await spoken();
    expect(world.heard("ASK")).toHaveLength(8);
  });

  test("that nobody asked for are welcome as often as answers are", async () => {
    const world = new World();
    world.meet();
    for (let i = 0; i < 40; i++) {
      world.say(record);
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(world.learned).toEqual([key]);
    expect(world.strikes).toHaveLength(8);
  });

  test("that our own poll found are told unasked to those who want that, ahead of their announcement", async () => {
    const world = new World();
    world.meet(2, FLAG_TELL_ME);
    const known = { key, id: 0, leaves: 1, record: segment.record } as Carried;
    world.neighbours.introduce(known, true);
    await spoken();
    expect([0, 1].map((who) => world.heard("RECORD", who))).toEqual([[], [record]]);
  });

  test("whose pieces are coming are asked for as soon as they are there", async () => {
    const world = new World();
    world.meet();
    world.say(have(key));
    world.say({ type: "COMING", key, pieces: [0] });
    world.neighbours.introduce({ key, id: 0, leaves: 1, record: segment.record } as Carried, false);
    expect(world.events.filter((e) => e.kind === Kind.Coming).map((e) => e.piece)).toEqual([0]);
  });

  test("are asked for four times a second in the long run, however many are announced", async () => {
    const world = new World();
    world.meet();
    for (let i = 0; i < 200; i++) {
      const k = i.toString(16).padStart(16, "0");
      world.say(have(k));
      world.say({ type: "LOST", key: k }); // so none is unanswered
      await vi.advanceTimersByTimeAsync(50);
    }
    await spoken();
    expect(world.heard("ASK").length).toBeLessThanOrEqual(32 + 4 * 10);
    expect(world.heard("ASK").length).toBeGreaterThan(60);
  });

  test("of a key that no playlist appointed are a strike", async () => {
    const world = new World();
    world.judgement = "unknown-key";
    world.meet();
    world.say(have(key));
    world.say(record);
    await vi.advanceTimersByTimeAsync(1);
    expect(world.strikes).toEqual([-1]);
    expect(world.neighbours.open).toBe(1);
  });

  test.each<[string, Message, Judgement]>([
    ["one that is none", { type: "RECORD", key, data: new Uint8Array(200) as Bytes }, "genuine"],
    ["that of another object", { type: "RECORD", key: KEY, data: segment.record.encoded }, "genuine"],
    ["one that the owner did not sign", record, "forged"],
  ])("%s costs its sender the connection", async (_, m, judgement) => {
    const world = new World();
    world.judgement = judgement;
    world.meet();
    world.say(have((m as { key: string }).key));
    world.say(m);
    await vi.advanceTimersByTimeAsync(1);
    expect(world.neighbours.open).toBe(0);
    expect(world.neighbours.takeDrops()).toEqual([{ id: PEER, reason: "bad-leaf" }]);
  });

  test("are told to who asks, once, and LOST where there is none", async () => {
    const world = new World();
    world.known = { key, id: 0, leaves: 1, record: segment.record } as Carried;
    world.meet();
    for (let i = 0; i < 5; i++) world.say({ type: "ASK", key });
    world.say({ type: "ASK", key: KEY });
    await spoken();
    expect(world.heard("RECORD")).toEqual([record]);
    expect(world.heard("LOST")).toEqual([{ type: "LOST", key: KEY }]);
  });

  test("that became known are told to those who have not announced them", async () => {
    const world = new World();
    world.known = { key, id: 0, leaves: 1, record: segment.record } as Carried;
    world.meet(2);
    const known = world.known;
    world.known = undefined;
    world.say(have(key), 1);
    world.neighbours.introduce(known, true);
    await spoken();
    expect(world.heard("HAVE", 0)).toMatchObject([{ key, leaves: 1, bitfield: new Uint8Array(1) }]);
    expect(world.heard("HAVE", 1)).toEqual([]);
  });
});

test("lots are the FNV-1a hashes of the protocol", () => {
  expect(lot("0badcafe76543210", 1000)).toBe(4269598654);
  expect(lot("ffffffffffffffff", 883_612_798)).toBe(604772345);
});
