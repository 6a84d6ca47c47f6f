// Machines that die and come back, and what viewers see of it: nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort, launch, live, open, pause, playing, Program, publish, scratch, settled, stallsSince, stats, until } from "./harness.mjs";

test("when the tracker dies those who play go on, and a new viewer plays from the CDN", async (t) => {
	const place = await threeMachines(t);
	place.startOrigin();
	await place.publish();
	const tracker = place.startTracker();
	const [browser] = await Promise.all([launch(t), live(place)]);

	const pages = [await open(browser, place.watch), await open(browser, place.watch)];
	for (const page of pages) await settled(page);
	for (const page of pages) await until(async () => (await stats(page)).p2pBytes > 0, 25_000, async () => `the pages do not share: ${JSON.stringify(await Promise.all(pages.map(stats)))} ${pages.map((p) => p.complaints)}\n${tracker.output}\n${place.program.output}`);
	await tracker.stop("SIGKILL");
	const before = await Promise.all(pages.map(stats));
	const newcomer = await open(browser, place.watch);
	await settled(newcomer);
	await pause(10_000);
	for (const [i, page] of pages.entries()) {
		const s = await stats(page);
		assert.equal(await stallsSince(page), 0, JSON.stringify(s));
		assert.ok(s.p2pBytes > before[i].p2pBytes, `page ${i} got nothing from its neighbour without the tracker`);
	}
	const s = await stats(newcomer);
	assert.ok(s.httpBytes > 0 && await stallsSince(newcomer) === 0, JSON.stringify(s));
	place.startTracker();
	await until(async () => (await stats(newcomer)).peers > 0, 25_000, "the newcomer does not meet the others once the tracker is back");
});

test("a seeder survives restarts of the origin and of the tracker", async (t) => {
	const place = await threeMachines(t);
	const machines = [place.startOrigin()];
	await place.publish();
	machines.push(place.startTracker()); // it needs the token secret that the origin has made
	await live(place);
	const seeder = Program.start(t, ["seeder", `--token-key=${place.data}/keys/token.key`, place.playlist]);
	await pause(2_000);
	for (const machine of machines) await machine.stop("SIGKILL");
	await pause(1_000);
	place.startOrigin();
	await place.publish();
	place.startTracker();
	const [browser] = await Promise.all([launch(t), live(place)]);
	const page = await open(browser, place.watch);
	await playing(page);
	await until(async () => (await stats(page)).p2pBytes > 500_000, 40_000,
		async () => `the seeder does not serve: ${JSON.stringify(await stats(page))}\n${seeder.output}`);
	assert.equal(seeder.child.exitCode, null, seeder.output);
	assert.equal((await stats(page)).rejectedLeaves, 0);
});

/** Origin and tracker as programs of their own, which can be stopped and started again. */
async function threeMachines(t) {
	const [http, rtmp, port, data] = [await freePort(), await freePort(), await freePort(), await scratch(t)];
	const place = {
		data, watch: `http://127.0.0.1:${http}/watch/demo`, playlist: `http://127.0.0.1:${http}/live/demo/index.m3u8`,
		startOrigin() {
			return (place.program = Program.start(t, ["origin", `--http=127.0.0.1:${http}`, `--rtmp=127.0.0.1:${rtmp}`, `--data=${data}`,
				`--tracker-url=ws://127.0.0.1:${port}/tracker`]));
		},
		startTracker: () => Program.start(t, ["tracker", `--listen=127.0.0.1:${port}`, `--token-key=${data}/keys/token.key`]),
		async publish() {
			const [, key] = await place.program.says(/stream key (\S+)/);
			return publish(t, `rtmp://127.0.0.1:${rtmp}/live/${key}`);
		},
	};
	return place;
}
