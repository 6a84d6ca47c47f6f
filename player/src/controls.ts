// The control bar and what lies over the picture: play, mute, the live badge, the
// choice of quality, statistics, fullscreen; the unmute button, the notice.

import { STYLE } from "./style";

const ICONS = {
  play: "M8 5v14l11-7z",
  pause: "M6 5h4v14H6zm8 0h4v14h-4z",
  loud: "M4 9v6h4l5 5V4L8 9zm12.5 3A4.5 4.5 0 0 0 14 8v8a4.5 4.5 0 0 0 2.5-4zM14 3.2v2.1a7 7 0 0 1 0 13.4v2.1a9 9 0 0 0 0-17.6z",
  mute: "M4 9v6h4l5 5V4L8 9zm17 .4L19.6 8 17 10.6 14.4 8 13 9.4l2.6 2.6L13 14.6l1.4 1.4 2.6-2.6 2.6 2.6 1.4-1.4-2.6-2.6z",
  stats: "M4 20V10h4v10zm6 0V4h4v16zm6 0v-7h4v7z",
  full: "M5 5h6v2H7v4H5zm8 0h6v6h-2V7h-4zM5 13h2v4h4v2H5zm12 0h2v6h-6v-2h4z",
} as const;

type Icon = keyof typeof ICONS;

export interface ControlsHost {
  togglePlay(): void;
  toggleMute(): void;
  toggleStats(): void;
  toggleFullscreen(): void;
  goLive(): void;
  /** Seconds of media time. */
  seek(time: number): void;
  unmute(): void;
  /** -1: automatic. */
  chooseLevel(level: number): void;
}

export class Controls {
  readonly bar = document.createElement("div");
  readonly middle = document.createElement("div");
  readonly unmute: HTMLButtonElement;
  private readonly play: HTMLButtonElement;
  private readonly mute: HTMLButtonElement;
  private readonly live: HTMLButtonElement;
  private readonly timeline = document.createElement("input");
  private readonly share = document.createElement("span");
  private readonly levels = document.createElement("select");
  private readonly big: HTMLButtonElement;
  private readonly spinner = document.createElement("div");
  private readonly notice = document.createElement("p");

  constructor(host: ControlsHost) {
    this.play = button("play", "Play", () => host.togglePlay());
    this.mute = button("loud", "Mute", () => host.toggleMute());
    this.live = button(undefined, "Go to live", () => host.goLive());
    this.live.className = "live";
    this.live.textContent = "LIVE";
    this.timeline.type = "range";
    this.timeline.step = "any";
    this.timeline.hidden = true;
    this.timeline.setAttribute("aria-label", "Position");
    this.timeline.onchange = () => host.seek(Number(this.timeline.value));
    this.timeline.onclick = (event) => event.stopPropagation();
    this.share.className = "share";
    this.share.title = "Share of the video that came from other viewers";
    this.levels.setAttribute("aria-label", "Quality");
    this.levels.hidden = true;
    this.levels.onchange = () => host.chooseLevel(Number(this.levels.value));
    const space = document.createElement("span");
    space.className = "space";
    const stats = button("stats", "Statistics (s)", () => host.toggleStats());
    const full = button("full", "Fullscreen (f)", () => host.toggleFullscreen());
    this.bar.className = "bar";
    this.bar.append(this.play, this.mute, this.live, this.timeline, this.share, space, this.levels, stats, full);

    this.big = button("play", "Play", () => host.togglePlay());
    this.big.classList.add("big");
    this.spinner.className = "spinner";
    this.spinner.setAttribute("role", "status");
    this.spinner.setAttribute("aria-label", "Loading");
    this.notice.className = "notice";
    this.notice.setAttribute("role", "alert");
    this.notice.hidden = true;
    this.middle.className = "middle";
    this.middle.append(this.spinner, this.big, this.notice);

    this.unmute = button("mute", "Unmute", () => host.unmute());
    this.unmute.className = "unmute";
    this.unmute.append("Tap to unmute");
    this.unmute.hidden = true;
  }

  /** Puts the picture into a shadow root. What lies over it can wait: to lay it out costs a starting page some ms. */
  mount(root: ShadowRoot, video: HTMLVideoElement): void {
    root.append(video);
    if ("adoptedStyleSheets" in root && "replaceSync" in CSSStyleSheet.prototype) {
      const sheet = new CSSStyleSheet(); // allowed under a content security policy without 'unsafe-inline'
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
    } else {
      const style = document.createElement("style");
      style.textContent = STYLE;
      root.prepend(style);
    }
  }

  /** Lays the controls over the picture, and something more below the bar. */
  cover(root: ShadowRoot, more: HTMLElement): void {
    if (!this.bar.parentNode) root.append(this.middle, this.unmute, more, this.bar);
  }

  showPlayback(paused: boolean, muted: boolean, busy: boolean): void {
    setIcon(this.play, paused ? "play" : "pause", paused ? "Play (k)" : "Pause (k)");
    setIcon(this.mute, muted ? "mute" : "loud", muted ? "Unmute (m)" : "Mute (m)");
    const said = !this.notice.hidden;
    this.big.hidden = !paused || busy || said;
    this.spinner.hidden = !busy || said;
  }

  showLive(live: boolean, atEdge: boolean): void {
    this.live.hidden = !live;
    this.live.classList.toggle("on", atEdge);
    this.live.title = atEdge ? "Live" : "Go to live";
  }

  /** Where one can seek, if there is a beginning and an end to seek between. */
  showTimeline(range: readonly [start: number, end: number] | undefined, position: number): void {
    const { timeline } = this;
    timeline.hidden = !range;
    if (!range) return;
    const [start, end] = range;
    timeline.min = String(start);
    timeline.max = String(end);
    if (!timeline.matches(":active")) timeline.value = String(position);
    timeline.setAttribute("aria-valuetext", `${Math.round(position - start)} of ${Math.round(end - start)} seconds`);
  }

  showShare(text: string): void {
    this.share.textContent = text;
  }

  /** One sentence over the picture; "" takes it away. */
  say(sentence: string): void {
    if (this.notice.textContent !== sentence) this.notice.textContent = sentence;
    this.notice.hidden = sentence === "";
  }

  offerLevels(names: string[]): void {
    this.levels.hidden = names.length < 2;
    this.levels.replaceChildren(new Option("Auto", "-1"), ...names.map((n, i) => new Option(n, String(i))));
  }
}

function button(icon: Icon | undefined, label: string, click: () => void): HTMLButtonElement {
  const b = document.createElement("button");
  b.type = "button";
  b.setAttribute("aria-label", label);
  if (icon) setIcon(b, icon, label);
  b.addEventListener("click", (event) => {
    event.stopPropagation();
    click();
  });
  return b;
}

function setIcon(b: HTMLButtonElement, icon: Icon, label: string): void {
  if (b.dataset.icon !== icon) {
    b.dataset.icon = icon;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", ICONS[icon]);
    svg.append(path);
    b.querySelector("svg")?.remove();
    b.prepend(svg);
  }
  b.setAttribute("aria-label", label);
  b.title = label;
}
