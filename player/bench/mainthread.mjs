// How much the library costs a page's main thread: CPU milliseconds for each megabyte that it delivers, verification
// included. Two Chromium pages without a picture watch a signed channel that this program makes up; the first fetches everything
// from here, the second gets it over WebRTC. The clock is Chromium's own account of the main thread's tasks, in CPU time.
//
//	node bench/mainthread.mjs [--kbps 4000] [--seconds 20] [--profile FILE] [--no-worker]
//
// --no-worker: as where there can be no worker, so that all of the library's work is counted, and in the profile.
import { createServer } from "node:http";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as esbuild from "esbuild";
import { chromium } from "playwright-core";
import { corePlugin } from "../core-plugin.mjs";
import { attachTracker } from "./tiny-tracker.mjs";

const { values: options } = parseArgs({ options: {
	kbps: { type: "string", default: "4000" }, seconds: { type: "string", default: "20" }, profile: { type: "string" }, "no-worker": { type: "boolean" },
} });
const segmentBytes = (Number(options.kbps) * 1000 / 8) * 2;

const { makeCdn, SEGMENT_MS } = await load("./mainthread-channel.ts");
const page = (await bundle("./mainthread-page.ts", "browser")).outputFiles[0].text;
const cdn = makeCdn(Math.floor(segmentBytes));
const server = createServer((request, response) => serve(request, response).catch((error) => response.writeHead(500).end(String(error))));
attachTracker(server, "360p");
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const publishing = setInterval(() => cdn.publish(), SEGMENT_MS);

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: [
	"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
	"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
	"--process-per-tab", "--disable-features=WebRtcHideLocalIpsWithMdns",
] });
try {
	const source = await open();
	await pause(3000);
	const viewer = await open();
	await pause(8000);
	if (options.profile) await viewer.cdp.send("Profiler.start");
	const before = await Promise.all([measure(source), measure(viewer)]);
	await pause(Number(options.seconds) * 1000);
	const after = await Promise.all([measure(source), measure(viewer)]);
	if (options.profile) await writeFile(options.profile, JSON.stringify((await viewer.cdp.send("Profiler.stop")).profile));
	const [src, view] = [0, 1].map((i) => difference(after[i], before[i]));
	const mb = (n) => n / 1e6;
	console.log(JSON.stringify({
		kbps: Number(options.kbps), worker: !options["no-worker"], seconds: Number(options.seconds),
		viewer: { deliveredMB: round(mb(view.deliveredBytes)), fromPeersMB: round(mb(view.p2pBytes)), fromCdnMB: round(mb(view.httpBytes)),
			rejectedLeaves: view.rejectedLeaves, failures: view.failures, stalls: view.stalls,
			taskMs: round(view.taskMs), scriptMs: round(view.scriptMs), taskMsPerMB: round(view.taskMs / mb(view.deliveredBytes)), scriptMsPerMB: round(view.scriptMs / mb(view.deliveredBytes)) },
		source: { deliveredMB: round(mb(src.deliveredBytes)), fromCdnMB: round(mb(src.httpBytes)), uploadedMB: round(mb(src.uploadedBytes)),
			taskMs: round(src.taskMs), taskMsPerMBIn: round(src.taskMs / mb(src.deliveredBytes)) },
	}));
} finally {
	clearInterval(publishing);
	await browser.close();
	server.close();
}

async function open() {
	const context = browser.contexts()[0] ?? await browser.newContext();
	const page = await context.newPage();
	if (options["no-worker"]) await page.addInitScript(() => delete globalThis.Worker);
	page.on("pageerror", (error) => console.error(String(error)));
	page.on("console", (message) => message.type() === "error" && console.error(message.text()));
	await page.goto(`${origin}/?channel=${cdn.channelId}`);
	const cdp = await context.newCDPSession(page);
	await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
	if (options.profile) await cdp.send("Profiler.enable");
	return { page, cdp };
}

async function measure({ page, cdp }) {
	const { metrics } = await cdp.send("Performance.getMetrics");
	const value = (name) => metrics.find((m) => m.name === name).value * 1000;
	return { ...await page.evaluate(() => globalThis.counts()), taskMs: value("TaskDuration"), scriptMs: value("ScriptDuration") };
}

async function serve(request, response) {
	const { pathname } = new URL(request.url, origin);
	if (pathname === "/favicon.ico") return response.writeHead(204).end();
	if (pathname === "/") return response.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><script type="module">${page.replaceAll("</script", "<\\/script")}</script>`);
	if (pathname.endsWith("/token")) return response.writeHead(200).end(`{"token":"t"}`);
	const body = cdn.body(pathname);
	if (!body) return response.writeHead(404).end();
	const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
	if (!range) return response.writeHead(200, { "cache-control": "no-store" }).end(body);
	response.writeHead(206, { "cache-control": "no-store", "content-range": `bytes ${range[1]}-${range[2]}/${body.length}` });
	response.end(body.subarray(Number(range[1]), Number(range[2]) + 1));
}

function bundle(file, platform) {
	return esbuild.build({ entryPoints: [fileURLToPath(new URL(file, import.meta.url))], bundle: true, format: "esm", target: "es2022", platform, write: false, plugins: [corePlugin] });
}

/** Imports TypeScript. */
async function load(file) {
	const { outputFiles } = await bundle(file, "node");
	return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

function difference(a, b) {
	return Object.fromEntries(Object.keys(a).filter((k) => typeof a[k] === "number").map((k) => [k, a[k] - b[k]]));
}

function round(n) { return Math.round(n * 100) / 100; }
function pause(ms) { return new Promise((resolve) => setTimeout(resolve, ms)); }
