// The statistics page: publisher, viewers, and where the bytes come from, now and
// over the last minutes.

import { formatBytes } from "../src/overlay";
import { Chart, Rates } from "./chart";
import { getOriginStats, getTrackerStats, type OriginChannel, type Room } from "./reports";

const POLL_MS = 2000;

const main = document.getElementById("channels")!;
const errors = document.getElementById("error")!;
const views = new Map<string, ChannelView>();

async function poll(): Promise<void> {
  const [origin, tracker] = await Promise.allSettled([getOriginStats(), getTrackerStats()]);
  errors.textContent = [origin, tracker].map((r) => (r.status === "rejected" ? r.reason.message : "")).join(" ").trim();
  if (origin.status === "rejected") return;
  const rooms = tracker.status === "fulfilled" ? tracker.value.rooms : [];
  for (const channel of origin.value.channels) {
    let view = views.get(channel.name);
    if (!view) {
      view = new ChannelView();
      views.set(channel.name, view);
      main.append(view.element);
    }
    view.show(channel, rooms.find((r) => r.channel === channel.id), origin.value.nowMs);
  }
}

class ChannelView {
  readonly element = document.createElement("section");
  private readonly chart = new Chart();
  private readonly rates = new Rates();

  constructor() {
    this.element.className = "channel";
    this.element.innerHTML = `
      <h2><a></a><span class="badge"></span></h2>
      <p class="id"></p>
      <div class="cards"></div>
      <div class="panel"><h3>Viewers receive, per second</h3>
        <div class="legend"><span><i style="background:var(--accent)"></i>from each other</span>
        <span><i style="background:var(--cdn)"></i>from the CDN</span><span data-max></span></div></div>
      <div class="panel" style="margin-top:12px"><table><thead><tr><th>Rendition</th><th>Picture</th><th>Average</th>
        <th>Peak</th><th>Newest segment</th><th>Age</th><th>In memory</th></tr></thead><tbody></tbody></table></div>`;
    this.find(".panel").append(this.chart.element);
  }

  show(channel: OriginChannel, room: Room | undefined, nowMs: number): void {
    const link = this.find("a") as HTMLAnchorElement;
    link.textContent = channel.name;
    link.href = `/watch/${encodeURIComponent(channel.name)}`;
    const { connected, sinceMs } = channel.publisher;
    this.find(".badge").className = connected ? "badge on" : "badge";
    this.find(".badge").textContent = `${connected ? "on air" : "off air"} ${duration(nowMs - sinceMs)}`;
    this.find(".id").textContent = `Channel ${channel.id}`;
    this.find(".cards").replaceChildren(...cards(channel, room).map(card));
    this.find("tbody").replaceChildren(...channel.renditions.map(renditionRow));
    if (!room) return;
    this.rates.add(nowMs, room.p2pBytes, room.httpBytes);
    this.find("[data-max]").textContent = this.chart.draw(this.rates.points);
  }

  private find(selector: string): HTMLElement {
    return this.element.querySelector<HTMLElement>(selector)!;
  }
}

function cards(channel: OriginChannel, room: Room | undefined): [string, string][] {
  const sent = ["segment", "init", "leaves"].reduce((sum, kind) => sum + (channel.http[kind]?.bytes ?? 0), 0);
  if (!room) {
    return [
      ["Viewers in the swarm", "0"],
      ["Media sent by the origin", formatBytes(sent)],
    ];
  }
  return [
    ["Viewers in the swarm", String(room.viewers)],
    ["Seeders", String(room.seeders)],
    ["Offload", `${Math.round(room.offload * 100)} %`],
    ["From each other", formatBytes(room.p2pBytes)],
    ["From the CDN", formatBytes(room.httpBytes)],
    ["Media sent by the origin", formatBytes(sent)],
    ["Neighbours, mean", room.neighboursMean.toFixed(1)],
    ["Live latency, mean", `${(room.latencyMsMean / 1000).toFixed(1)} s`],
    ["Stalls", room.stalls ? `${room.stalls} (${(room.stallMs / 1000).toFixed(1)} s)` : "0"],
  ];
}

function card([name, value]: [string, string]): HTMLElement {
  const box = document.createElement("div");
  box.className = "card";
  const number = document.createElement("b");
  const label = document.createElement("span");
  number.textContent = value;
  label.textContent = name;
  box.append(number, label);
  return box;
}

function renditionRow(r: OriginChannel["renditions"][number]): HTMLElement {
  const row = document.createElement("tr");
  const values = [
    r.name,
    r.width ? `${r.width} × ${r.height}` : "–",
    bitrate(r.averageBps),
    bitrate(r.peakBps),
    r.number < 0 ? "–" : String(r.number),
    r.ageMs < 0 ? "–" : `${(r.ageMs / 1000).toFixed(1)} s`,
    String(r.segments),
  ];
  for (const value of values) {
    const cell = document.createElement("td");
    cell.textContent = value;
    row.append(cell);
  }
  return row;
}

function bitrate(bps: number): string {
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(2)} Mb/s` : `${Math.round(bps / 1000)} kb/s`;
}

function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `for ${Math.max(0, Math.floor(ms / 1000))} s`;
  return minutes < 60 ? `for ${minutes} min` : `for ${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

void poll();
setInterval(() => void poll(), POLL_MS);
