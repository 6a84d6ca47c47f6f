// The session's part in the swarm: the tracker, what it says, what it is told,
// and the neighbours that it introduces.

import type { Message, Report, Share } from "./announce";
import { Neighbours, type NeighboursHost } from "./neighbours";
import type { Carried, Rendition } from "./objects";
import type { Connector } from "./channel";
import { event, Kind, type Action } from "./sched";
import { stripe } from "./sched/piece";
import type { Store } from "./store";
import { TrackerClient, type TrackerEnvironment } from "./tracker";
import { pieceCount, pieceLeaves } from "./wire";

const REPORT_MS = 5000;

export interface SwarmConfig {
  trackerUrl: string;
  tokenUrl: string;
  connect: Connector;
  maxNeighbours: number;
  /** Whether leaves are announced and served. A viewer that uploads nothing is no use for a duty. */
  upload: boolean;
  environment?: TrackerEnvironment;
}

/** What the tracker is told about the viewer. */
export type Account = Omit<
  Report,
  "type" | "ready" | "noUpload" | "neighbours" | "renditions" | "rescues" | "dropped"
>;

export interface SwarmHost extends Omit<NeighboursHost, "signal"> {
  renditions(): readonly Rendition[];
  /** Names of the renditions that are played now. */
  playing(): string[];
  account(): Account;
}

export class Swarm {
  readonly neighbours: Neighbours;
  private readonly tracker: TrackerClient;
  private joined = false;
  /** Counts the visits to the tracker: it introduces viewers anew at each. */
  private visit = 0;
  /** Stripes that are ours to fetch, by rendition. */
  readonly duties = new Map<number, number>();
  private everyMs = REPORT_MS;
  private reportedMs = 0;
  private reported = "";
  private rescues = 0;
  private uplinkBps = 0;

  constructor(
    private readonly config: SwarmConfig,
    private readonly host: SwarmHost,
    store: Store,
  ) {
    const signal: NeighboursHost["signal"] = (to, s, visit) => {
      if (visit === this.visit) this.tracker.send({ type: "signal", to, signal: s });
    };
    this.neighbours = new Neighbours({ ...host, signal }, store, config.connect, config.maxNeighbours, config.upload);
    this.tracker = new TrackerClient(
      {
        url: config.trackerUrl,
        tokenUrl: config.tokenUrl,
        role: "viewer",
        renditions: () => host.playing(),
        line: () => ({ noUpload: !config.upload, uplinkBps: this.uplinkBps }),
        heard: (message) => this.heard(message),
        away: () => (this.joined = false), // the neighbours stay
      },
      config.environment,
    );
  }

  start(): void {
    this.tracker.start();
  }

  stop(): void {
    this.tracker.stop();
    this.neighbours.closeAll("leaving");
  }

  run(actions: readonly Action[]): void {
    this.neighbours.run(actions);
  }

  /** Books a leaf from the CDN: a rescue, if it was no duty and a neighbour could have brought it. */
  fetched(o: Carried, leaf: number): void {
    if (!this.joined || this.neighbours.open === 0) return;
    const duty = this.duties.get(o.rendition.id) ?? 0;
    const piece = Math.trunc(leaf / pieceLeaves(o.leaves));
    if (((duty >> stripe(piece, pieceCount(o.leaves), o.record.sequence)) & 1) === 0) this.rescues++;
  }

  tick(nowMs: number): void {
    this.neighbours.tick(performance.now());
    this.report(nowMs);
  }

  private heard(m: Message): void {
    switch (m.type) {
      case "welcome":
        this.joined = true;
        this.visit++;
        this.everyMs = m.reportMs;
        this.reportedMs = 0;
        this.assigned([]); // the duties of another visit are dealt anew
        break;
      case "neighbour":
        this.neighbours.meet(m.id, m.offer, this.visit);
        break;
      case "signal":
        if ("from" in m) this.neighbours.signalled(m.from, m.signal, this.visit);
        break;
      case "duty":
        this.assigned(m.duties);
        break;
      // gone: the connection may go on; if it does not, it will tell.
    }
  }

  private assigned(duties: readonly Share[]): void {
    for (const r of this.host.renditions()) {
      const value = duties.find((d) => d.rendition === r.name)?.stripes ?? 0;
      this.duties.set(r.id, value);
      this.host.event(event(Kind.Duty, { rendition: r.id, value }));
    }
  }

  /** Regularly, and at once when something changed that duties or neighbours depend on. */
  private report(nowMs: number): void {
    if (!this.joined) return;
    const neighbours = this.neighbours.open;
    const ready = neighbours > 0;
    const renditions = this.host.playing();
    const urgent = `${ready} ${renditions.join()}`;
    if (nowMs - this.reportedMs < this.everyMs && urgent === this.reported && !this.neighbours.hasDrops) return;
    const dropped = this.neighbours.takeDrops();
    const { rescues } = this;
    const noUpload = !this.config.upload;
    const account = this.host.account();
    this.uplinkBps = account.uplinkBps;
    if (!this.tracker.send({ type: "report", ready, noUpload, neighbours, renditions, ...account, rescues, dropped })) return;
    this.reportedMs = nowMs;
    this.reported = urgent;
  }
}
