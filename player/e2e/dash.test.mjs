// DASH players and ffprobe accept the MPD as the origin serves it, also when the publisher goes away and returns.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { test } from "node:test";
import { seen, site } from "./dash-pages.mjs";
import { launch, live, open, pause, publish, startChannel, until } from "./harness.mjs";

const run = promisify(execFile);

test("dash.js and Shaka play the MPD without a break, ffprobe reads it, and a hole in it is played across", async (t) => {
	const channel = await startChannel(t, ["--source=none"]);
	const [, key] = await channel.program.says(/stream key (\S+)/);
	const target = `rtmp://127.0.0.1:${channel.rtmp}/live/${key}`;
	const publisher = publish(t, target);
	await live(channel);
	const mpd = `${channel.base}/live/demo/manifest.mpd`;

	const browser = await launch(t);
	const base = await site(t, mpd);
	const players = [];
	for (const name of ["dashjs", "shaka"]) players.push([name, await open(browser, `${base}/${name}.html`)]);

	await t.test("both play for 10 s, with sound, as far behind live as the MPD suggests", async (t) => {
		for (const [name, page] of players) {
			await until(async () => (await seen(page)).time > 0, 20_000, async () => `${name} does not start: ${JSON.stringify(await seen(page))} ${page.complaints}`);
		}
		await pause(3_000); // they may settle at their distance from live
		const before = await Promise.all(players.map(([, page]) => seen(page)));
		await pause(10_000);
		const after = await Promise.all(players.map(([, page]) => seen(page)));
		for (const [i, [name, page]] of players.entries()) {
			const [from, to] = [before[i], after[i]];
			t.diagnostic(`${name}: ${JSON.stringify(to)}`);
			assert.ok(to.time - from.time > 9, `${name} played ${to.time - from.time} s in 10 s`);
			assert.equal(to.waits, from.waits, `${name} had to wait`);
			assert.ok(to.frames - from.frames > 265, `${name} showed ${to.frames - from.frames} frames in 10 s`);
			assert.ok(to.audioBytes - from.audioBytes > 65_000, `${name} decoded ${to.audioBytes - from.audioBytes} bytes of sound in 10 s`);
			// Presentation time is the encoder's clock. Three segments, and what a player keeps beside them.
			assert.ok(to.behind > 3 && to.behind < 12, `${name} is ${to.behind} s behind live`);
			assert.deepEqual(to.errors, []);
			assert.deepEqual(page.complaints, []);
		}
	});

	await t.test("ffprobe reads it without a complaint", () => probed(mpd));

	await t.test("the publisher is away for seconds and returns without sound: both go on behind the hole, with silence", async (t) => {
		publisher.kill("SIGKILL");
		await pause(6_000);
		publish(t, target, { sound: false });
		const away = Date.now() / 1000;
		for (const [name, page] of players) {
			await until(async () => (await seen(page)).time > away + 5, 45_000, async () => `${name} does not go on: ${away} ${JSON.stringify(await seen(page))} ${page.complaints}`);
			t.diagnostic(`${name}: ${JSON.stringify(await seen(page))}`);
		}
		await probed(mpd);
	});
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
