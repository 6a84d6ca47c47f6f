// The front page: the channels that are here.

import { getOriginStats } from "./reports";

const list = document.getElementById("channels")!;

async function show(): Promise<void> {
  try {
    const { channels } = await getOriginStats();
    list.replaceChildren(...channels.map((c) => entry(c.name, c.publisher.connected)));
    if (channels.length === 0) list.textContent = "This origin has no channel.";
  } catch (error) {
    list.textContent = (error as Error).message;
  }
}

function entry(name: string, onAir: boolean): HTMLElement {
  const heading = document.createElement("h2");
  const link = document.createElement("a");
  const badge = document.createElement("span");
  link.href = `/watch/${encodeURIComponent(name)}`;
  link.textContent = name;
  badge.className = onAir ? "badge on" : "badge";
  badge.textContent = onAir ? "on air" : "off air";
  heading.append(link, badge);
  const section = document.createElement("section");
  section.className = "channel";
  section.append(heading);
  return section;
}

void show();
setInterval(() => void show(), 5000);
