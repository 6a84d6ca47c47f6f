// Viewers who do not learn each other's addresses: real pages, a real tracker with its relay.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Program, freePort, launch, live, open, publish, scratch, settled, stallsSince, stats, until } from "./harness.mjs";

/** Keeps the connections that a page makes. */
const keepConnections = `
	window.connections = [];
	const Connection = window.RTCPeerConnection;
	window.RTCPeerConnection = class extends Connection {
		constructor(...args) { super(...args); window.connections.push(this); }
	};
`;

test("on a relay-only channel pages share through the relay and see no other address", async (t) => {
	const [http, rtmp, port, relay, data] = [await freePort(), await freePort(), await freePort(), await freePort(), await scratch(t)];
	const place = { watch: `http://127.0.0.1:${http}/watch/demo`, playlist: `http://127.0.0.1:${http}/live/demo/index.m3u8` };
	place.program = Program.start(t, ["origin", `--http=127.0.0.1:${http}`, `--rtmp=127.0.0.1:${rtmp}`, `--data=${data}`,
		"--rung=180p:320x180:300:64", `--tracker-url=ws://127.0.0.1:${port}/tracker`]);
	const [, key] = await place.program.says(/stream key (\S+)/);
	publish(t, `rtmp://127.0.0.1:${rtmp}/live/${key}`);
	Program.start(t, ["tracker", `--listen=127.0.0.1:${port}`, `--token-key=${data}/keys/token.key`, `--relay=127.0.0.1:${relay}`, "--sharing=*=relay"]);
	const [browser] = await Promise.all([launch(t), live(place)]);
	const pages = [];
	for (let i = 0; i < 2; i++) {
		const page = await open(browser, "about:blank");
		await page.addInitScript(keepConnections);
		await page.goto(place.watch);
		pages.push(page);
	}
	for (const page of pages) await settled(page);
	for (const page of pages) {
		await until(async () => (await stats(page)).p2pBytes > 100_000, 30_000,
			async () => `nothing comes through the relay: ${JSON.stringify(await stats(page))} ${page.complaints.join(" | ")}`);
		const seen = await page.evaluate(async () => {
			const kinds = [];
			for (const connection of window.connections) {
				for (const s of (await connection.getStats()).values()) {
					if (/-candidate$/.test(s.type)) kinds.push(`${s.type} ${s.candidateType} ${s.address ?? s.ip}`);
				}
			}
			return kinds;
		});
		const others = seen.filter((s) => s.startsWith("remote"));
		assert.ok(others.length > 0, "no candidate of the other page");
		for (const s of seen) assert.match(s, /^(local|remote)-candidate relay 127\.0\.0\.1$/);
		assert.equal(await stallsSince(page), 0);
	}
});
