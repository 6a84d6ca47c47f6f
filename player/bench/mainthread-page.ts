// What runs in the pages of mainthread.mjs: a session without a picture. It reads a
// channel as hls.js would, playlist by playlist and segment by segment, so that all
// that the main thread does is the library's work. The pages meet through a tracker
// made of a BroadcastChannel.

import { decode as decodeAnnounce, type Message } from "../src/announce";
import { Http } from "../src/fetch";
import { parseHash } from "../src/manifest";
import { rtcConnector } from "../src/rtc";
import { newScheduler } from "../src/sched";
import { Session } from "../src/session";

/** How far behind the newest segment's end a player is that starts three segments behind it. */
const BEHIND_MS = 6000;

const parameters = new URL(location.href).searchParams;
const me = parameters.get("id")!.padStart(16, "0");
const other = parameters.get("other")!.padStart(16, "0");
const stripes = Number(parameters.get("stripes"));
const room = new BroadcastChannel("tracker");

/** A tracker that knows of two viewers. */
function socket(): WebSocket {
  const fake = { readyState: 1, onopen: undefined as (() => void) | undefined, onmessage: undefined as ((e: { data: string }) => void) | undefined };
  const say = (m: object) => fake.onmessage?.({ data: JSON.stringify(m) });
  room.onmessage = (e: MessageEvent<{ kind: "here" | "signal"; from: string; signal?: unknown }>) => {
    if (e.data.kind === "signal") return say({ type: "signal", from: e.data.from, signal: e.data.signal });
    if (me > other) return;
    room.postMessage({ kind: "here", from: me });
    say({ type: "neighbour", id: other, offer: true });
  };
  const heard = (m: Message) => {
    if (m.type === "signal" && "to" in m) room.postMessage({ kind: "signal", from: me, signal: m.signal });
    if (m.type !== "join") return;
    say({ type: "welcome", id: me, reportMs: 5000, viewers: 2 });
    if (stripes) say({ type: "duty", duties: [{ rendition: "360p", stripes }] });
    if (me > other) {
      say({ type: "neighbour", id: other, offer: false });
      room.postMessage({ kind: "here", from: me });
    }
  };
  setTimeout(() => fake.onopen?.());
  return Object.assign(fake, { send: (text: string) => heard(decodeAnnounce(text)), close: () => undefined }) as unknown as WebSocket;
}

const http = new Http();
const base = new URL("/live/demo/", location.href).href;
const session = new Session({
  channel: parseHash(parameters.get("channel")!)!,
  renditions: [{ name: "360p", url: `${base}360p/index.m3u8` }],
  http,
  scheduler: newScheduler({ swarm: true, upload: true }),
  audience: {
    deadlineMs: (nowMs, e) => Math.max(nowMs, e.startMs + BEHIND_MS),
    renditions: () => ["360p"],
    experience: () => ({ stalls: 0, stallMs: 0, latencyMs: BEHIND_MS }),
  },
  swarm: {
    trackerUrl: "wss://tracker.test/",
    tokenUrl: "https://tracker.test/token",
    connect: rtcConnector(),
    maxNeighbours: 8,
    upload: true,
    environment: { fetch: async () => new Response(`{"token":"t"}`), socket, random: Math.random },
  },
});
session.start();

let deliveredBytes = 0;
let failures = 0;

async function read(): Promise<void> {
  const asked = new Set<string>();
  for (;;) {
    const { text } = await session.playlist("360p");
    for (const url of text.split("\n").filter((line) => line.endsWith(".m4s")).slice(-3)) {
      if (asked.has(url)) continue;
      asked.add(url);
      session.deliver(url, { done: (bytes) => void (deliveredBytes += bytes.byteLength), failed: () => void failures++ });
    }
  }
}

void read();
Object.assign(globalThis, { counts: () => ({ ...session.stats(), deliveredBytes, failures }) });
