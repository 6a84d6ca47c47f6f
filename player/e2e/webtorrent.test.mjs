// The tracker's /announce, judged by those who speak WebTorrent's protocol: bittorrent-tracker's own client, WebTorrent's
// bundle for browsers, and a page with p2p-media-loader.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL, fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "node:test";
import * as esbuild from "esbuild";
import { freePort, json, launch, open, Program, scratch, serveFiles, until } from "./harness.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

test("WebTorrent's clients meet at /announce", { concurrency: true }, async (t) => {
	const dir = await scratch(t);
	await writeFile(join(dir, "token.key"), randomBytes(32), { mode: 0o600 });
	const address = `127.0.0.1:${await freePort()}`;
	Program.start(t, ["tracker", "--webtorrent", `--listen=${address}`, `--token-key=${dir}/token.key`]);
	const [browser, files] = await Promise.all([launch(t), site(dir)]);
	const base = await serveFiles(t, files);
	await until(() => fetch(`http://${address}/livez`).then(() => true, () => false), 10_000, "the tracker does not start");
	const announce = `ws://${address}/announce`;
	const stats = () => json(`http://${address}/announce/stats.json`);
	const page = (name, options) => open(browser, `${base}/${name}?${new URLSearchParams({ tracker: announce, ...options })}`);

	const tests = [
		t.test("bittorrent-tracker's client starts, updates, completes, scrapes and stops", () => judge(announce, dir)),

		t.test("two pages with WebTorrent's bundle swap a torrent", async (t) => {
			const seeder = await page("webtorrent", { seed: "1" });
			await until(() => seeder.evaluate(() => window.torrent), 20_000, () => `nothing is seeded: ${seeder.complaints}`);
			const leecher = await page("webtorrent", { magnet: await seeder.evaluate(() => window.torrent) });
			await until(() => leecher.evaluate(() => window.received), 20_000, async () => `nothing arrives: ${leecher.complaints} ${JSON.stringify(await stats())}`);
			assert.equal(await leecher.evaluate(() => window.received), await seeder.evaluate(() => window.digest), "the file is another one");
			await until(async () => (await stats()).peersSeederOnly >= 2, 10_000, async () => `who has it all is no seeder: ${JSON.stringify(await stats())}`);
			assert.deepEqual([...seeder.complaints, ...leecher.complaints], []);
		}),

		t.test("pages with p2p-media-loader get segments from each other", async (t) => {
			const options = { playlist: `${base}/index.m3u8`, sync: "3", window: "2", swarm: "e2e" };
			const pages = [await page("p2pml", options), await page("p2pml", options)];
			const bytes = () => Promise.all(pages.map((p) => p.evaluate(() => window.ownStats())));
			await until(async () => (await bytes()).some((b) => b.p2p > 0), 30_000, async () => `nothing was swapped: ${JSON.stringify([await bytes(), await stats()])}`);
			const [of, known] = [await bytes(), await stats()];
			t.diagnostic(JSON.stringify([of, known]));
			assert.ok(of.some((b) => b.uploaded > 0));
			assert.ok(known.clients["p2p-media-loader"], `the tracker knows no such client: ${JSON.stringify(known)}`);
		}),
	];
	await Promise.all(tests);
	await browser.close();
	await until(async () => (await stats()).peersAll === 0, 5_000, async () => `peers are left: ${JSON.stringify(await stats())}`);
});

