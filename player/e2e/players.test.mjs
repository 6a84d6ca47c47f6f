// Programs that know nothing of Slipstream accept what the origin serves.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { test } from "node:test";
import { launch, live, open, pause, plainPage, playing, Program, startChannel, stats, until } from "./harness.mjs";

const run = promisify(execFile);

test("plain hls.js, ffprobe and our own verifier accept the origin's channel as it is", async (t) => {
	const channel = await startChannel(t, ["--rung=360p:640x360:800:96", "--rung=180p:320x180:250:96", "--rung=audio:48"]);
	await live(channel);

	await t.test("hls.js without our loaders plays it", async (t) => {
		const browser = await launch(t);
		const page = await open(browser, await plainPage(t, channel.playlist));
		await until(() => page.evaluate(() => document.querySelector("video").currentTime > 0), 15_000, "plain hls.js does not start");
		const before = await page.evaluate(() => document.querySelector("video").currentTime);
		await pause(6_000);
		const after = await page.evaluate(() => document.querySelector("video").currentTime);
		assert.ok(after - before > 5, `plain hls.js played ${after - before} s in 6 s`);
		assert.deepEqual(await page.evaluate(() => window.errors), []);
		await page.context().close();
	});

	await t.test("hls.js plays the sound alone, and our own player the channel that has it", async (t) => {
		const browser = await launch(t);
		const page = await open(browser, await plainPage(t, channel.playlist.replace("index.m3u8", "audio/index.m3u8")));
		const ours = await open(browser, channel.watch);
		const heard = () => page.evaluate(() => ({ time: document.querySelector("video").currentTime, width: document.querySelector("video").videoWidth }));
		await until(async () => (await heard()).time > 3, 15_000, "hls.js does not play three seconds of sound alone");
		assert.equal((await heard()).width, 0);
		assert.deepEqual(await page.evaluate(() => window.errors), []);
		await playing(ours);
		assert.equal((await stats(ours)).rejectedLeaves, 0);
		assert.deepEqual(ours.complaints, []);
	});

	await t.test("ffprobe finds two renditions of H.264 and AAC, and AAC alone, and reads them without a complaint", async () => {
		const { stdout, stderr } = await run("ffprobe", [
			"-v", "warning", "-read_intervals", "%+4", "-show_streams", "-show_packets", "-of", "json", channel.playlist,
		], { maxBuffer: 64 << 20 });
		const found = JSON.parse(stdout);
		const videos = found.streams.filter((s) => s.codec_name === "h264").map((s) => `${s.width}x${s.height}`).sort();
		assert.deepEqual(videos, ["320x180", "640x360"]);
		assert.equal(found.streams.filter((s) => s.codec_name === "aac").length, 3);
		const times = found.packets.filter((p) => p.stream_index === found.streams.find((s) => s.codec_name === "h264").index).map((p) => Number(p.pts_time));
		assert.ok(times.length > 60, `only ${times.length} frames`);
		for (let i = 1; i < times.length; i++) {
			assert.ok(Math.abs(times[i] - times[i - 1] - 1 / 30) < 0.002, `frame ${i} comes ${times[i] - times[i - 1]} s after the one before it`);
		}
		assert.equal(stderr.replace(/.*Skip \('#EXT-X-(VERSION|SLIPSTREAM).*\n/g, ""), "");
	});

	await t.test("origin verify finds everything genuine", async (t) => {
		const verify = Program.start(t, ["origin", "verify", channel.playlist]);
		assert.equal((await verify.ended).code, 0, verify.output);
		assert.match(verify.output, /genuine/);
	});

	await t.test("Ctrl-C ends everything and leaves no child", async () => {
		const pid = channel.program.child.pid;
		const { stdout } = await run("ps", ["-o", "pid=,comm=", "--ppid", String(pid)]);
		const children = stdout.trim().split("\n").map((line) => line.trim().split(/\s+/)).filter(([, name]) => name === "ffmpeg").map(([p]) => p);
		assert.ok(children.length >= 2, `encoder and publisher should be running: ${stdout}`);
		const { code } = await channel.program.stop();
		assert.equal(code, 0, channel.program.output);
		for (const child of children) {
			await assert.rejects(run("ps", ["-p", child]), `ffmpeg ${child} survived`);
		}
	});
});
