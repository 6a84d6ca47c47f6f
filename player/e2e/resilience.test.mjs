// What goes wrong around a viewer, and what the viewer sees of it: nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort, launch, live, open, pause, playhead, playing, Program, publish, scratch, startChannel, stats, until } from "./harness.mjs";

test("one viewer alone plays from the CDN, and a page that is no secure context joins too", async (t) => {
	const channel = await startChannel(t);
	await live(channel);
	// A phone on the same Wi-Fi sees plain http on a name that is not localhost.
	const browser = await launch(t, [`--host-resolver-rules=MAP phone.test 127.0.0.1`]);
	const alone = await open(browser, `${channel.watch}?p2p=off`);
	await playing(alone);
	const phone = await open(browser, `http://phone.test:${channel.http}/watch/demo`);
	assert.equal(await phone.evaluate(() => window.isSecureContext), false);
	await playing(phone);
	await until(async () => (await stats(phone)).p2pBytes > 0, 15_000, async () => `the phone got nothing from peers: ${JSON.stringify(await stats(phone))} ${phone.complaints}`);
	await pause(6_000);
	const [a, p] = [await stats(alone), await stats(phone)];
	assert.equal(a.stalls, 0, JSON.stringify(a));
	assert.equal(a.p2pBytes + a.uploadedBytes, 0);
	assert.ok(a.httpBytes > 0 && a.verifiedLeaves > 0, JSON.stringify(a));
	assert.equal(p.stalls, 0, JSON.stringify(p));
	assert.ok(p.verifiedLeaves > 0 && p.rejectedLeaves === 0, JSON.stringify(p));
});

test("neighbours that are killed in mid-transfer are not missed", async (t) => {
	const channel = await startChannel(t);
	await live(channel);
	const browser = await launch(t);
	const page = await open(browser, channel.watch);
	const crowd = Program.start(t, ["peer", "-n", "5", channel.playlist]);
	await playing(page);
	await until(async () => (await stats(page)).peers >= 5, 15_000, async () => `too few peers: ${JSON.stringify(await stats(page))}`);
	await pause(5_000);
	await crowd.stop("SIGKILL");
	const before = await playhead(page);
	await pause(12_000);
	const after = await playhead(page);
	const s = await stats(page);
	assert.equal(s.stalls, 0, JSON.stringify(s));
	assert.ok(after.time - before.time > 11, `the page played ${after.time - before.time} s in 12 s`);
});

test("when the tracker dies those who play go on, and a new viewer plays from the CDN", async (t) => {
	const place = await threeMachines(t);
	place.startOrigin();
	await place.publish();
	const tracker = place.startTracker();
	await live(place);

	const browser = await launch(t);
	const pages = [await open(browser, place.watch), await open(browser, place.watch)];
	for (const page of pages) await playing(page);
	for (const page of pages) await until(async () => (await stats(page)).p2pBytes > 0, 25_000, async () => `the pages do not share: ${JSON.stringify(await Promise.all(pages.map(stats)))} ${pages.map((p) => p.complaints)}\n${tracker.output}\n${place.program.output}`);
	await tracker.stop("SIGKILL");
	const before = await Promise.all(pages.map(stats));
	const newcomer = await open(browser, place.watch);
	await playing(newcomer);
	await pause(10_000);
	for (const [i, page] of pages.entries()) {
		const s = await stats(page);
		assert.equal(s.stalls, 0, JSON.stringify(s));
		assert.ok(s.p2pBytes > before[i].p2pBytes, `page ${i} got nothing from its neighbour without the tracker`);
	}
	const s = await stats(newcomer);
	assert.ok(s.httpBytes > 0 && s.stalls === 0, JSON.stringify(s));
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
	await pause(3_000);
	for (const machine of machines) await machine.stop("SIGKILL");
	await pause(3_000);
	place.startOrigin();
	await place.publish();
	place.startTracker();
	await live(place);
	const browser = await launch(t);
	const page = await open(browser, place.watch);
	await playing(page);
	await until(async () => (await stats(page)).p2pBytes > 1_000_000, 40_000,
		async () => `the seeder does not serve: ${JSON.stringify(await stats(page))}\n${seeder.output}`);
	assert.equal(seeder.child.exitCode, null, seeder.output);
	assert.equal((await stats(page)).rejectedLeaves, 0);
});

/** A channel with a publisher of its own, and a page that plays it. */
async function watchedPublisher(t, flags) {
	const channel = await startChannel(t, flags);
	const [, key] = await channel.program.says(/stream key (\S+)/);
	const target = `rtmp://127.0.0.1:${channel.rtmp}/live/${key}`;
	const publisher = publish(t, target);
	await live(channel);
	const browser = await launch(t);
	const page = await open(browser, channel.watch);
	await playing(page);
	return { channel, publisher, target, page };
}

test("when the publisher goes away and returns, numbering continues and the page goes on", async (t) => {
	const { channel, publisher, target, page } = await watchedPublisher(t, ["--source=none"]);
	await pause(3_000);
	publisher.kill("SIGKILL");
	await pause(9_000);
	publish(t, target);
	const stopped = await playhead(page);
	await until(async () => (await playhead(page)).time > stopped.time + 12, 30_000,
		async () => `the page does not go on: ${JSON.stringify([stopped, await playhead(page), await stats(page)])} ${page.complaints}`);
	const verify = Program.start(t, ["origin", "verify", channel.playlist]);
	assert.equal((await verify.ended).code, 0, verify.output);
	assert.match(verify.output, /[1-9]\d* gaps/);
});

test("with slate the page plays on through the publisher's death and its return", async (t) => {
	const { channel, publisher, target, page } = await watchedPublisher(t, ["--source=none", "--slate=black"]);
	const before = { ...await playhead(page), at: Date.now() };
	publisher.kill("SIGKILL");
	await pause(5_000);
	publish(t, target);
	await pause(10_000);
	const after = { ...await playhead(page), at: Date.now() };
	const s = await stats(page);
	assert.equal(s.stalls, 0, `${JSON.stringify(s)} ${page.complaints}`);
	const [played, passed] = [after.time - before.time, (after.at - before.at) / 1000];
	assert.ok(Math.abs(played - passed) < 1.5, `the page played ${played} s in ${passed} s`);
	assert.deepEqual(page.complaints, []);
	const verify = Program.start(t, ["origin", "verify", channel.playlist]);
	assert.equal((await verify.ended).code, 0, verify.output);
	assert.doesNotMatch(verify.output, /[1-9]\d* gaps/);
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
