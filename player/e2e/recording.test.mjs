// A recording: what a channel broadcast a while ago, with its signed playlist, served as files. Two pages watch it together,
// at different positions.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { launch, live, open, playhead, playing, settled, stallsSince, startChannel, stats, until } from "./harness.mjs";

const SEGMENTS = 13;

test("two pages share a recording, and one seeks in it", async (t) => {
	const channel = await startChannel(t);
	const [browser] = await Promise.all([launch(t), live(channel, SEGMENTS, 60_000)]);
	const recording = await record(channel);
	const site = await serve(t, channel, recording);

	const first = await open(browser, `${site.url}/page.html`);
	await playing(first);
	const began = await playhead(first);
	assert.ok(began.time < 6, `a recording begins at its start, not at ${began.time} s`);
	await until(async () => (await stats(first)).verifiedLeaves > 0 && site.media() > 0, 10_000, "nothing was fetched");
	await settled(first);
	const ahead = () => first.evaluate(() => document.querySelector("slipstream-player").video.buffered.end(0));
	await until(async () => (await ahead()) > 15, 20_000, async () => `it has buffered ${await ahead()} s: ${JSON.stringify(await stats(first))}`);

	const second = await open(browser, `${site.url}/page.html`);
	await settled(second);
	await until(async () => (await stats(second)).p2pBytes > 0, 10_000, async () => `the second page got nothing from the first: ${JSON.stringify(await stats(second))}`);
	assert.equal((await stats(second)).latencyMs, 0);

	await second.evaluate(() => void (document.querySelector("slipstream-player").video.currentTime += 12));
	const sought = await playhead(second);
	await until(async () => (await playhead(second)).time > sought.time + 4, 15_000, async () => `it does not go on after the seek: ${JSON.stringify(await stats(second))}`);
	for (const page of [first, second]) {
		const { rejectedLeaves, requests } = await stats(page);
		assert.equal(await stallsSince(page), 0);
		assert.equal(rejectedLeaves, 0);
		assert.ok(requests.playlist <= 2, `a recording's playlist was asked for ${requests.playlist} times`);
		assert.deepEqual(page.complaints, []);
	}
	t.diagnostic(JSON.stringify({ first: await stats(first), second: await stats(second) }));
});

/** Downloads one rendition of the live window. */
async function record(channel) {
	const files = new Map();
	const get = async (url) => {
		const response = await fetch(url);
		assert.ok(response.ok, `${url} answered ${response.status}`);
		return Buffer.from(await response.arrayBuffer());
	};
	const multivariant = String(await get(channel.playlist));
	const uri = multivariant.split("\n").find((line) => line.includes("360p") && !line.startsWith("#"));
	const media = new URL(uri, channel.playlist);
	const playlist = String(await get(media));
	const map = /EXT-X-MAP:URI="([^"]+)"/.exec(playlist)[1];
	for (const name of [map, ...playlist.split("\n").filter((line) => line && !line.startsWith("#"))]) {
		files.set(`/recording/360p/${name}`, await get(new URL(name, media)));
		if (name !== map) files.set(`/recording/360p/${name}.leaves`, await get(new URL(`${name}.leaves`, media)));
	}
	files.set("/recording/360p/index.m3u8", Buffer.from(`${playlist}#EXT-X-ENDLIST\n`));
	const others = multivariant.split("\n").filter((line) => line.startsWith("#EXTM3U") || line.includes("SESSION-DATA"));
	const tracker = others.map((line) => line.replace('"/tracker"', `"${channel.base.replace("http", "ws")}/tracker"`));
	files.set("/recording/index.m3u8", Buffer.from([...tracker, '#EXT-X-STREAM-INF:BANDWIDTH=1100000,NAME="360p"', "360p/index.m3u8", ""].join("\n")));
	return files;
}

/** Serves the recording and a page; what else the page needs comes from the channel's own server. */
async function serve(t, channel, files) {
	files.set("/page.html", Buffer.from(`<!doctype html><script type="module" src="/player/player.js"></script>
		<slipstream-player src="/recording/index.m3u8" autoplay muted style="width:640px;height:360px"></slipstream-player>`));
	let media = 0;
	const types = { html: "text/html", m3u8: "application/vnd.apple.mpegurl", js: "text/javascript" };
	const server = createServer(async (request, response) => {
		const { pathname } = new URL(request.url, "http://localhost");
		if (pathname === "/favicon.ico") return response.writeHead(204).end();
		const type = types[pathname.split(".").at(-1)] ?? "application/octet-stream";
		let body = files.get(pathname);
		if (!body) {
			const headers = request.headers.origin ? { origin: request.headers.origin } : {};
			const answer = await fetch(channel.base + pathname, { method: request.method, headers }).catch(() => undefined);
			if (!answer?.ok) return response.writeHead(answer?.status ?? 502).end(); // it may end before the pages do
			body = Buffer.from(await answer.arrayBuffer());
		}
		if (pathname.endsWith(".m4s")) media++;
		const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
		if (!range) return response.writeHead(200, { "content-type": type }).end(body);
		const [first, last] = [Number(range[1]), Number(range[2])];
		response.writeHead(206, { "content-type": type, "content-range": `bytes ${first}-${last}/${body.length}` });
		response.end(body.subarray(first, last + 1));
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.after(() => server.close());
	return { url: `http://127.0.0.1:${server.address().port}`, media: () => media };
}
