import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { concat, fromBase64Url, toBase64Url, type Bytes } from "../src/bytes";
import {
  checkDelegation,
  checkLeaf,
  checkLeaves,
  checkObject,
  encodeBody,
  encodeDelegationBody,
  formatHash,
  LEAF_SIZE,
  leafCount,
  leafHashes,
  leafLength,
  ManifestError,
  nextPartUri,
  nextUri,
  parseDelegation,
  parseHash,
  parseLeaves,
  parseRecord,
  readPlaylist,
  recordHash,
  signedBy,
  treeRoot,
  Verifier,
  type Part,
  type Segment,
} from "../src/manifest";

interface Vectors {
  leafSize: number;
  channel: string;
  trees: { size: number; leaves: string[]; root: string }[];
  records: {
    name: string;
    bytes: string;
    code: string;
    fields?: { [field: string]: string | number };
    hash: string;
    signingKey: string;
    genuine: boolean;
  }[];
  delegations: { name: string; bytes: string; code: string; fields?: { [field: string]: string | number } }[];
  objects: {
    name: string;
    record: string;
    check: "object" | "leaves" | "leaf";
    size: number;
    flip: number;
    drop: number;
    leaf: number;
    from: number;
    code: string;
  }[];
  playlists: {
    name: string;
    channel: string;
    rendition: string;
    polls: { text: string; record?: string; nowMs: number; code: string; accepted: number[] }[];
  }[];
  /** Likewise, with records that come alone. */
  news: Vectors["playlists"];
  /** Likewise, of parts: accepted are 64 · number + index of each. */
  parts: Vectors["playlists"];
  partPatterns: { name: string; first: number; uris: string[] | null; uri: string }[];
  patterns: { name: string; first: number; uris: string[] | null; number: number; uri: string }[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../../origin/manifest/testdata/vectors.json", import.meta.url), "utf8"),
) as Vectors;
const channel = parseHash(vectors.channel)!;

/** The byte generator that the vectors document. */
function pattern(size: number): Bytes {
  return Uint8Array.from({ length: size }, (_, i) => (i * 7 + 13 + Math.floor(i / 251)) & 255);
}

/** The code of a refusal, "" if nothing was refused; anything but a ManifestError fails the test. */
async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
    return "";
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    expect(error.message).toMatch(/^[^:]+: ./);
    return error.code;
  }
}

function named<T extends { name: string }>(list: T[]): [string, T][] {
  return list.map((v) => [v.name, v]);
}

describe("the tree", () => {
  test.each(vectors.trees.map((v) => [v.size, v] as const))("over %i bytes", async (size, v) => {
    const hashes = await leafHashes(pattern(size));
    expect(hashes.map(formatHash)).toEqual(v.leaves);
    expect(leafCount(size)).toBe(v.leaves.length);
    if (size > 0) expect(formatHash(treeRoot(hashes))).toBe(v.root);
    let sum = 0;
    for (let i = 0; i < hashes.length; i++) sum += leafLength(size, i);
    expect(sum).toBe(size);
    expect(leafLength(size, hashes.length)).toBe(0);
  });

  test("has leaves of the size that the vectors were made with", () => {
    expect(LEAF_SIZE).toBe(vectors.leafSize);
  });

  test.each([0, 31, 33, 32 * 4097])("a leaf list of %i bytes is refused", async (size) => {
    expect(await codeOf(() => parseLeaves(new Uint8Array(size)))).toBe("leaf-list");
  });
});

describe("records", () => {
  test.each(named(vectors.records))("%s", async (_, v) => {
    const bytes = fromBase64Url(v.bytes)!;
    expect(await codeOf(() => parseRecord(bytes))).toBe(v.code);
    if (v.code) return;
    const record = parseRecord(bytes);
    const { root, init, previous, signature, encoded, ...rest } = record;
    const hashes = { root: formatHash(root), init: formatHash(init), previous: formatHash(previous) };
    expect({ ...rest, ...hashes }).toEqual(v.fields);
    expect(encoded).toEqual(bytes);
    expect(toBase64Url(concat(encodeBody(record), signature))).toBe(v.bytes);
    expect(formatHash(recordHash(record))).toBe(v.hash);
    expect(await signedBy(record, channel, fromBase64Url(v.signingKey)!)).toBe(v.genuine);
  });
});

