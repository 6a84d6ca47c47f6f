// The watch page /watch/<channel>. Options in the address: ?p2p=off, ?stats=on,
// ?muted, ?dvr to go back in time, ?id=<channel id> to insist on a channel.

const player = document.querySelector("slipstream-player")!;
const query = new URLSearchParams(location.search);
const channel = decodeURIComponent(/\/watch\/([^/]+)/.exec(location.pathname)?.[1] ?? "");

document.title = `${channel} – Slipstream`;
document.getElementById("name")!.textContent = channel;
if (query.get("p2p") === "off") {
  player.setAttribute("p2p", "off");
  const link = document.getElementById("p2p") as HTMLAnchorElement;
  link.textContent = "Watch with other viewers";
  link.href = location.pathname;
}
for (const name of ["muted", "dvr"]) if (query.has(name)) player.setAttribute(name, "");
if (query.has("id")) player.setAttribute("channel", query.get("id")!);
player.setAttribute("src", `/live/${encodeURIComponent(channel)}/index.m3u8`);
if (query.get("stats") === "on") {
  void customElements.whenDefined("slipstream-player").then(() => (player as unknown as { toggleStats(): void }).toggleStats());
}
