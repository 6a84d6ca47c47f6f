import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromHex, toHex, type Bytes } from "../src/bytes";
import {
  byeReason,
  decode,
  encode,
  MAX_MESSAGE,
  pieceCount,
  pieceLeaves,
  pieceSpan,
  unbundle,
  WireError,
  within,
  type Message,
} from "../src/wire";

interface Vector {
  name: string;
  hex: string;
  pad?: { byte: string; times: number };
  message: { [field: string]: unknown };
  why: string;
}

const file = JSON.parse(readFileSync(new URL("../../peer/wire/testdata/vectors.json", import.meta.url), "utf8")) as {
  pieces: [leaves: number, each: number, pieces: number, last: number][];
  messages: Vector[];
  bundles: { name: string; hex: string; pad?: Vector["pad"]; messages?: string[]; why?: string }[];
  invalid: Vector[];
};

function bytesOf(v: Pick<Vector, "hex" | "pad">): Bytes {
  return fromHex(v.hex + (v.pad ? v.pad.byte.repeat(v.pad.times) : ""))!;
}

/** The message that a vector describes, its byte fields as bytes. */
function messageOf(v: Vector): Message {
  const out: { [field: string]: unknown } = { ...v.message };
  for (const field of ["bitfield", "hashes", "data"]) {
    const text = out[field];
    if (typeof text === "string") out[field] = fromHex(text === "<pad>" ? v.pad!.byte.repeat(v.pad!.times) : text);
  }
  return out as Message;
}

describe("the vectors of peer/wire", () => {
  test.each(file.messages.map((v) => [v.name, v] as const))("%s", (_, v) => {
    expect(decode(bytesOf(v))).toEqual(messageOf(v));
    expect(toHex(encode(messageOf(v)))).toBe(toHex(bytesOf(v)));
  });

  test.each(file.bundles.map((v) => [v.name, v] as const))("%s", (_, v) => {
    const taken = () => [...unbundle(bytesOf(v))];
    if (v.messages) expect(taken()).toEqual(v.messages.map((name) => messageOf(file.messages.find((m) => m.name === name)!)));
    else expect(taken).toThrow(WireError);
  });

  test.each(file.invalid.map((v) => [v.name, v] as const))("refused: %s", (_, v) => {
    expect(() => decode(bytesOf(v))).toThrow(WireError);
  });
});

test.each(file.pieces)("an object of %i leaves has pieces of %i, %i in all, the last of %i", (leaves, each, pieces, last) => {
  expect([pieceLeaves(leaves), pieceCount(leaves)]).toEqual([each, pieces]);
  expect(pieceSpan(pieces - 1, leaves)).toEqual({ first: leaves - last, count: last });
  expect(pieceSpan(pieces, leaves).count).toBe(0);
  expect(within([pieces - 1, (1 << last) - 1], leaves)).toBe(true);
  expect(within([pieces - 1, 1 << last], leaves)).toBe(false);
  expect(within([pieces, 1], leaves)).toBe(false);
});

describe("hostile input", () => {
  test("any bytes either fail with a sentence or encode to themselves again", () => {
    const seeds = file.messages.map((v) => bytesOf(v)).filter((b) => b.length < 1000);
    let state = 0x5eed;
    const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8;
    for (let i = 0; i < 20_000; i++) {
      const bytes = seeds[random() % seeds.length].slice();
      for (let flips = random() % 4; flips > 0; flips--) bytes[random() % bytes.length] = random();
      let message: Message;
      try {
        message = decode(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
        continue;
      }
      expect(toHex(encode(message))).toBe(toHex(bytes));
    }
  });

  test("a message beyond the limit is refused before it is looked at", () => {
    expect(() => decode(new Uint8Array(MAX_MESSAGE + 1).fill(5))).toThrow(WireError);
  });

  test("a parting sentence is cut to what fits", () => {
    expect(decode(encode({ type: "BYE", reason: byeReason("é".repeat(500)) }))).toEqual({
      type: "BYE",
      reason: "é".repeat(100),
    });
  });
});
