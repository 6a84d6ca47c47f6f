// What the end-to-end tests share: the real binary, the real browser, and ways
// to look at both. Every child is stopped by the test that started it.
//
// Files run one after the other: encoders, browsers and viewers share the machine's few processors, and one test's
// beginning would be another's stall.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer as createWebServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const binary = fileURLToPath(new URL("../../bin/slipstream", import.meta.url));

const browserFlags = [
	"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
	"--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
	"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
];

// A test run that is stopped from outside takes its children along.
const children = new Set();
process.on("exit", () => { for (const child of children) child.kill("SIGINT"); });
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** A TCP port that was free a moment ago. */
export async function freePort() {
	const server = createServer();
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address();
	await new Promise((resolve) => server.close(resolve));
	return port;
}

/** A directory that lives as long as the test. */
export async function scratch(t) {
	const dir = await mkdtemp(join(tmpdir(), "slipstream-e2e-"));
	t.after(() => rm(dir, { recursive: true, force: true, maxRetries: 20 }));
	return dir;
}

/** Runs the binary; `stop` interrupts it as Ctrl-C would and waits for its end. */
export class Program {
	constructor(args) {
		this.output = "";
		this.stdout = "";
		this.child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
		children.add(this.child);
		this.child.stdout.on("data", (b) => { this.stdout += b; this.output += b; });
		this.child.stderr.on("data", (b) => { this.output += b; });
		this.ended = new Promise((resolve) => this.child.on("close", (code, signal) => {
			children.delete(this.child);
			resolve({ code, signal });
		}));
	}

	static start(t, args) {
		const program = new Program(args);
		t.after(() => program.stop());
		return program;
	}

	/** Waits until the output matches. */
	async says(pattern, timeoutMs = 20_000) {
		await until(() => pattern.test(this.output) || this.child.exitCode !== null, timeoutMs,
			() => `${this.child.spawnargs.join(" ")} did not say ${pattern}; it said:\n${this.output}`);
		const match = pattern.exec(this.output);
		if (!match) throw new Error(`${this.child.spawnargs.join(" ")} ended with:\n${this.output}`);
		return match;
	}

	async stop(signal = "SIGINT") {
		if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
		return this.ended;
	}
}

/** A whole channel on embedded defaults, ready to be watched. */
export async function startChannel(t, extra = []) {
	const [http, rtmp, data] = [await freePort(), await freePort(), await scratch(t)];
	const program = Program.start(t, ["up", `--http=127.0.0.1:${http}`, `--rtmp=127.0.0.1:${rtmp}`, `--data=${data}`, ...extra]);
	await program.says(/watch/i);
	const base = `http://127.0.0.1:${http}`;
	return { program, base, http, rtmp, data, watch: `${base}/watch/demo`, playlist: `${base}/live/demo/index.m3u8` };
}

