// Plain players go back in time as far as the window on disk reaches, also after a restart, and play MPEG-TS, and pictures and sound
// apart.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { test } from "node:test";
import { launch, live, open, pause, plainPage, playhead, playing, Program, startChannel, stats, until } from "./harness.mjs";

const run = promisify(execFile);
// What ffprobe does not know, and that there is a second init section after a restart.
const remarks = /.*(Found duplicated MOOV Atom. Skipped it|Skip \('#EXT-X-(VERSION|INDEPENDENT|SLIPSTREAM|SERVER|PROGRAM).*)\n/g;

test("hls.js goes back to before a restart and plays the other renderings, ffprobe reads them", async (t) => {
	const extra = ["--window=10s", "--dvr=2m"];
	const channel = await startChannel(t, extra);
	await live(channel, 3);
	await channel.program.stop();
	const program = Program.start(t, ["up", `--http=127.0.0.1:${channel.http}`, `--rtmp=127.0.0.1:${channel.rtmp}`, `--data=${channel.data}`, ...extra]);
	await program.says(/watch/i);
	await live({ ...channel, program }, 2);
	const base = `${channel.base}/live/demo`;
	const browser = await launch(t);
	const page = async (name) => open(browser, await plainPage(t, `${base}/${name}.m3u8`));
	const [ts, tracks, dvr] = [await page("ts"), await page("tracks"), await page("dvr")];
	await until(async () => (await watched(dvr)).time > 0, 15_000, async () => `hls.js does not start: ${JSON.stringify(await watched(dvr))}`);
	await pause(3_000); // a poll
	const begun = new Map();
	for (const page of [ts, tracks]) begun.set(page, await watched(page));

	await t.test("back to what an earlier run of the origin has left, over the hole, and on", async (t) => {
		await dvr.evaluate(() => {
			const video = document.querySelector("video");
			const { fragments } = window.hls.latestLevelDetails;
			video.currentTime = fragments[fragments.findIndex((f) => f.cc !== fragments[0].cc) - 1].start + 0.2;
		});
		await until(async () => (await watched(dvr)).seeking === false, 5_000, "it does not get there");
		const from = await watched(dvr);
		assert.ok(from.behindMs > 8_000, `only ${from.behindMs} ms behind live`);
		const restarted = Date.parse((await (await fetch(`${base}/360p/index.m3u8`)).text()).match(/DATE-TIME:(.*)/)[1]);
		await until(async () => (await watched(dvr)).date > restarted + 2_000, 20_000, async () => `it does not get over the hole: ${JSON.stringify(await watched(dvr))}`);
		const to = await watched(dvr);
		t.diagnostic(JSON.stringify([from, to]));
		assert.ok(to.skipped > 0, "no delta update was used");
		assert.deepEqual(to.errors.filter((e) => e !== "bufferStalledError" && e !== "bufferSeekOverHole"), []);
	});

	for (const [name, page] of [["MPEG-TS", ts], ["pictures and sound apart", tracks]]) {
		await t.test(`${name} played all the while`, async (t) => {
			const [from, to] = [begun.get(page), await watched(page)];
			t.diagnostic(JSON.stringify(to));
			assert.ok(to.time > 6 && to.audioBytes > 60_000, `hls.js has played ${to.time} s, ${to.audioBytes} bytes of sound`);
			assert.equal(to.waits, from.waits);
			assert.deepEqual(to.errors, from.errors);
		});
	}

	await t.test("our own page goes back as far, and believes nothing that is not signed", async (t) => {
		const ours = await open(browser, `${channel.base}/watch/demo?muted&dvr`);
		await playing(ours);
		const span = () => ours.evaluate(() => {
			const { max, min } = document.querySelector("slipstream-player").shadowRoot.querySelector("input") ?? {};
			return Number(max) - Number(min);
		});
		await until(async () => (await span()) > 9, 15_000, async () => `the timeline is ${await span()} s long`);
		await ours.evaluate(() => {
			const timeline = document.querySelector("slipstream-player").shadowRoot.querySelector("input");
			timeline.value = timeline.min;
			timeline.dispatchEvent(new Event("change"));
		});
		const { time } = await playhead(ours);
		await until(async () => (await playhead(ours)).time > time + 3, 10_000, async () => `it does not play there: ${JSON.stringify(await stats(ours))} ${ours.complaints}`);
		const there = await stats(ours);
		t.diagnostic(JSON.stringify(there));
		assert.ok(there.latencyMs > 13_000, `only ${there.latencyMs} ms behind live`);
		assert.equal(there.state, "playing");
		assert.equal(there.rejectedLeaves, 0);
		assert.deepEqual(ours.complaints, []);
		await ours.evaluate(() => document.querySelector("slipstream-player").shadowRoot.querySelector(".live").click());
		await until(async () => (await stats(ours)).latencyMs < 12_000, 10_000, async () => `it does not come back to live: ${JSON.stringify(await stats(ours))}`);
	});

	await t.test("ffprobe finds every frame at its time", async () => {
		for (const name of ["ts", "dvr"]) await probed(`${base}/360p/${name}.m3u8`, ["aac", "h264"]);
		await probed(`${base}/tracks.m3u8`, ["aac", "h264", "h264"]);
	});

	await t.test("origin verify believes the whole window", async () => {
		const verify = Program.start(t, ["origin", "verify", `${base}/dvr.m3u8`]);
		assert.equal((await verify.ended).code, 0, verify.output);
		assert.match(verify.output, /in [2-9] chapters/);
	});
});

/** ffprobe finds pictures and sound, and no frame is missing, late or damaged. */
async function probed(url, codecs) {
	const { stdout, stderr } = await run("ffprobe", [
		"-v", "warning", "-live_start_index", "0", "-read_intervals", "%+3", "-show_streams", "-show_packets", "-of", "json", url,
	], { maxBuffer: 64 << 20 });
	const { streams, packets } = JSON.parse(stdout);
	assert.deepEqual(streams.map((s) => s.codec_name).sort(), codecs);
	for (const stream of streams) {
		const times = packets.filter((p) => p.stream_index === stream.index).map((p) => Number(p.pts_time));
		const expected = stream.codec_name === "aac" ? 1024 / 48_000 : 1 / 30;
		assert.ok(times.length > 80, `${url}: only ${times.length} packets of ${stream.codec_name}`);
		for (let i = 1; i < times.length; i++) {
			assert.ok(Math.abs(times[i] - times[i - 1] - expected) < 0.002, `${url}: ${stream.codec_name} packet ${i} comes ${times[i] - times[i - 1]} s after the one before it`);
		}
	}
	assert.ok(packets.every((p) => !p.flags.includes("C")), "some packets are corrupt");
	assert.equal(stderr.replace(remarks, ""), "");
}

/** What a viewer of a plain page sees. */
const watched = (page) => page.evaluate(() => ({
	time: document.querySelector("video").currentTime,
	date: window.hls.playingDate?.getTime(),
	behindMs: Date.now() - window.hls.playingDate?.getTime(),
	seeking: document.querySelector("video").seeking,
	audioBytes: document.querySelector("video").webkitAudioDecodedByteCount,
	skipped: window.skipped,
	waits: window.waits,
	errors: window.errors,
}));
