// Plain players go back in time as far as the window on disk reaches, also after a restart, and those that know nothing but MPEG-TS play that.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { test } from "node:test";
import { launch, live, open, pause, plainPage, Program, startChannel, until } from "./harness.mjs";

const run = promisify(execFile);
const ourTags = /.*Skip \('#EXT-X-(VERSION|INDEPENDENT|SLIPSTREAM|SERVER|PROGRAM).*\n/g;

test("hls.js seeks back behind the live window and plays MPEG-TS, ffprobe reads both", async (t) => {
	const channel = await startChannel(t, ["--window=10s", "--dvr=2m"]);
	await live(channel, 5);
	const base = `${channel.base}/live/demo`;
	const browser = await launch(t);
	const ts = await open(browser, await plainPage(t, `${base}/ts.m3u8`));
	await segments(`${base}/360p/dvr.m3u8`, 16); // thirty seconds; the live window and its grace have twenty
	const dvr = await open(browser, await plainPage(t, `${base}/dvr.m3u8`));
	await until(async () => (await watched(dvr)).time > 0, 15_000, async () => `hls.js does not start: ${JSON.stringify(await watched(dvr))}`);

	await t.test("back to the first segment, and on to what is new by delta updates", async (t) => {
		await pause(4_500); // two polls
		await dvr.evaluate(() => { document.querySelector("video").currentTime = document.querySelector("video").seekable.start(0) + 0.5; });
		const from = await watched(dvr);
		assert.ok(from.behindMs > 25_000, `only ${from.behindMs} ms behind live`);
		await pause(4_500);
		const to = await watched(dvr);
		t.diagnostic(JSON.stringify(to));
		assert.ok(to.time - from.time > 3.5, `it played ${to.time - from.time} s in 4.5 s`);
		assert.ok(to.skipped > 5, "no delta update was used");
		assert.deepEqual(to.errors, []);
	});

	await t.test("MPEG-TS has played all the while", async (t) => {
		const to = await watched(ts);
		t.diagnostic(JSON.stringify(to));
		assert.ok(to.time > 20, `hls.js has played ${to.time} s of MPEG-TS`);
		assert.equal(to.waits, 0);
		assert.deepEqual(to.errors, []);
	});

	await t.test("ffprobe finds every frame of both at its time", async () => {
		for (const uri of [`${base}/360p/ts.m3u8`, `${base}/360p/dvr.m3u8`]) await probed(uri);
	});

	await t.test("origin verify believes the whole window", async () => {
		const verify = Program.start(t, ["origin", "verify", `${base}/dvr.m3u8`]);
		assert.equal((await verify.ended).code, 0, verify.output);
		assert.match(verify.output, /chapters/);
	});
});

/** Waits until a playlist has that many segments. */
async function segments(url, count) {
	await until(async () => ((await (await fetch(url)).text()).match(/#EXTINF/g)?.length ?? 0) >= count, 40_000, `${url} does not grow`);
}

/** ffprobe finds pictures and sound, and no frame is missing, late or damaged. */
async function probed(url) {
	const { stdout, stderr } = await run("ffprobe", [
		"-v", "warning", "-live_start_index", "0", "-read_intervals", "%+8", "-show_streams", "-show_packets", "-of", "json", url,
	], { maxBuffer: 64 << 20 });
	const { streams, packets } = JSON.parse(stdout);
	assert.deepEqual(streams.map((s) => s.codec_name).sort(), ["aac", "h264"]);
	for (const stream of streams) {
		const times = packets.filter((p) => p.stream_index === stream.index).map((p) => Number(p.pts_time));
		const expected = stream.codec_name === "aac" ? 1024 / 48_000 : 1 / 30;
		assert.ok(times.length > 200, `${url}: only ${times.length} packets of ${stream.codec_name}`);
		for (let i = 1; i < times.length; i++) {
			assert.ok(Math.abs(times[i] - times[i - 1] - expected) < 0.002, `${url}: ${stream.codec_name} packet ${i} comes ${times[i] - times[i - 1]} s after the one before it`);
		}
	}
	assert.ok(packets.every((p) => !p.flags.includes("C")), "some packets are corrupt");
	assert.equal(stderr.replace(ourTags, ""), "");
}

/** What a viewer of a plain page sees. */
const watched = (page) => page.evaluate(() => ({
	time: document.querySelector("video").currentTime,
	behindMs: Date.now() - window.hls.playingDate?.getTime(),
	skipped: window.skipped,
	waits: window.waits,
	errors: window.errors,
}));
