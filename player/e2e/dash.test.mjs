// DASH players and ffprobe accept the MPD as the origin serves it, also when the publisher goes away and returns.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "node:test";
import { launch, live, open, pause, publish, serveFiles, startChannel, until } from "./harness.mjs";

const run = promisify(execFile);

test("dash.js and Shaka play the MPD without a break, ffprobe reads it, and a hole in it is played across", async (t) => {
	const channel = await startChannel(t, ["--source=none"]);
	const [, key] = await channel.program.says(/stream key (\S+)/);
	const target = `rtmp://127.0.0.1:${channel.rtmp}/live/${key}`;
	const publisher = publish(t, target);
	await live(channel, 5);
	const mpd = `${channel.base}/live/demo/manifest.mpd`;

	const browser = await launch(t);
	const base = await site(t, mpd);
	const players = [];
	for (const name of ["dashjs", "shaka"]) players.push([name, await open(browser, `${base}/${name}.html`)]);

	await t.test("both play for 15 s, with sound, as far behind live as the MPD suggests", async (t) => {
		for (const [name, page] of players) {
			await until(async () => (await seen(page)).time > 0, 20_000, async () => `${name} does not start: ${JSON.stringify(await seen(page))} ${page.complaints}`);
		}
		await pause(4_000); // they may settle at their distance from live
		const before = await Promise.all(players.map(([, page]) => seen(page)));
		await pause(15_000);
		const after = await Promise.all(players.map(([, page]) => seen(page)));
		for (const [i, [name, page]] of players.entries()) {
			const [from, to] = [before[i], after[i]];
			t.diagnostic(`${name}: ${JSON.stringify(to)}`);
			assert.ok(to.time - from.time > 14, `${name} played ${to.time - from.time} s in 15 s`);
			assert.equal(to.waits, from.waits, `${name} had to wait`);
			assert.ok(to.frames - from.frames > 400, `${name} showed ${to.frames - from.frames} frames in 15 s`);
			assert.ok(to.audioBytes - from.audioBytes > 100_000, `${name} decoded ${to.audioBytes - from.audioBytes} bytes of sound in 15 s`);
			// Presentation time is the encoder's clock. Three segments, and what a player keeps beside them.
			assert.ok(to.behind > 3 && to.behind < 12, `${name} is ${to.behind} s behind live`);
			assert.deepEqual(to.errors, []);
			assert.deepEqual(page.complaints, []);
		}
	});

	await t.test("ffprobe reads it without a complaint", () => probed(mpd));

	await t.test("the publisher is away for seconds and returns without sound: both go on behind the hole, with silence", async (t) => {
		publisher.kill("SIGKILL");
		await pause(9_000);
		publish(t, target, { sound: false });
		const away = Date.now() / 1000;
		for (const [name, page] of players) {
			await until(async () => (await seen(page)).time > away + 5, 45_000, async () => `${name} does not go on: ${away} ${JSON.stringify(await seen(page))} ${page.complaints}`);
			t.diagnostic(`${name}: ${JSON.stringify(await seen(page))}`);
		}
		await probed(mpd);
	});
});

test("with parts, dash.js plays segments while they are made, and Shaka plays them as before", async (t) => {
	const channel = await startChannel(t, ["--low-latency"]);
	await live(channel, 2);
	const browser = await launch(t);
	const base = await site(t, `${channel.base}/live/demo/manifest.mpd`);
	// Presentation time is the encoder's clock. Of whole segments the newest is two seconds old, and its successor as long to wait for;
	// Shaka stays as far behind as the MPD suggests to players that do not ask for low latency.
	const players = [];
	for (const [name, most] of [["dashjs", 3.5], ["shaka", 9]]) players.push([name, most, await open(browser, `${base}/${name}.html`)]);
	for (const [name, most, page] of players) {
		await until(async () => { const { time, behind } = await seen(page); return time > 0 && behind < most; }, 30_000,
			async () => `${name} does not get near to live: ${JSON.stringify(await seen(page))} ${page.complaints}`);
	}
	const before = await Promise.all(players.map(([, , page]) => seen(page)));
	await pause(3_000);
	for (const [i, [name, most, page]] of players.entries()) {
		const after = await seen(page);
		t.diagnostic(`${name}: ${JSON.stringify(after)}`);
		assert.ok(after.time - before[i].time > 2.5, `${name} played ${after.time - before[i].time} s in 3 s`);
		assert.equal(after.waits, before[i].waits, `${name} had to wait`);
		assert.ok(after.behind < most + 0.5, `${name} is ${after.behind} s behind live`);
		assert.deepEqual(after.errors, []);
		assert.deepEqual(page.complaints, []);
	}
});

/** ffprobe finds the pictures of two renditions and the sound of one, and no frame is missing or late. */
async function probed(mpd) {
	const { stdout, stderr } = await run("ffprobe", [
		"-v", "warning", "-read_intervals", "%+4", "-show_streams", "-show_packets", "-of", "json", mpd,
	], { maxBuffer: 64 << 20 });
	const { streams, packets } = JSON.parse(stdout);
	assert.deepEqual(streams.map((s) => s.codec_name).sort(), ["aac", "h264", "h264"]);
	assert.deepEqual(streams.filter((s) => s.width).map((s) => `${s.width}x${s.height}`).sort(), ["320x180", "640x360"]);
	for (const stream of streams) {
		const times = packets.filter((p) => p.stream_index === stream.index).map((p) => Number(p.pts_time));
		const expected = stream.codec_name === "aac" ? 1024 / 48_000 : 1 / 30;
		assert.ok(times.length > 60, `only ${times.length} packets of ${stream.codec_name}`);
		for (let i = 1; i < times.length; i++) {
			assert.ok(Math.abs(times[i] - times[i - 1] - expected) < 0.002, `${stream.codec_name} packet ${i} comes ${times[i] - times[i - 1]} s after the one before it`);
		}
	}
	assert.equal(stderr, "");
}

/** What a viewer sees, as the browser counts it. */
const seen = (page) => page.evaluate(() => {
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
async function site(t, mpd) {
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