describe("delegations", () => {
  test.each(named(vectors.delegations))("%s", async (_, v) => {
    const bytes = fromBase64Url(v.bytes)!;
    expect(await codeOf(() => checkDelegation(parseDelegation(bytes), channel))).toBe(v.code);
    if (!v.fields) return;
    const delegation = parseDelegation(bytes);
    const { rootKey, signingKey, signature, encoded, ...rest } = delegation;
    expect({ ...rest, rootKey: toBase64Url(rootKey), signingKey: toBase64Url(signingKey) }).toEqual(v.fields);
    expect(encoded).toEqual(bytes);
    expect(toBase64Url(concat(encodeDelegationBody(delegation), signature))).toBe(v.bytes);
  });
});

describe("objects", () => {
  test.each(named(vectors.objects))("%s", async (_, v) => {
    const record = parseRecord(fromBase64Url(v.record)!);
    const data = pattern(v.size);
    if (v.flip >= 0) data[v.flip] ^= 1;
    const code = await codeOf(async () => {
      if (v.check === "object") return checkObject(record, data.subarray(0, data.length - v.drop));
      if (v.check === "leaves") {
        const list = await leafHashes(data);
        return checkLeaves(record, list.slice(0, list.length - v.drop));
      }
      const end = Math.min(data.length, (v.from + 1) * LEAF_SIZE);
      const hashes = await leafHashes(pattern(record.size));
      return checkLeaf(record, hashes, v.leaf, data.subarray(v.from * LEAF_SIZE, end - v.drop));
    });
    expect(code).toBe(v.code);
  });
});

describe("playlists", () => {
  test.each(named([...vectors.playlists, ...vectors.news]))("%s", async (_, v) => {
    const verifier = new Verifier(parseHash(v.channel)!, v.rendition);
    for (const poll of v.polls) {
      let accepted: number[] = [];
      const code = await codeOf(async () => {
        const list = poll.record
          ? [await verifier.next(parseRecord(fromBase64Url(poll.record)!), poll.nowMs)]
          : await verifier.playlist(readPlaylist(poll.text), poll.nowMs);
        accepted = list.map((entry) => entry.record.sequence);
      });
      expect([code, accepted]).toEqual([poll.code, poll.accepted]);
    }
  });
});

describe("parts", () => {
  test.each(named(vectors.parts))("%s", async (_, v) => {
    const verifier = new Verifier(parseHash(v.channel)!, v.rendition);
    for (const poll of v.polls) {
      let accepted: number[] = [];
      const code = await codeOf(async () => {
        let list: Part[];
        if (poll.record) list = [await verifier.nextPart(parseRecord(fromBase64Url(poll.record)!), poll.nowMs)];
        else {
          const playlist = readPlaylist(poll.text);
          await verifier.playlist(playlist, poll.nowMs);
          list = await verifier.parts(playlist, poll.nowMs);
        }
        accepted = list.map((p) => 64 * p.number + p.index);
      });
      expect([code, accepted]).toEqual([poll.code, poll.accepted]);
    }
  });

  test.each(named(vectors.partPatterns))("where the next will be: %s", (_, v) => {
    const listed = (v.uris ?? []).map((uri, i) => ({ number: v.first + (i >> 2), index: i & 3, uri }) as Part);
    expect(nextPartUri(listed, 107, 2) ?? "").toBe(v.uri);
  });
});

describe("where the next segment will be", () => {
  test.each(named(vectors.patterns))("%s", (_, v) => {
    const listed = (v.uris ?? []).map((uri, i) => ({ number: v.first + i, uri, gap: uri === "" }) as Segment);
    expect(nextUri(listed, v.number) ?? "").toBe(v.uri);
  });
});
