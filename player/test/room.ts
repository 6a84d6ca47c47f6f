// A room without a network: a tracker and wires between viewers, in memory.

import type { Message } from "../src/announce";
import type { Bytes } from "../src/bytes";
import type { Callbacks, Connection, Connector } from "../src/channel";
import { encode, unbundle, type Message as WireMessage } from "../src/wire";

const TRACKER = "wss://t.test/tracker";

/** Tracker and wires between viewers: whoever enters is introduced to those who are there. */
export class Room {
  readonly reports: Message[] = [];
  /** Tokens that were asked for. */
  tokens = 0;
  private readonly members: { id: string; say: (m: Message) => void }[] = [];
  private readonly ends = new Map<string, MemoryEnd>();
  /** May replace what one viewer sends to another. */
  onWire: (from: string, m: WireMessage) => WireMessage | undefined = (_, m) => m;

  enter() {
    const id = (this.members.length + 1).toString(16).padStart(16, "0");
    const member = { id, say: (_: Message) => undefined as void };
    this.members.push(member);
    const socket = {
      readyState: 1,
      send: (text: string) => this.heard(member, JSON.parse(text) as Message),
      close: () => undefined,
    } as unknown as WebSocket;
    member.say = (m) => void socket.onmessage?.({ data: JSON.stringify(m) } as MessageEvent);
    const pending: { peer: string; end: MemoryEnd }[] = [];
    let next = 0;
    const connect: Connector = (_, callbacks) => {
      const peer = this.introduced.get(id)![next++];
      const end = new MemoryEnd(callbacks, (m) => this.onWire(id, m));
      pending.push({ peer, end });
      this.ends.set(`${id}>${peer}`, end);
      const other = this.ends.get(`${peer}>${id}`);
      if (other) end.pair(other);
      return end;
    };
    return {
      trackerUrl: TRACKER,
      tokenUrl: "https://o.test/token",
      connect,
      maxNeighbours: 8,
      upload: true,
      environment: {
        fetch: async () => {
          this.tokens++;
          return new Response(`{"token":"t"}`);
        },
        socket: () => {
          queueMicrotask(() => socket.onopen?.({} as Event));
          return socket;
        },
        random: () => 0,
      },
    };
  }

  /** Who each viewer was told of, in order. */
  private readonly introduced = new Map<string, string[]>();

  private heard(member: { id: string; say: (m: Message) => void }, m: Message): void {
    if (m.type === "report") this.reports.push(m);
    if (m.type !== "join") return;
    this.introduced.set(member.id, []);
    member.say({ type: "welcome", id: member.id, reportMs: 1000, viewers: this.members.length });
    for (const other of this.members) {
      if (other === member || !this.introduced.has(other.id)) continue;
      for (const [a, b] of [
        [member, other],
        [other, member],
      ]) {
        this.introduced.get(a.id)!.push(b.id);
        a.say({ type: "neighbour", id: b.id, offer: a === member });
      }
    }
  }

  duty(index: number, stripes: number): void {
    this.members[index].say({ type: "duty", duties: stripes ? [{ rendition: "360p", stripes }] : [] });
  }

  cap(index: number, uploadBps: number): void {
    this.members[index].say({ type: "cap", uploadBps });
  }
}

class MemoryEnd implements Connection {
  bufferedAmount = 0;
  roundTripMs = 0;
  private other: MemoryEnd | undefined;

  constructor(
    private readonly callbacks: Callbacks,
    private readonly onWire: (m: WireMessage) => WireMessage | undefined,
  ) {}

  pair(other: MemoryEnd): void {
    this.other = other;
    other.other = this;
    for (const end of [this, other]) setTimeout(() => end.callbacks.open(), 1);
  }

  send(b: Bytes): boolean {
    const other = this.other;
    for (const said of unbundle(b)) {
      const m = this.onWire(said);
      if (m && other) setTimeout(() => other.callbacks.message(encode(m)), 1);
    }
    return other !== undefined;
  }

  signal(): void {}

  close(): void {
    const other = this.other;
    this.other = undefined;
    if (!other) return;
    other.other = undefined;
    setTimeout(() => other.callbacks.closed("the other side closed it"), 1);
  }
}
