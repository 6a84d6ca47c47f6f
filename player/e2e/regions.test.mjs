// Two regions behind nginx: one of them is killed, frozen or left with a hole, and nobody who watches notices. FAILOVER_KILLS=20 is the long form;
// with FAILOVER_LOW_LATENCY=1 playlists have parts, and requests wait for them at the region that is killed.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { freePort, launch, open, pause, Program, publish, scratch, servePage, settled, stallsSince, stats, until } from "./harness.mjs";

const kills = Number(process.env.FAILOVER_KILLS ?? 1);
const seed = Number(process.env.FAILOVER_SEED ?? Date.now() % 1_000_000);
const made = ["--rung=360p:640x360:800:96", ...(process.env.FAILOVER_LOW_LATENCY ? ["--low-latency"] : [])];

test("a region that is killed or frozen is not missed, and is back by itself", async (t) => {
	t.diagnostic(`FAILOVER_SEED=${seed}`);
	const random = randomFrom(seed);
	const b = await Region.create(t, "b");
	await b.start();
	const a = await Region.create(t, "a", b);
	const [rtmp, dataDir] = [await freePort(), await scratch(t)];
	// Its window is what a region that was away can catch up with: ten seconds.
	const encoder = Program.start(t, ["origin", "--role=encode", "--http=127.0.0.1:0", `--rtmp=127.0.0.1:${rtmp}`, `--data=${dataDir}`, "--window=10s", ...made,
		`--push=${a.point}`, `--push=${b.point}`]);
	const [, key] = await encoder.says(/stream key (\S+)/);
	publish(t, `rtmp://127.0.0.1:${rtmp}/live/${key}`);
	const relay = await relayTo(t, a);
	const front = await nginx(t, relay.port, b.http);
	await until(() => b.whole(), 40_000, () => `region b is not whole: ${b.program.output}\n${encoder.output}`);

	const browser = await launch(t);
	const url = await plainPage(t, `${front}/live/demo/index.m3u8`);
	const pages = [await open(browser, url), await open(browser, url), await open(browser, url)];
	const ours = await open(browser, `${front}/watch/demo`);
	for (const page of pages) await until(async () => (await seen(page)).time > 0, 15_000, async () => `hls.js does not start: ${JSON.stringify(await seen(page))}`);
	await settled(ours);
	const before = await Promise.all(pages.map(seen));

	const unharmed = async (what) => {
		for (const [i, page] of pages.entries()) {
			const now = await seen(page);
			assert.equal(now.waits, before[i].waits, `${what}: page ${i} stalled: ${JSON.stringify(now)}`);
			for (let n = 1; n < now.loaded.length; n++) {
				assert.equal(now.loaded[n], now.loaded[n - 1] + 1, `${what}: page ${i} loaded ${now.loaded}`);
			}
			assert.ok(!now.fatal, `${what}: page ${i} gave up: ${now.fatal}`);
		}
		const own = await stats(ours);
		assert.equal(await stallsSince(ours), 0, `${what}: our own player stalled: ${JSON.stringify(own)} ${ours.complaints}`);
		assert.equal(own.rejectedLeaves, 0);
	};
	// Who answered last for a playlist that nginx has not kept.
	const serving = async () => (await fetch(`${front}/live/demo/360p/index.m3u8?${Math.random()}`)).headers.get("x-region").split(", ").at(-1);
	const back = async (what) => {
		await until(async () => (await serving()) === `127.0.0.1:${relay.port}`, 60_000,
			async () => `${what}: ${await serving()} serves, not ${relay.port}: ${await a.says()}\n${a.program.output}`);
		await sameBytes(a, b);
		await unharmed(what);
	};

	await a.start();
	await until(async () => /missing/.test(await a.says()), 15_000, async () => `a region that has just begun says ${await a.says()}`);
	assert.equal(await serving(), `127.0.0.1:${b.http}`);
	await back("the start");
	for (let i = 1; i < kills; i++) {
		const bytes = Math.floor(random() * 400_000);
		await relay.killAfter(bytes);
		await pause(1_000 + random() * 3_000);
		await a.start();
		await back(`kill ${i} after ${bytes} bytes`);
	}

	for (const ms of kills > 1 ? [5_000, 20_000] : [5_000]) {
		a.program.child.kill("SIGSTOP");
		await pause(ms);
		assert.equal(await serving(), `127.0.0.1:${b.http}`);
		a.program.child.kill("SIGCONT");
		if (ms > 10_000) { // it has lost segments for good
			await until(async () => /missing/.test(await a.says()), 15_000, async () => `a region with a hole says ${await a.says()}`);
		}
		await back(`${ms} ms of frost`);
	}

	await relay.killAfter(Math.floor(random() * 400_000));
	await pause(8_000); // more than players had in hand
	assert.equal(await serving(), `127.0.0.1:${b.http}`);
	await unharmed("the last kill");
	const verify = Program.start(t, ["origin", "verify", `${front}/live/demo/index.m3u8`]);
	assert.equal((await verify.ended).code, 0, verify.output);
	for (const page of pages) {
		const now = await seen(page);
		t.diagnostic(JSON.stringify({ ...now, loaded: now.loaded.length }));
	}
	t.diagnostic(JSON.stringify(await stats(ours)));
});

