// A publisher that goes away and returns, and what a viewer sees of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { launch, live, open, pause, playhead, playing, Program, publish, settled, stallsSince, startChannel, stats, until } from "./harness.mjs";

/** A channel with a publisher of its own, and a page that plays it. */
async function watchedPublisher(t, flags) {
	const channel = await startChannel(t, flags);
	const [, key] = await channel.program.says(/stream key (\S+)/);
	const target = `rtmp://127.0.0.1:${channel.rtmp}/live/${key}`;
	const publisher = publish(t, target);
	const [browser] = await Promise.all([launch(t), live(channel)]);
	const page = await open(browser, channel.watch);
	await playing(page);
	return { channel, publisher, target, page };
}

test("when the publisher goes away and returns, numbering continues and the page goes on", async (t) => {
	const { channel, publisher, target, page } = await watchedPublisher(t, ["--source=none"]);
	await pause(1_000);
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
	await settled(page);
	const before = { ...await playhead(page), at: Date.now() };
	publisher.kill("SIGKILL");
	await pause(5_000);
	publish(t, target);
	await pause(10_000);
	const after = { ...await playhead(page), at: Date.now() };
	assert.equal(await stallsSince(page), 0, `${JSON.stringify(await stats(page))} ${page.complaints}`);
	const [played, passed] = [after.time - before.time, (after.at - before.at) / 1000];
	assert.ok(Math.abs(played - passed) < 1.5, `the page played ${played} s in ${passed} s`);
	assert.deepEqual(page.complaints, []);
	const verify = Program.start(t, ["origin", "verify", channel.playlist]);
	assert.equal((await verify.ended).code, 0, verify.output);
	assert.doesNotMatch(verify.output, /[1-9]\d* gaps/);
});
