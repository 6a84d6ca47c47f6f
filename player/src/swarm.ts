// The session's part in the swarm: the tracker, what it says, what it is told,
// and the neighbours that it introduces.

import type { IceServer, Message, Report, Share } from "./announce";
import type { Turn } from "./feed";
import { Neighbours, type NeighboursHost } from "./neighbours";
import type { Connector } from "./channel";
import { turnOf, type Carried, type Rendition } from "./objects";
import { event, Kind, stripe, type Action } from "./sched";
import type { Store } from "./store";
import { TrackerClient, type TrackerEnvironment } from "./tracker";
import { pieceCount, pieceLeaves } from "./wire";

const REPORT_MS = 5000;

export interface SwarmConfig {
  trackerUrl: string;
  tokenUrl: string;
  connect: Connector;
  /** See TrackerConfig. */
  fingerprint?: () => Promise<string>;
  /** How to connect from now on. */
  ice?: (servers: IceServer[], relayOnly: boolean) => void;
  maxNeighbours: number;
  /** Whether leaves are announced and served. A viewer that uploads nothing is no use for a duty. */
  upload: boolean;
  environment?: TrackerEnvironment;
}

/** What the tracker is told about the viewer. */
export type Account = Omit<
  Report,
  "type" | "ready" | "noUpload" | "neighbours" | "renditions" | "rescues" | "dropped" | "rtts"
>;

export interface SwarmHost extends Omit<NeighboursHost, "signal"> {
  /** Whether a duty would be of use. */
  useful(): boolean;
  renditions(): readonly Rendition[];
  /** Names of the renditions that are played now. */
  playing(): string[];
  account(): Account;
}

export class Swarm {
  readonly neighbours: Neighbours;
  private readonly tracker: TrackerClient;
  private started = false;
  private joined = false;
  /** Counts the visits to the tracker: it introduces viewers anew at each. */
  private visit = 0;
  private everyMs = REPORT_MS;
  private reportedMs = 0;
  private reported = "";
  private duties: readonly Share[] = [];
  private dealt = false; // a tracker has dealt duties, to us or to others
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
        fingerprint: config.fingerprint,
        renditions: () => host.playing(),
        line: () => ({ noUpload: !host.passesOn(), uplinkBps: this.uplinkBps }),
        heard: (message) => this.heard(message),
        away: () => (this.joined = false), // the neighbours stay
      },
      config.environment,
    );
  }

  /** Looks for neighbours, from the first call on. */
  start(): void {
    if (this.started) return;
    this.started = true;
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
    const piece = Math.trunc(leaf / pieceLeaves(o.leaves));
    if (!this.onDuty(o.rendition.name, stripe(piece, pieceCount(o.leaves), turnOf(o.record)))) this.rescues++;
  }

  /**
   * Whose turn it is to look for a segment or part, by what rotates its stripes: ours at once if we have the duty for its first piece, otherwise after those
   * neighbours that draw a lower lot. Where a tracker has dealt duties somebody has this one, so even the lowest waits.
   */
  turn(rendition: string, sequence: number): Turn {
    if (this.onDuty(rendition, stripe(0, 1, sequence))) return { rank: 0, among: 1 + this.neighbours.open };
    const turn = this.neighbours.turn(sequence);
    return this.dealt && turn.among > 1 ? { ...turn, rank: turn.rank + 1 } : turn;
  }

  /** Whether a stripe is ours to fetch. */
  onDuty(rendition: string, stripe: number): boolean {
    const stripes = this.duties.find((d) => d.rendition === rendition)?.stripes ?? 0;
    return ((stripes >> stripe) & 1) !== 0;
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
        this.config.ice?.(m.iceServers ?? [], m.relayOnly ?? false);
        this.assigned([]); // the duties of another visit are dealt anew
        this.host.event(event(Kind.Cap)); // and there is no cap yet
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
      case "cap":
        this.host.event(event(Kind.Cap, { value: Math.ceil(m.uploadBps / 8) }));
        break;
      case "gone": // otherwise the connection may go on; if it does not, it will tell
        if (m.close) this.neighbours.part(m.id);
        break;
    }
  }

  private assigned(duties: readonly Share[]): void {
    this.dealt = true;
    this.duties = duties;
    for (const r of this.host.renditions()) {
      const value = duties.find((d) => d.rendition === r.name)?.stripes ?? 0;
      this.host.event(event(Kind.Duty, { rendition: r.id, value }));
    }
  }

  /** Regularly, and at once when something changed that duties or neighbours depend on. */
  private report(nowMs: number): void {
    if (!this.joined) return;
    const neighbours = this.neighbours.open;
    const ready = neighbours > 0 && this.host.useful();
    const renditions = this.host.playing();
    const noUpload = !this.host.passesOn();
    const urgent = `${ready} ${noUpload} ${renditions.join()}`;
    if (nowMs - this.reportedMs < this.everyMs && urgent === this.reported && !this.neighbours.hasDrops) return;
    const dropped = this.neighbours.takeDrops();
    const { rescues } = this;
    const account = this.host.account();
    this.uplinkBps = account.uplinkBps;
    const rtts = this.neighbours.roundTrips();
    if (!this.tracker.send({ type: "report", ready, noUpload, neighbours, renditions, ...account, rescues, dropped, rtts })) return;
    this.reportedMs = nowMs;
    this.reported = urgent;
  }
}
