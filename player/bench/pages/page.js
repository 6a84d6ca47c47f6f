// What the pages of all systems share: their options come in the address.
export const options = new URLSearchParams(location.search);
export const playlist = options.get("playlist");
/** What the player complained of. */
export const errors = (window.playerErrors = []);

export function video() {
	const element = document.createElement("video");
	element.muted = element.autoplay = element.playsInline = true;
	document.body.append(element);
	return element;
}
