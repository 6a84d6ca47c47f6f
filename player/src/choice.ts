// Which of several CDNs is asked; the twin of the Go package peer/cdn, whose comment says how.

const PENALTY_MS = 2000;
const DOUBLINGS = 7;
const FORGIVE_MS = 60_000;
const MAX = 8;

interface Candidate {
  name: string;
  rank: number;
  /** Ill, and not asked before; 0: well. */
  untilMs: number;
  sinceMs: number;
  failures: number;
  probing: boolean;
}

/** One viewer's. CDNs go by their index among the names; -1 is none. */
export class Choice {
  private readonly cdns: Candidate[];

  /** The preferred one first. The spread of penalties is 0 to 999. */
  constructor(
    names: string[],
    private readonly spread: number,
  ) {
    this.cdns = names.slice(0, MAX).map((name, rank) => ({ name, rank, untilMs: 0, sinceMs: 0, failures: 0, probing: false }));
  }

  get count(): number {
    return this.cdns.length;
  }

  /** Puts the CDNs in an order; those that are not named come last. */
  prefer(names: string[]): void {
    this.cdns.forEach((p, i) => {
      p.rank = names.indexOf(p.name);
      if (p.rank < 0) p.rank = names.length + i;
    });
  }

  /** Whom to ask, but for those that were tried for the same thing already (bit i: CDN i). */
  next(tried = 0): number {
    return this.first((_, i) => !((tried >> i) & 1), (p) => p.untilMs);
  }

  failed(nowMs: number, cdn: number): void {
    const p = this.cdns[cdn];
    p.probing = false;
    if (p.untilMs > nowMs) return; // others said so
    if (p.untilMs === 0 && nowMs - p.sinceMs >= FORGIVE_MS) p.failures = 0;
    const penaltyMs = PENALTY_MS * 2 ** Math.min(p.failures, DOUBLINGS);
    p.failures++;
    p.sinceMs = nowMs;
    p.untilMs = nowMs + penaltyMs + Math.trunc((penaltyMs * this.spread) / 2000);
  }

  /** It gave what was asked for at startedMs. What was asked before it fell ill says nothing. */
  worked(startedMs: number, cdn: number): void {
    const p = this.cdns[cdn];
    if (p.untilMs === 0 || startedMs <= p.sinceMs) return;
    p.probing = false;
    p.untilMs = 0;
    p.sinceMs = startedMs;
  }

  /** Who is to be asked whether it is well again; the answer is to be booked. */
  probe(nowMs: number): number {
    const { rank } = this.cdns[this.next()];
    const due = this.first((p) => p.untilMs > 0 && p.untilMs <= nowMs && !p.probing && p.rank < rank, () => 0);
    if (due >= 0) this.cdns[due].probing = true;
    return due;
  }

  /** Of some the one with the least of something, and of several the preferred one. */
  private first(which: (p: Candidate, i: number) => boolean, least: (p: Candidate) => number): number {
    let best = -1;
    this.cdns.forEach((p, i) => {
      const b = this.cdns[best];
      if (which(p, i) && (!b || (least(p) - least(b) || p.rank - b.rank) < 0)) best = i;
    });
    return best;
  }
}
