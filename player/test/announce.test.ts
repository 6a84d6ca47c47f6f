import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { AnnounceError, decode, encode, type Report } from "../src/announce";

interface Vector {
  name: string;
  direction: "up" | "down";
  text: string;
  canonical: string;
  padTo?: number;
}

const file = JSON.parse(
  readFileSync(new URL("../../tracker/announce/testdata/vectors.json", import.meta.url), "utf8"),
) as { valid: Vector[]; invalid: Vector[] };

function textOf(v: Vector): string {
  return v.padTo ? v.text + " ".repeat(v.padTo - Buffer.byteLength(v.text)) : v.text;
}

const from = (direction: Vector["direction"], vectors: Vector[]) =>
  vectors.filter((v) => v.direction === direction).map((v) => [v.name, v] as const);

describe("the vectors of tracker/announce", () => {
  test.each(from("down", file.valid))("%s", (_, v) => {
    const message = decode(textOf(v));
    expect(JSON.parse(encode(message))).toEqual(JSON.parse(v.canonical));
    expect(decode(encode(message))).toEqual(message);
  });

  test("our reports are the tracker's", () => {
    const { canonical } = file.valid.find((v) => v.direction === "up" && v.text.includes(`"rtts"`))!;
    const report: Report = {
      type: "report",
      ready: true,
      noUpload: false,
      neighbours: 2,
      renditions: [],
      uplinkBps: 0,
      httpBytes: 0,
      p2pBytes: 0,
      uploadedBytes: 0,
      stalls: 0,
      stallMs: 0,
      latencyMs: 0,
      rescues: 0,
      dropped: [],
      rtts: [
        { id: "5eed5eed5eed5eed", ms: 31 },
        { id: "00c0ffee00c0ffee", ms: 0 },
      ],
    };
    expect(JSON.parse(encode(report))).toEqual(JSON.parse(canonical));
  });

  test.each(file.invalid.map((v) => [v.name, v] as const))("refused: %s", (_, v) => {
    expect(() => decode(textOf(v))).toThrow(AnnounceError);
  });
});
