import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Outbox } from "../src/outbox";
import { HASH_SIZE, MAX_LIST_LEAVES, MAX_MESSAGE, unbundle, type Message } from "../src/wire";

const key = "c0ffee0123456789";
const gain: Message = { type: "GAIN", key, pieces: [1] };
const lost: Message = { type: "LOST", key };
const leaf: Message = { type: "LEAF", key, leaf: 0, data: new Uint8Array(1) };

let bundles: string[][];
let outbox: Outbox;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  bundles = [];
  outbox = new Outbox((bundle) => {
    expect(bundle.length).toBeLessThanOrEqual(MAX_MESSAGE);
    return bundles.push([...unbundle(bundle)].map((m) => m.type)) > 0;
  });
});
afterEach(() => void vi.useRealTimers());

test("what is said in one go is one bundle, and a leaf ends it", async () => {
  outbox.send(gain);
  outbox.send({ type: "ASK", key });
  expect(bundles).toEqual([]);
  await Promise.resolve();
  outbox.send(gain);
  outbox.conclude(leaf);
  outbox.conclude(leaf);
  await Promise.resolve();
  expect(bundles).toEqual([["GAIN", "ASK"], ["GAIN", "LEAF"], ["LEAF"]]);
});

test("what is in no hurry waits for company, two seconds at most", async () => {
  outbox.mention(lost);
  await Promise.resolve();
  expect(bundles).toEqual([]);
  outbox.send(gain);
  await Promise.resolve();
  expect(bundles).toEqual([["LOST", "GAIN"]]);
  outbox.mention(lost);
  vi.advanceTimersByTime(1999);
  outbox.tick(performance.now());
  expect(bundles).toHaveLength(1);
  vi.advanceTimersByTime(1);
  outbox.tick(performance.now());
  expect(bundles.slice(1)).toEqual([["LOST"]]);
});

test("what does not fit is sent before", async () => {
  outbox.send(gain);
  outbox.send({ type: "LEAVES", key, hashes: new Uint8Array(MAX_LIST_LEAVES * HASH_SIZE) });
  outbox.send(gain);
  await Promise.resolve();
  expect(bundles).toEqual([["GAIN"], ["LEAVES"], ["GAIN"]]);
});
