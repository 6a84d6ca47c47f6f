// The proof of the whole: a real encoder, a real origin, real browsers and Go
// viewers that carry a live channel for each other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { json, launch, live, open, pause, playing, Program, startChannel, stats } from "./harness.mjs";

test("three browsers and five Go viewers carry a live channel for each other", async (t) => {
	const channel = await startChannel(t);
	const [browser] = await Promise.all([launch(t), live(channel)]);
	const pages = [];
	for (let i = 0; i < 3; i++) pages.push(await open(browser, channel.watch));
	const viewers = Program.start(t, ["peer", "-n", "5", "--warmup=10s", "--duration=31s", "--json", channel.playlist]);
	for (const page of pages) await playing(page);
	await pause(10_000); // the first ten seconds are for getting to know each other

	const [before, cdnBefore] = [await Promise.all(pages.map(stats)), await json(`${channel.base}/stats.json`)];
	await pause(20_000);
	const [after, cdnAfter] = [await Promise.all(pages.map(stats)), await json(`${channel.base}/stats.json`)];
	await viewers.ended;
	const go = JSON.parse(viewers.stdout);
	t.diagnostic(JSON.stringify({ pages: after, go }));

	// Of one page's bytes, its duty's share comes from the CDN by design, and who uploads fast has more duty: so the bar is for
	// all pages together, and for all Go viewers together.
	const shares = after.map((s, i) => fromPeers(s.p2pBytes - before[i].p2pBytes, s.httpBytes - before[i].httpBytes));
	const all = (when, what) => when.reduce((sum, s) => sum + s[what], 0);
	const pagesShare = fromPeers(all(after, "p2pBytes") - all(before, "p2pBytes"), all(after, "httpBytes") - all(before, "httpBytes"));
	assert.ok(pagesShare >= 0.7, `of the pages' media bytes only ${pagesShare} came from peers (${shares})`);
	for (const [i, s] of after.entries()) {
		assert.equal(s.stalls, before[i].stalls, `page ${i} stalled: ${JSON.stringify(s)}`);
		assert.ok(shares[i] >= 0.5, `page ${i} got only ${shares[i]} of its media bytes from peers`);
		assert.ok(s.verifiedLeaves > before[i].verifiedLeaves, `page ${i} verified nothing`);
		assert.equal(s.rejectedLeaves, 0);
		assert.ok(s.latencyMs < 12_000, `page ${i} is ${s.latencyMs} ms behind live`);
		assert.deepEqual(pages[i].complaints, []);
	}
	assert.equal(go.stalls, 0, JSON.stringify(go));
	assert.ok(go.offload >= 0.7, `Go viewers got only ${go.offload} from peers`);
	assert.equal(go.rejectedLeaves, 0);

	// Neighbours tell each other of new segments: most pages need not ask the CDN for its playlist at every one.
	const published = ({ channels }) => channels[0].renditions[0].published.segments;
	const segments = published(cdnAfter) - published(cdnBefore);
	const polls = after.map((s, i) => s.requests.playlist - before[i].requests.playlist);
	const perPage = polls.reduce((sum, n) => sum + n, 0) / pages.length / segments;
	t.diagnostic(`playlist requests of a page for each segment: ${perPage.toFixed(2)} (${polls} in all, ${segments} segments)`);
	assert.ok(perPage <= 0.5, `a page asked for the playlist ${perPage} times a segment`);

	const copies = served(cdnAfter, cdnBefore);
	t.diagnostic(`from peers, after ten seconds: pages ${pagesShare.toFixed(3)} (${shares.map((s) => s.toFixed(3))}), Go viewers ${go.offload.toFixed(3)}`);
	t.diagnostic(`CDN copies of a segment: ${copies.toFixed(2)}`);
	assert.ok(copies <= 2.5, `the CDN sent ${copies} copies of each segment`);
});

const fromPeers = (p2p, http) => p2p / (p2p + http);

/** Segment bytes that the CDN sent, over segment bytes that were published, each a second time for another copy. */
function served(after, before) {
	const [a, b] = [after.channels[0], before.channels[0]];
	const published = (channel) => channel.renditions.reduce((sum, r) => sum + r.published.bytes, 0);
	return (a.http.segment.bytes - b.http.segment.bytes) / (published(a) - published(b));
}
