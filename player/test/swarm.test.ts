import { expect, test } from "vitest";
import type { Callbacks } from "../src/channel";
import { Store } from "../src/store";
import { Swarm, type SwarmHost } from "../src/swarm";
import { Kind, type Event } from "../src/sched";
import { until } from "./fixture";
import { Room } from "./room";

/** What the tracker hears at one visit. */
interface Socket {
  readyState: number;
  sent: { type: string; to?: string }[];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: () => void;
}

test("signals for those who were introduced at an earlier visit to the tracker are not sent", async () => {
  const sockets: Socket[] = [];
  const wires: Callbacks[] = [];
  const config = {
    trackerUrl: "wss://t.test/tracker",
    tokenUrl: "https://o.test/token",
    maxNeighbours: 8,
    upload: true,
    connect: (_: boolean, callbacks: Callbacks) => {
      wires.push(callbacks);
      return { bufferedAmount: 0, roundTripMs: 0, send: () => true, signal: () => undefined, close: () => undefined };
    },
    environment: {
      fetch: async () => new Response(`{"token":"t"}`),
      random: () => 0,
      socket: () => {
        const socket: Socket & { send(text: string): void; close(): void } = {
          readyState: 1,
          sent: [],
          send: (text) => void socket.sent.push(JSON.parse(text) as { type: string }),
          close: () => socket.onclose?.(),
        };
        sockets.push(socket);
        return socket as unknown as WebSocket;
      },
    },
  };
  const swarm = new Swarm(config, { playing: () => [], renditions: () => [], event: () => undefined } as unknown as SwarmHost, new Store(1000));
  const visit = async (peer: string) => {
    const count = sockets.length + 1;
    await until("a visit", () => sockets.length === count && sockets[count - 1].onmessage !== undefined);
    const socket = sockets[count - 1];
    const say = (m: object) => socket.onmessage!({ data: JSON.stringify(m) });
    say({ type: "welcome", id: "00c0ffee00c0ffee", reportMs: 5000, viewers: 1 });
    say({ type: "neighbour", id: peer, offer: true });
    return socket;
  };
  const candidate = { kind: "candidate", ufrag: "abcd", candidates: ["candidate:1 1 udp 1 192.0.2.1 9 typ host"] } as const;

  const waiting = visit("00000000000000aa");
  swarm.start();
  const first = await waiting;
  wires[0].signal(candidate as never);
  first.readyState = 3;
  first.onclose!();
  const second = await visit("00000000000000bb");
  wires[0].signal(candidate as never);
  wires[1].signal(candidate as never);
  swarm.stop();
  const told = (socket: Socket) => socket.sent.filter((m) => m.type === "signal").map((m) => m.to);
  expect([told(first), told(second)]).toEqual([["00000000000000aa"], ["00000000000000bb"]]);
});

test("what the tracker allows is told to the scheduler in whole bytes, and each visit begins without", async () => {
  const room = new Room();
  const told: number[] = [];
  const host = {
    playing: () => [],
    renditions: () => [],
    passesOn: () => true,
    event: (e: Event) => void (e.kind === Kind.Cap && told.push(e.value)),
  };
  const swarm = new Swarm(room.enter(), host as unknown as SwarmHost, new Store(1000));
  swarm.start();
  await until("the welcome", () => told.length > 0);
  room.cap(0, 1_000_001);
  room.cap(0, 0);
  expect(told).toEqual([0, 125_001, 0]);
  swarm.stop();
});
