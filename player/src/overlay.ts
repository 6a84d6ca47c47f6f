// The statistics overlay: what the player does, in words that a viewer can read.

import type { Stats } from "./engine";

export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 999.5 && unit < units.length - 1);
  const decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(decimals)} ${units[unit]}`;
}

/** Share of the media bytes that came from other viewers, 0 to 1. */
export function offload(stats: Stats): number {
  const all = stats.httpBytes + stats.p2pBytes;
  return all > 0 ? stats.p2pBytes / all : 0;
}

function requests({ requests: { playlist, list, media, other } }: Stats): string {
  return `${playlist} playlists, ${media} media, ${list + other} other`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** What the overlay shows, as pairs of name and value. */
export function statRows(s: Stats): [string, string][] {
  return [
    ["From CDN", formatBytes(s.httpBytes)],
    ["From peers", formatBytes(s.p2pBytes)],
    ["To peers", formatBytes(s.uploadedBytes)],
    ["Offload", `${Math.round(offload(s) * 100)} %`],
    ["Peers", String(s.peers)],
    ["Live latency", s.latencyMs ? seconds(s.latencyMs) : "–"],
    ["Verified leaves", String(s.verifiedLeaves)],
    ["Rejected leaves", String(s.rejectedLeaves)],
    ["Level", s.level || "–"],
    ["Startup", s.startupMs ? seconds(s.startupMs) : "–"],
    ["Stalls", s.stalls ? `${s.stalls} (${seconds(s.stallMs)})` : "0"],
    ["Playlists", formatBytes(s.playlistBytes)],
    ["CDN requests", requests(s)],
    ["State", s.state],
  ];
}

export class Overlay {
  readonly element = document.createElement("section");
  private readonly values: HTMLElement[] = [];
  private readonly bar = document.createElement("i");
  private readonly note = document.createElement("p");

  constructor() {
    this.element.className = "stats";
    this.element.hidden = true;
    this.element.setAttribute("aria-label", "Statistics");
    const title = document.createElement("h2");
    title.textContent = "Slipstream";
    const shares = document.createElement("div");
    shares.className = "shares";
    shares.append(this.bar);
    this.note.className = "id";
    this.element.append(title, shares, document.createElement("dl"), this.note);
  }

  get visible(): boolean {
    return !this.element.hidden;
  }

  set visible(visible: boolean) {
    this.element.hidden = !visible;
  }

  update(stats: Stats, note: string): void {
    if (!this.visible) return;
    const rows = statRows(stats);
    if (this.values.length === 0) {
      const list = this.element.querySelector("dl")!;
      for (const [name] of rows) {
        const term = document.createElement("dt");
        const value = document.createElement("dd");
        term.textContent = name;
        list.append(term, value);
        this.values.push(value);
      }
    }
    rows.forEach(([, value], i) => (this.values[i].textContent = value));
    this.bar.style.width = `${offload(stats) * 100}%`;
    this.note.textContent = note;
  }
}
