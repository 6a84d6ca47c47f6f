// The element as an operator would put it into a page.
import "/player/player.js";
import { errors, options, playlist } from "./page.js";

const player = document.createElement("slipstream-player");
for (const [name, value] of Object.entries({ src: playlist, channel: options.get("channel"), autoplay: "", muted: "" })) {
	player.setAttribute(name, value);
}
for (const type of ["error", "refusal"]) player.addEventListener(type, (event) => errors.push(`${type}: ${JSON.stringify(event.detail)}`));
window.ownStats = () => player.stats;
document.body.append(player);
