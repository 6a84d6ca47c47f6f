// Parts of half a second, played close behind the encoder.
import assert from "node:assert/strict";
import { test } from "node:test";
import { json, launch, live, open, pause, plainPage, playing, Program, startChannel, stats, until } from "./harness.mjs";
import { seen, site } from "./dash-pages.mjs";

test("a channel in parts of half a second", async (t) => {
	const channel = await startChannel(t, ["--low-latency"]);
	const [browser] = await Promise.all([launch(t), live(channel, 3)]);

	await t.test("half-second parts are played close behind live, by plain hls.js and by viewers who carry them for each other", async (t) => {
		const plain = await open(browser, await plainPage(t, channel.playlist));
		await until(() => plain.evaluate(() => document.querySelector("video").currentTime > 0), 15_000, "hls.js does not start");
		const crowd = Program.start(t, ["peer", "-n", "2", "--rendition=360p", "--warmup=8s", "--duration=21s", "--json", channel.playlist]);
		const ours = [await open(browser, channel.watch), await open(browser, channel.watch)];
		for (const page of ours) await playing(page);
		await pause(6_000);
		const look = async () => ({ plain: await watched(plain), ours: await Promise.all(ours.map(stats)) });
		const before = await look();
		await pause(10_000);
		const after = await look();
		t.diagnostic(JSON.stringify(after));

		// Three whole segments would be six seconds and more.
		assert.ok(after.plain.behindMs < 4_000, `plain hls.js is ${after.plain.behindMs} ms behind live`);
		assert.ok(after.plain.time - before.plain.time > 9, `plain hls.js played ${after.plain.time - before.plain.time} s in 10 s`);
		assert.ok(after.plain.parts > 15, `plain hls.js was given ${after.plain.parts} parts`);
		assert.deepEqual(after.plain.errors, []);
		const { channels: [{ http }] } = await json(`${channel.base}/stats.json`);
		assert.ok(http.part.requests >= 35, `${http.part.requests} parts were fetched`);

		for (const [i, now] of after.ours.entries()) {
			assert.equal(now.stalls, before.ours[i].stalls, JSON.stringify(now));
			assert.ok(now.state === "playing" && now.latencyMs > 500 && now.latencyMs < 4_000, `our page ${i} is ${now.latencyMs} ms behind live, ${now.state}`);
			const [p2p, cdn] = ["p2pBytes", "httpBytes"].map((what) => now[what] - before.ours[i][what]);
			assert.ok(p2p > cdn, `our page ${i} got ${p2p} bytes from others, ${cdn} from the CDN`);
			assert.equal(now.rejectedLeaves, 0);
			assert.deepEqual(ours[i].complaints, []);
		}
		assert.equal((await crowd.ended).code, 0, crowd.output);
		const viewers = JSON.parse(crowd.stdout);
		t.diagnostic(crowd.stdout);
		assert.equal(viewers.stalls, 0, crowd.stdout);
		assert.ok(viewers.latencyMsP50 < 4_000 && viewers.offload > 0.5, crowd.stdout);
		for (const page of [plain, ...ours]) await page.context().close();
	});

	await t.test("with parts, dash.js plays segments while they are made, and Shaka plays them as before", async (t) => {
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
});

/** What a viewer of a plain page sees: how far behind the picture is, by the dates in the playlist. */
const watched = (page) => page.evaluate(() => ({
	time: document.querySelector("video").currentTime,
	behindMs: Date.now() - window.hls.playingDate.getTime(),
	estimate: window.hls.latency,
	parts: window.parts,
	errors: window.errors,
}));
