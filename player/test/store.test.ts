import { describe, expect, test } from "vitest";
import { LEAF_SIZE } from "../src/manifest";
import { blames, Store } from "../src/store";
import { hasBit, keyOf } from "../src/wire";
import { TestChannel, type TestSegment } from "./fixture";

const leaf = (s: TestSegment, i: number) => s.data.slice(i * LEAF_SIZE, (i + 1) * LEAF_SIZE);

function setUp(size = 3 * LEAF_SIZE + 5, budget = 1 << 20) {
  const channel = new TestChannel(1_767_225_600_000);
  const segment = channel.publish(size);
  const store = new Store(budget);
  const key = keyOf(segment.record.root);
  expect(store.add(segment.record)).toBe("stored");
  return { channel, segment, store, key };
}

describe("nothing unverified enters the store", () => {
  test("a leaf needs the leaf list, the list needs the record, and both are checked", async () => {
    const { segment, store, key } = setUp();
    expect(await store.putLeaf(key, 0, leaf(segment, 0))).toBe("no-list");
    const forged = segment.leaves.map((h) => h.slice());
    forged[2][0] ^= 1;
    expect(store.putLeaves(key, forged)).toBe("bad-list");
    expect(store.putLeaves(key, segment.leaves.slice(1))).toBe("bad-list");
    expect(store.listed(key)).toBe(false);
    expect(store.putLeaves(key, segment.leaves)).toBe("stored");
    const changed = leaf(segment, 1);
    changed[100] ^= 1;
    expect(await store.putLeaf(key, 1, changed)).toBe("bad-leaf");
    expect(await store.putLeaf(key, 1, leaf(segment, 2))).toBe("bad-leaf");
    expect(await store.putLeaf(key, 3, leaf(segment, 0))).toBe("bad-leaf");
    expect(await store.putLeaf(key, 4, leaf(segment, 3))).toBe("bad-leaf");
    expect(store.leaf(key, 1)).toBeUndefined();
    expect(await store.putLeaf(key, 1, leaf(segment, 1))).toBe("stored");
    expect(store.leaf(key, 1)).toEqual(leaf(segment, 1));
    expect(hasBit(store.bitfield(key)!, 1)).toBe(true);
  });

  test("a changed object, one of another length, or one of nobody is refused", async () => {
    const { segment, store, key } = setUp();
    const changed = segment.data.slice();
    changed[changed.length - 1] ^= 1;
    expect(await store.putObject(key, changed)).toBe("bad-object");
    expect(await store.putObject(key, segment.data.slice(1))).toBe("bad-object");
    expect(await store.putObject("0000000000000000", segment.data)).toBe("unknown");
    expect(store.complete(key)).toBe(false);
    expect(await store.putObject(key, segment.data.slice())).toBe("stored");
    expect(store.object(key)).toEqual(segment.data);
  });

  test("what is handed out is a copy: a player that takes it over changes nothing", async () => {
    const { segment, store, key } = setUp();
    await store.putObject(key, segment.data.slice());
    store.object(key)!.fill(0);
    store.bitfield(key)!.fill(0);
    expect(store.object(key)).toEqual(segment.data);
    expect(store.complete(key)).toBe(true);
  });

  test("the same leaf twice at the same time is stored once", async () => {
    const { segment, store, key } = setUp();
    store.putLeaves(key, segment.leaves);
    const both = await Promise.all([store.putLeaf(key, 0, leaf(segment, 0)), store.putLeaf(key, 0, leaf(segment, 0))]);
    expect(both.sort()).toEqual(["duplicate", "stored"]);
    expect(store.heldBytes(key)).toBe(LEAF_SIZE);
  });

  test("an object removed while its leaf is checked stays removed", async () => {
    const { segment, store, key } = setUp();
    store.putLeaves(key, segment.leaves);
    const check = store.putLeaf(key, 0, leaf(segment, 0));
    store.remove(key);
    expect(await check).toBe("unknown");
    expect(store.used).toBe(0);
  });

  test("a single leaf needs no list: its hash is the root", async () => {
    const { segment, store, key } = setUp(100);
    expect(await store.putLeaf(key, 0, segment.data)).toBe("stored");
    expect(store.heldBytes(key)).toBe(100);
  });

  test("only what proves a lie is blamed on the sender", () => {
    expect(blames("bad-leaf") && blames("bad-list") && blames("bad-object")).toBe(true);
    expect(blames("unknown") || blames("no-list") || blames("duplicate") || blames("stored")).toBe(false);
  });
});

describe("the budget", () => {
  test("pushes out the oldest, tells whom, and never the one that arrives", async () => {
    const channel = new TestChannel(1_767_225_600_000);
    const segments = Array.from({ length: 5 }, () => channel.publish(100_000));
    const store = new Store(350_000);
    for (const s of [...segments].reverse()) {
      store.add(s.record);
      await store.putObject(keyOf(s.record.root), s.data.slice());
      expect(store.complete(keyOf(s.record.root))).toBe(true);
      expect(store.used).toBeLessThanOrEqual(350_000);
    }
    expect(store.evicted().map((r) => r.sequence)).toEqual([2, 1].map((i) => segments[i].record.sequence));
    expect(store.evicted()).toEqual([]);
  });

  test("spares what holds no data, and what somebody waits for", async () => {
    const channel = new TestChannel(1_767_225_600_000);
    const segments = Array.from({ length: 5 }, () => channel.publish(100_000));
    const [empty, awaited, ...rest] = segments.map((s) => keyOf(s.record.root));
    const store = new Store(220_000, (key) => key === awaited);
    for (const s of segments) store.add(s.record);
    for (const s of segments.slice(1)) await store.putObject(keyOf(s.record.root), s.data.slice());
    expect(store.evicted().map((r) => keyOf(r.root))).toEqual(rest.slice(0, 2));
    expect(store.bitfield(empty)).toBeDefined();
    expect(store.complete(awaited) && store.complete(rest[2])).toBe(true);
  });

  test("an object larger than all of it is refused", () => {
    const channel = new TestChannel(1_767_225_600_000);
    expect(new Store(50_000).add(channel.publish(60_000).record)).toBe("budget");
  });
});
