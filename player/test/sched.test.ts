import { readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { fromHex } from "../src/bytes";
import { Core } from "../src/sched/core";
import type { Config } from "../src/sched/config";
import { defaultConfig } from "../src/sched/config";
import { CDN, Do, event, Kind, newScheduler, type Action, type Event } from "../src/sched";
import { mix32 } from "../src/sched/mix32";
import { stripe } from "../src/sched/piece";

// The traces were recorded from the Go core; peer/sched/trace_test.go describes them.
const testdata = new URL("../../peer/sched/testdata/", import.meta.url);

const EVENT_FIELDS: Record<string, (keyof Event)[]> = {
  tick: [],
  objectAdd: ["object", "rendition", "sequence", "leaves", "size", "value"],
  objectWant: ["object", "value"],
  objectRemove: ["object"],
  neighbourAdd: ["neighbour"],
  neighbourRemove: ["neighbour"],
  have: ["neighbour", "object", "bits"],
  gain: ["neighbour", "object", "piece"],
  coming: ["neighbour", "object", "piece"],
  lost: ["neighbour", "object"],
  request: ["neighbour", "object", "piece", "mask"],
  cancel: ["neighbour", "object", "piece"],
  refuse: ["neighbour", "object", "piece", "value"],
  verified: ["neighbour", "object", "leaf"],
  rejected: ["neighbour", "object", "leaf"],
  unsolicited: ["neighbour", "object", "leaf"],
  fetchDone: ["object", "leaf", "last", "value", "elapsedMs"],
  fetchFailed: ["object", "leaf", "last", "value"],
  buffered: ["neighbour", "value"],
  duty: ["rendition", "value"],
  cap: ["value"],
};

const ACTION_FIELDS: Record<string, (keyof Action)[]> = {
  sendHave: ["neighbour", "object"],
  sendGain: ["neighbour", "object", "piece"],
  sendComing: ["neighbour", "object", "piece"],
  sendLost: ["neighbour", "object"],
  sendRequest: ["neighbour", "object", "piece", "mask"],
  sendCancel: ["neighbour", "object", "piece"],
  sendRefuse: ["neighbour", "object", "piece", "reason"],
  sendLeaf: ["neighbour", "object", "leaf"],
  fetch: ["object", "leaf", "last"],
  drop: ["neighbour", "reason"],
};

const kindOf = (kinds: Record<string, string | number>, name: string) => kinds[name[0].toUpperCase() + name.slice(1)] as number;
const actionNames = Object.keys(ACTION_FIELDS);

interface Line {
  now: number;
  expects?: [number, number, number, number][];
  events?: [string, ...(number | string)[]][];
  actions?: [string, ...number[]][];
  uplink?: number;
}

function parseEvent([name, ...values]: [string, ...(number | string)[]]): Event {
  const fields = EVENT_FIELDS[name].map((f, i) => [f, f === "bits" ? fromHex(values[i] as string) : values[i]]);
  return event(kindOf(Kind, name), Object.fromEntries(fields) as Partial<Event>);
}

function formatAction(a: Action): [string, ...number[]] {
  const name = actionNames.find((n) => kindOf(Do, n) === a.kind)!;
  return [name, ...ACTION_FIELDS[name].map((f) => a[f])];
}

describe("the traces of peer/sched", () => {
  const files = readdirSync(testdata).filter((f) => /^trace-.*\.jsonl\.gz$/.test(f));
  test("exist", () => expect(files.length).toBeGreaterThan(0));

  test.each(files)("%s", (file) => {
    const text = gunzipSync(readFileSync(new URL(file, testdata))).toString();
    const [head, ...lines] = text.trimEnd().split("\n").map((l) => JSON.parse(l)) as [{ config: Config }, ...Line[]];
    const core = new Core(head.config);
    let uplink = 0;
    lines.forEach((line, i) => {
      const where = `line ${i + 2}`;
      for (const [n, o, leaf, known] of line.expects ?? []) {
        if (core.expects(n, o, leaf) !== (known === 1)) expect.fail(`${where}: expects(${n}, ${o}, ${leaf}) was ${known}`);
      }
      const told = JSON.stringify(line.actions ?? []);
      const now = JSON.stringify(core.handle(line.now, (line.events ?? []).map(parseEvent)).map(formatAction));
      if (now !== told) expect.fail(`${where}, ${JSON.stringify(line.events)}\n told: ${told}\n  now: ${now}`);
      uplink = line.uplink ?? uplink;
      if (core.uplinkBytesPerSec() !== uplink) expect.fail(`${where}: uplink ${core.uplinkBytesPerSec()}, was ${uplink}`);
    });
  });
});

test("the constants are those of the Go core", () => {
  const source = readFileSync(new URL("../config.go", testdata), "utf8");
  const inGo = (name: string) => Number(new RegExp(`^\\s*${name}:\\s*(\\d+),`, "m").exec(source)?.[1]);
  const { seed, uploadBytesPerSec, noUpload, ...constants } = defaultConfig(7);
  expect([seed, uploadBytesPerSec, noUpload]).toEqual([7, 0, false]);
  for (const [name, value] of Object.entries(constants)) {
    expect(inGo(name[0].toUpperCase() + name.slice(1)), name).toBe(value);
  }
});

test("mix32 and stripe have the values of Go", () => {
  expect([0, 1, 2, 0xffffffff, 0x9e3779b9].map(mix32)).toEqual([0, 0x514e28b7, 0x30f4c306, 0x81f16f39, 0x92ca2f0e]);
  expect([0, 7, 8, 15].map((leaf) => stripe(leaf, 16, 900_000_005))).toEqual([5, 12, 13, 4]);
});

describe("without a swarm", () => {
  const object = (o: number, value: number) =>
    event(Kind.ObjectAdd, { object: o, sequence: o, leaves: 4, size: 4 * 16384, value });

  test("what is wanted is fetched at once, whole", () => {
    const core = newScheduler({ swarm: false, upload: false });
    expect(core.handle(1000, [object(1, 9000), object(2, 0)])).toEqual([
      { kind: Do.Fetch, neighbour: 0, object: 1, piece: 0, mask: 0, leaf: 0, last: 3, reason: 0 },
    ]);
    expect(core.handle(1100, [event(Kind.ObjectWant, { object: 2, value: 9000 })])).toEqual([]); // one after the other
    expect(core.handle(1200, [event(Kind.ObjectWant, { object: 2, value: 1300 })])).toHaveLength(1); // but not too late
  });

  test("a request that failed is repeated, for what is missing", () => {
    const core = newScheduler({ swarm: false, upload: false });
    core.handle(1000, [object(1, 9000)]);
    const failed = core.handle(1100, [
      event(Kind.Verified, { neighbour: CDN, object: 1, leaf: 0 }),
      event(Kind.FetchFailed, { object: 1, leaf: 0, last: 3 }),
    ]);
    expect(failed).toEqual([]);
    expect(core.handle(1400, [event(Kind.Tick)])).toMatchObject([{ kind: Do.Fetch, leaf: 1, last: 3 }]);
  });

  test("nobody is served without consent", () => {
    const core = newScheduler({ swarm: true, upload: false });
    core.handle(1000, [event(Kind.NeighbourAdd, { neighbour: 1 }), object(1, 1000)]);
    const verified = [0, 1, 2, 3].map((leaf) => event(Kind.Verified, { neighbour: CDN, object: 1, leaf }));
    expect(core.handle(1200, [...verified, event(Kind.Request, { neighbour: 1, object: 1, piece: 0, mask: 1 })])).toMatchObject([
      { kind: Do.SendRefuse, neighbour: 1, piece: 0 },
    ]);
  });
});