/** A packager as a program that can be killed and started again. */
class Region {
	static async create(t, name, like) {
		const region = new Region();
		Object.assign(region, { t, name, http: await freePort(), data: await scratch(t) });
		if (like) {
			const [from, to] = [`${like.data}/channels/demo`, `${region.data}/channels/demo`];
			await mkdir(to, { recursive: true });
			for (const file of ["root.key", "stream.key"]) await cp(`${from}/${file}`, `${to}/${file}`);
			region.point = like.point.replace(`:${like.http}/`, `:${region.http}/`);
		}
		return region;
	}

	async start() {
		this.program = Program.start(this.t, ["origin", "--role=package", `--region=${this.name}`, `--http=127.0.0.1:${this.http}`, `--data=${this.data}`,
			"--fail-over=stale,incomplete", ...made]);
		const { program } = this;
		this.t.after(() => program.child.kill("SIGCONT"));
		[this.point] = await program.says(/http:\S+\/ingest\/\S+/); // with the stream key
	}

	/** What it answers to who asks for its playlist. */
	async says() {
		const response = await fetch(`http://127.0.0.1:${this.http}/live/demo/360p/index.m3u8`).catch(() => undefined);
		return response?.text() ?? "nothing";
	}

	async whole() {
		return (await this.says()).startsWith("#EXTM3U");
	}

	async bytes(object) {
		const response = await fetch(`http://127.0.0.1:${this.http}/live/demo/360p/${object}`);
		return response.ok ? createHash("sha256").update(Buffer.from(await response.arrayBuffer())).digest("hex") : undefined;
	}
}

/** All that region a lists is in region b too, byte for byte. */
async function sameBytes(a, b) {
	const names = (await a.says()).match(/^\d+\.m4s$|init-\w+\.mp4/gm) ?? [];
	let same = 0;
	for (const name of names) {
		const [here, there] = [await a.bytes(name), await b.bytes(name)];
		if (!here || !there) continue; // the newest may be a moment late
		assert.equal(here, there, `${name} differs`);
		same++;
	}
	assert.ok(same >= 8, `only ${same} of ${names.length} objects are in both regions`);
}

/** Stands before a region and kills it in the middle of what it is saying. */
async function relayTo(t, region) {
	let left = Infinity;
	let killed = () => {};
	const server = createServer((viewer) => {
		const origin = connect(region.http, "127.0.0.1");
		viewer.pipe(origin);
		for (const [one, other] of [[viewer, origin], [origin, viewer]]) {
			one.on("error", () => other.destroy());
			one.on("close", () => other.destroy());
		}
		origin.on("data", (data) => {
			if (data.length > left) data = data.subarray(0, left);
			left -= data.length;
			viewer.write(data);
			if (left > 0) return;
			left = Infinity;
			region.program.child.kill("SIGKILL");
			origin.destroy();
			killed();
		});
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.after(() => server.close());
	return {
		port: server.address().port,
		killAfter: (bytes) => new Promise((resolve) => {
			killed = () => region.program.ended.then(resolve);
			left = bytes + 1;
		}),
	};
}

/** nginx with the configuration that operators are given, but for the ports. */
async function nginx(t, a, b) {
	const [port, dir] = [await freePort(), await scratch(t)];
	const text = await readFile(fileURLToPath(new URL("../../origin/two-regions.nginx.conf", import.meta.url)), "utf8");
	await writeFile(`${dir}/nginx.conf`, text.replace("listen 8080;", `listen 127.0.0.1:${port};`).replace("127.0.0.1:8081", `127.0.0.1:${a}`).replace("127.0.0.1:8082", `127.0.0.1:${b}`));
	const child = spawn("nginx", ["-p", dir, "-c", `${dir}/nginx.conf`, "-g", "daemon off; user root;"], { stdio: ["ignore", "ignore", "pipe"] });
	let said = "";
	child.stderr.on("data", (data) => { said += data; });
	t.after(() => new Promise((resolve) => { child.on("close", resolve); child.kill("SIGTERM"); }));
	const front = `http://127.0.0.1:${port}`;
	await until(() => fetch(`${front}/livez`).then(() => true, () => false), 10_000, () => `nginx does not start: ${said}`);
	return front;
}

/** A page with nothing but hls.js and a buffer of six seconds. */
function plainPage(t, playlist) {
	return servePage(t, `<!doctype html><link rel="icon" href="data:,"><video muted autoplay></video><script src="/hls.js"></script><script>
		Object.assign(window, { waits: 0, loaded: [], fatal: "" });
		const video = document.querySelector("video");
		const hls = new Hls({ maxBufferLength: 6, maxMaxBufferLength: 6, liveSyncDurationCount: 3 });
		hls.on(Hls.Events.FRAG_LOADED, (_, { frag }) => { if (frag.sn !== "initSegment" && frag.sn !== window.loaded.at(-1)) window.loaded.push(frag.sn); });
		hls.on(Hls.Events.ERROR, (_, e) => { if (e.fatal) window.fatal = e.details; });
		video.addEventListener("waiting", () => window.waits++);
		hls.loadSource(${JSON.stringify(playlist)});
		hls.attachMedia(video);
	</script>`);
}

const seen = (page) => page.evaluate(() => {
	const video = document.querySelector("video");
	const ahead = video.buffered.length ? video.buffered.end(video.buffered.length - 1) - video.currentTime : 0;
	return { time: video.currentTime, ahead, waits: window.waits, loaded: window.loaded, fatal: window.fatal };
});

/** mulberry32: the same story for the same seed. */
function randomFrom(state) {
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let x = Math.imul(state ^ (state >>> 15), 1 | state);
		x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
		return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296;
	};
}