/** An encoder of somebody's own: ffmpeg, as OBS would. */
export function publish(t, url, { sound = true } = {}) {
	const child = spawn("ffmpeg", ["-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30",
		...(sound ? ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"] : []), "-c:v", "libx264", "-preset", "ultrafast", "-g", "60",
		"-b:v", "800k", "-c:a", "aac", "-f", "flv", url], { stdio: "ignore" });
	t.after(() => child.kill("SIGKILL"));
	return child;
}

/** Waits until the live window has at least `segments` segments. */
export async function live(channel, segments = 4, timeoutMs = 40_000) {
	await until(async () => {
		const multivariant = await text(channel.playlist);
		const uri = multivariant?.split("\n").find((line) => line && !line.startsWith("#"));
		if (!uri) return false;
		const media = await text(new URL(uri, channel.playlist));
		return (media?.match(/#EXTINF/g)?.length ?? 0) >= segments;
	}, timeoutMs, () => `the channel did not go live; the program said:\n${channel.program?.output}`);
}

async function text(url) {
	const response = await fetch(url).catch(() => undefined);
	return response?.ok ? response.text() : undefined;
}

export async function json(url) {
	const response = await fetch(url);
	if (!response.ok) throw new Error(`${url} answered ${response.status}`);
	return response.json();
}

/** One headless browser for a test. */
export async function launch(t, flags = []) {
	const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: [...browserFlags, ...flags] });
	t.after(() => browser.close());
	return browser;
}

/** Opens a page and keeps what its console complains about. */
export async function open(browser, url) {
	const context = await browser.newContext({ viewport: { width: 960, height: 600 } });
	const page = await context.newPage();
	page.complaints = [];
	page.on("pageerror", (error) => page.complaints.push(String(error)));
	page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
	await page.goto(url);
	return page;
}

/** The player's public statistics. */
export const stats = (page) => page.evaluate(() => ({ ...document.querySelector("slipstream-player").stats }));

/** Where the picture is, as the browser itself sees it. */
export const playhead = (page) => page.evaluate(() => {
	const player = document.querySelector("slipstream-player");
	const video = player.shadowRoot?.querySelector("video") ?? player.querySelector("video") ?? document.querySelector("video");
	return { time: video.currentTime, paused: video.paused, frames: video.getVideoPlaybackQuality().totalVideoFrames };
});

export async function playing(page, timeoutMs = 20_000) {
	await until(async () => (await playhead(page)).time > 0 && (await stats(page)).startupMs > 0, timeoutMs,
		async () => `the page does not play: ${JSON.stringify(await stats(page))} ${page.complaints.join(" | ")}`);
}

/**
 * Waits until a page has played for four seconds without a break. Where encoder, browser and viewers start at once on two processors, how
 * smoothly the first seconds go tells of the machine (node bench/startup.mjs tells of the player); what comes later is ours.
 */
export async function settled(page) {
	await playing(page);
	let from = { time: -Infinity, stalls: -1 };
	await until(async () => {
		const [{ time }, { stalls }] = [await playhead(page), await stats(page)];
		if (stalls !== from.stalls) from = { time, stalls };
		return time >= from.time + 4;
	}, 30_000, async () => `the page does not settle: ${JSON.stringify(await stats(page))} ${page.complaints.join(" | ")}`);
	page.stallsAtFirst = from.stalls;
}

/** How often a page has stalled since it had settled. */
export async function stallsSince(page) {
	return (await stats(page)).stalls - page.stallsAtFirst;
}

/** Waits for a condition; the message may be computed when it fails. */
export async function until(condition, timeoutMs, message) {
	const end = Date.now() + timeoutMs;
	for (;;) {
		if (await condition()) return;
		if (Date.now() > end) throw new Error(typeof message === "function" ? await message() : message);
		await pause(100);
	}
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A page with nothing but hls.js, on an origin of its own. */
export function plainPage(t, playlist) {
	return servePage(t, `<!doctype html><link rel="icon" href="data:,"><video muted autoplay></video><script src="/hls.js"></script><script>
		window.errors = [];
		window.parts = window.skipped = window.waits = 0;
		document.querySelector("video").addEventListener("waiting", () => window.waits++);
		const hls = window.hls = new Hls();
		hls.on(Hls.Events.FRAG_LOADED, (_, { part }) => { if (part) window.parts++; });
		hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => { window.skipped = Math.max(window.skipped, details.skippedSegments); });
		hls.on(Hls.Events.ERROR, (_, e) => window.errors.push(e.details));
		hls.loadSource(${JSON.stringify(playlist)});
		hls.attachMedia(document.querySelector("video"));
	</script>`);
}

/** Serves a page that loads /hls.js, on an origin of its own. */
export async function servePage(t, html) {
	const script = await readFile(fileURLToPath(new URL("../node_modules/hls.js/dist/hls.min.js", import.meta.url)));
	return `${await serveFiles(t, new Map([["/", ["text/html", html]], ["/hls.js", ["text/javascript", script]]]))}/`;
}

/** Serves files, by path: their type and what is in them. */
export async function serveFiles(t, files) {
	const server = createWebServer((request, response) => {
		const [type, body] = files.get(request.url.split("?")[0]) ?? ["text/plain", ""];
		response.writeHead(body ? 200 : 404, { "content-type": type }).end(body);
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.after(() => server.close());
	return `http://127.0.0.1:${server.address().port}`;
}
