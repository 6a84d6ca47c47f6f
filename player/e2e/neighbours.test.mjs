// What a viewer gets from its neighbours, and what it sees when they vanish: nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { launch, live, open, pause, playhead, Program, settled, stallsSince, startChannel, stats, until } from "./harness.mjs";

test("a viewer and its neighbours", async (t) => {
	const channel = await startChannel(t);
	// A phone on the same Wi-Fi sees plain http on a name that is not localhost.
	const [browser] = await Promise.all([launch(t, [`--host-resolver-rules=MAP phone.test 127.0.0.1`]), live(channel)]);

	await t.test("one viewer alone plays from the CDN, and a page that is no secure context joins too", async () => {
		const alone = await open(browser, `${channel.watch}?p2p=off`);
		await settled(alone);
		const phone = await open(browser, `http://phone.test:${channel.http}/watch/demo`);
		assert.equal(await phone.evaluate(() => window.isSecureContext), false);
		await settled(phone);
		await until(async () => (await stats(phone)).p2pBytes > 0, 15_000, async () => `the phone got nothing from peers: ${JSON.stringify(await stats(phone))} ${phone.complaints}`);
		await pause(6_000);
		const [a, p] = [await stats(alone), await stats(phone)];
		assert.equal(await stallsSince(alone), 0, JSON.stringify(a));
		assert.equal(a.p2pBytes + a.uploadedBytes, 0);
		assert.ok(a.httpBytes > 0 && a.verifiedLeaves > 0, JSON.stringify(a));
		assert.equal(await stallsSince(phone), 0, JSON.stringify(p));
		assert.ok(p.verifiedLeaves > 0 && p.rejectedLeaves === 0, JSON.stringify(p));
		for (const page of [alone, phone]) await page.context().close();
	});

	await t.test("neighbours that are killed in mid-transfer are not missed", async (t) => {
		const page = await open(browser, channel.watch);
		const crowd = Program.start(t, ["peer", "-n", "5", channel.playlist]);
		await settled(page);
		await until(async () => (await stats(page)).peers >= 5, 15_000, async () => `too few peers: ${JSON.stringify(await stats(page))}`);
		await crowd.stop("SIGKILL");
		const before = await playhead(page);
		await pause(10_000);
		const after = await playhead(page);
		assert.equal(await stallsSince(page), 0, JSON.stringify(await stats(page)));
		assert.ok(after.time - before.time > 9, `the page played ${after.time - before.time} s in 10 s`);
	});
});
