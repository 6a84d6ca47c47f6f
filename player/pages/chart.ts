// A small stacked area chart as inline SVG: bytes per second from each other
// below, from the CDN on top.

import { formatBytes } from "../src/overlay";

const WIDTH = 600;
const HEIGHT = 160;
const KEEP_POINTS = 150;
const WINDOW_MS = 10_000;

export interface Point {
  atMs: number;
  /** Bytes per second. */
  p2p: number;
  http: number;
}

/**
 * Turns totals into rates. Viewers report every few seconds, so a rate is that of
 * the last WINDOW_MS; totals fall when a viewer leaves, which is no negative rate.
 */
export class Rates {
  readonly points: Point[] = [];
  private last: { atMs: number; p2p: number; http: number } | undefined;
  private gains: { fromMs: number; toMs: number; p2p: number; http: number }[] = [];

  add(atMs: number, p2p: number, http: number): void {
    const last = this.last;
    if (last && atMs <= last.atMs) return;
    this.last = { atMs, p2p, http };
    if (!last) return;
    const gained = (now: number, before: number) => Math.max(0, now - before);
    this.gains.push({ fromMs: last.atMs, toMs: atMs, p2p: gained(p2p, last.p2p), http: gained(http, last.http) });
    this.gains = this.gains.filter((g) => g.fromMs >= atMs - WINDOW_MS || g.toMs === atMs);
    const seconds = (atMs - this.gains[0].fromMs) / 1000;
    const rate = (of: "p2p" | "http") => this.gains.reduce((sum, g) => sum + g[of], 0) / seconds;
    this.points.push({ atMs, p2p: rate("p2p"), http: rate("http") });
    if (this.points.length > KEEP_POINTS) this.points.shift();
  }
}

export class Chart {
  readonly element = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  private readonly p2p = path("var(--accent)");
  private readonly http = path("var(--cdn)");

  constructor() {
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", "Bytes per second from each other and from the CDN over time");
    this.element.append(this.http, this.p2p);
  }

  /** Draws the points, and says what the top of the chart stands for. */
  draw(points: readonly Point[]): string {
    const top = Math.max(1, ...points.map((p) => p.p2p + p.http));
    this.p2p.setAttribute("d", area(points.map((p) => p.p2p / top)));
    this.http.setAttribute("d", area(points.map((p) => (p.p2p + p.http) / top)));
    return points.length > 1 ? `top: ${formatBytes(Math.round(top))}/s` : "measuring…";
  }
}

/** An area from the left to the right edge, its heights from 0 to 1. */
export function area(heights: readonly number[]): string {
  if (heights.length < 2) return "";
  const step = WIDTH / (heights.length - 1);
  const line = heights.map((h, i) => `L${(i * step).toFixed(1)} ${(HEIGHT * (1 - h * 0.96)).toFixed(1)}`).join("");
  return `M0 ${HEIGHT}${line}L${WIDTH} ${HEIGHT}Z`;
}

function path(fill: string): SVGPathElement {
  const p = document.createElementNS("http://www.w3.org/2000/svg", "path");
  p.setAttribute("fill", fill);
  p.setAttribute("fill-opacity", "0.85");
  return p;
}
