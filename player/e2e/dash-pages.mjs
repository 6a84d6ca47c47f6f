// Pages with nothing but a DASH player.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { serveFiles } from "./harness.mjs";

/** What a viewer sees, as the browser counts it. */
export const seen = (page) => page.evaluate(() => {
	const video = document.querySelector("video");
	return {
		time: video.currentTime, behind: Date.now() / 1000 - video.currentTime, waits: window.waits,
		frames: video.getVideoPlaybackQuality().totalVideoFrames, audioBytes: video.webkitAudioDecodedByteCount, errors: window.errors,
	};
});

const players = {
	dashjs: {
		file: "dashjs/dist/modern/umd/dash.all.min.js",
		start: `const player = dashjs.MediaPlayer().create();
			player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => window.errors.push(error.message));
			player.initialize(video, mpd, true);`,
	},
	shaka: {
		file: "shaka-player/dist/shaka-player.compiled.js",
		start: `const player = new shaka.Player();
			player.addEventListener("error", ({ detail }) => window.errors.push(String(detail)));
			player.attach(video).then(() => player.load(mpd)).catch((error) => window.errors.push(String(error)));`,
	},
};

/** Pages with nothing but a DASH player, on an origin of their own. */
export async function site(t, mpd) {
	const files = new Map();
	for (const [name, { file, start }] of Object.entries(players)) {
		files.set(`/${name}.js`, ["text/javascript", await readFile(fileURLToPath(new URL(`../node_modules/${file}`, import.meta.url)))]);
		files.set(`/${name}.html`, ["text/html", `<!doctype html><link rel="icon" href="data:,"><video muted autoplay></video><script src="/${name}.js"></script><script>
			window.errors = [];
			window.waits = 0;
			const mpd = ${JSON.stringify(mpd)};
			const video = document.querySelector("video");
			video.addEventListener("waiting", () => window.waits++);
			${start}
		</script>`]);
	}
	return serveFiles(t, files);
}