/** Everything that the client can say without WebRTC, which Node has not: so its peers offer nothing. */
async function judge(announce, dir) {
	const bundle = join(dir, "client.mjs");
	await writeFile(join(dir, "no-webrtc.mjs"), "export const RTCPeerConnection = undefined, RTCSessionDescription = undefined, RTCIceCandidate = undefined;");
	await esbuild.build({
		stdin: { contents: `export { default } from "bittorrent-tracker/client";`, resolveDir: here("..") },
		outfile: bundle, bundle: true, platform: "node", format: "esm", logLevel: "error",
		alias: { "webrtc-polyfill": join(dir, "no-webrtc.mjs") },
		banner: { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);` },
	});
	const { default: Client } = await import(pathToFileURL(bundle).href);
	const infoHash = randomBytes(20).toString("hex");
	const client = (n) => {
		const peerId = Buffer.concat([Buffer.from("-WW0208-"), randomBytes(12)]).toString("hex");
		const c = new Client({ infoHash, peerId, announce, port: 6881 + n, wrtc: {} });
		c.warnings = [];
		c.on("warning", (w) => c.warnings.push(w.message));
		c.on("error", (e) => c.warnings.push(e.message));
		return c;
	};
	const told = async (c, what) => {
		const answer = once(c, "update", { signal: AbortSignal.timeout(5_000) });
		what();
		const [{ complete, incomplete, interval, infoHash: hash }] = await answer;
		assert.equal(hash, infoHash);
		assert.equal(interval, 120);
		return [complete, incomplete];
	};
	const [a, b] = [client(0), client(1)];
	assert.deepEqual(await told(a, () => a.start({ numwant: 0, left: 0 })), [1, 0]);
	assert.deepEqual(await told(b, () => b.start({ numwant: 0, left: 1000 })), [1, 1]);
	assert.deepEqual(await told(b, () => b.update({ numwant: 0, left: 500 })), [1, 1]);
	assert.deepEqual(await told(b, () => b.complete({ numwant: 0, left: 0 })), [2, 0]);
	const unknown = randomBytes(20).toString("hex");
	const scraped = await promisify(Client.scrape)({ infoHash: [infoHash, unknown], announce, wrtc: {} });
	assert.deepEqual([scraped[infoHash].complete, scraped[infoHash].incomplete, scraped[unknown].complete], [2, 0, 0]);
	const one = await promisify(Client.scrape)({ infoHash, announce, wrtc: {} });
	assert.deepEqual([one.infoHash, one.complete, one.downloaded], [infoHash, 2, 2]);
	assert.deepEqual(await told(b, () => b.stop({ numwant: 0 })), [1, 0]);
	assert.deepEqual([...a.warnings, ...b.warnings], []);
	await Promise.all([a, b].map((c) => new Promise((resolve) => c.destroy(resolve))));
}

/** The pages, and a recording for them to play. */
async function site(dir) {
	const media = join(dir, "media");
	await mkdir(media);
	const film = promisify(execFile)("ffmpeg", ["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=10:duration=40",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", join(media, "index.m3u8")]);
	const built = await esbuild.build({
		entryPoints: [here("../bench/pages/p2pml.js")], bundle: true, format: "esm", target: "es2022", write: false, logLevel: "error",
		// Its sources want Node's modules; its authors' own bundle for browsers has what stands in for them.
		alias: { "p2p-media-loader-core": here("../node_modules/p2p-media-loader-core/dist/p2p-media-loader-core.es.js") },
	});
	const html = (script) => ["text/html", `<!doctype html><link rel="icon" href="data:,"><body><script type="module" src="${script}"></script>`];
	const files = new Map([
		["/p2pml", html("/p2pml.js")], ["/p2pml.js", ["text/javascript", built.outputFiles[0].text]],
		["/webtorrent", html("/swap.js")], ["/swap.js", ["text/javascript", swap]],
		["/webtorrent.min.js", ["text/javascript", await readFile(here("../node_modules/webtorrent/dist/webtorrent.min.js"))]],
	]);
	await film;
	for (const name of await readdir(media)) files.set(`/${name}`, [name.endsWith(".ts") ? "video/mp2t" : "application/vnd.apple.mpegurl", await readFile(join(media, name))]);
	return files;
}

const swap = `
import WebTorrent from "/webtorrent.min.js";
const options = new URLSearchParams(location.search);
const client = new WebTorrent({ tracker: { rtcConfig: { iceServers: [] } }, dht: false, lsd: false, webSeeds: false });
const digestOf = async (bytes) => Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (b) => b.toString(16).padStart(2, "0")).join("");
const announce = [options.get("tracker")];
client.on("error", (error) => console.error(String(error)));
if (options.get("seed")) {
	const bytes = new Uint8Array(300_000);
	for (let at = 0; at < bytes.length; at += 50_000) crypto.getRandomValues(bytes.subarray(at, at + 50_000));
	window.digest = await digestOf(bytes);
	client.seed(new File([bytes], "swapped.bin"), { announce, announceList: [announce] }, (torrent) => { window.torrent = torrent.magnetURI; });
} else {
	client.add(options.get("magnet"), { announce }, (torrent) => torrent.on("done", async () => {
		window.received = await digestOf(await (await torrent.files[0].blob()).arrayBuffer());
	}));
}
`;
