// A channel at two CDNs. The first of them is killed, has lost everything, or falls silent: pages go to the second, and are back when it is.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { freePort, launch, live, open, plainPage, settled, stallsSince, startChannel, stats, until } from "./harness.mjs";

/** A player of somebody's own, with the library. */
const libraryPage = `<!doctype html><link rel="icon" href="data:,"><video muted autoplay></video><script src="/hls.js"></script><script type="module">
	import { SlipstreamEngine } from "/player/slipstream.js";
	const src = "/live/demo/index.m3u8";
	const engine = new SlipstreamEngine({ src, p2p: false });
	const hls = new Hls(engine.hlsConfig());
	engine.attach(hls);
	hls.loadSource(src);
	hls.attachMedia(document.querySelector("video"));
	customElements.define("slipstream-player", class extends HTMLElement { get stats() { return engine.stats; } });
	document.body.append(document.createElement("slipstream-player"));
</script>`;

test("pages leave a CDN that fails, without a stall, and are back by themselves", async (t) => {
	const ports = [await freePort(), await freePort()];
	const script = await readFile(fileURLToPath(new URL("../node_modules/hls.js/dist/hls.min.js", import.meta.url)));
	const files = { "/library": ["text/html", libraryPage], "/hls.js": ["text/javascript", script] };
	const channel = await startChannel(t, ports.map((port, i) => `--cdn=cdn${i}=http://127.0.0.1:${port}`));
	for (const port of ports) await Front.before(t, channel, port);
	const [browser] = await Promise.all([launch(t), live(channel, 3)]);

	const rooms = {};
	const enter = async (trouble) => {
		const [near, far] = [await Front.before(t, channel), await Front.before(t, channel)];
		// Each page has CDNs of its own: what lists them is told so.
		const list = await Front.before(t, channel, 0, (text) => text.replaceAll(`:${ports[0]}/`, `:${near.port}/`).replaceAll(`:${ports[1]}/`, `:${far.port}/`), files);
		const page = await open(browser, `${list.base}/${trouble === "lose" ? "library" : "watch/demo?p2p=off"}`);
		rooms[trouble] = { near, far, page };
		await settled(page);
	};
	const [plain] = await Promise.all([open(browser, await plainPage(t, channel.playlist)), ...["kill", "lose", "hush"].map(enter)]);
	const watched = () => plain.evaluate(() => ({ time: document.querySelector("video").currentTime, waits: window.waits, errors: window.errors }));
	const before = await watched();
	for (const { near, far } of Object.values(rooms)) {
		assert.ok(near.media > far.media, `${near.media} and ${far.media} requests for media`); // one that is slow for a moment is left for a moment
		far.media = 0;
	}

	const each = (act) => Promise.all(Object.entries(rooms).map(([trouble, room]) => {
		const told = (words) => async () => `${trouble}: ${words}: ${JSON.stringify(await stats(room.page))} ${room.page.complaints}`;
		return act(room, told, trouble);
	}));
	await each(({ near }, _, trouble) => near[trouble]());
	await each(({ far }, told) => until(() => far.media >= 3, 12_000, told("the second CDN is not asked"))); // as much as players have in hand
	await each(async ({ near, far, page }, told, trouble) => {
		await near.recover();
		const asked = near.media;
		await until(() => near.media > asked, 15_000, told("the page is not back"));
		const mark = far.media;
		await until(() => near.media >= asked + 2, 6_000, told("the page does not stay"));
		assert.equal(far.media, mark, `${trouble}: the second CDN is still asked`);
		const stalls = await stallsSince(page);
		if (stalls > 0) assert.fail(await told(`${stalls} stalls`)());
		assert.equal((await stats(page)).rejectedLeaves, 0);
	});
	// Others play it, too.
	const after = await watched();
	assert.ok(after.time > before.time + 5 && after.waits === before.waits, `plain hls.js: ${JSON.stringify([before, after])}`);
});

/** A CDN before a channel. */
class Front {
	media = 0;
	mood = "well";
	sockets = new Set();

	static async before(t, channel, port = 0, edit = undefined, files = {}) {
		const front = new Front();
		front.server = createServer((viewer, answer) => front.pass(viewer, answer, channel, edit, files));
		front.server.on("connection", (socket) => {
			front.sockets.add(socket);
			socket.on("close", () => front.sockets.delete(socket));
		});
		front.port = port;
		await front.listen();
		t.after(() => {
			front.cut();
			front.server.close();
		});
		return front;
	}

	async listen() {
		await new Promise((resolve) => this.server.listen(this.port, "127.0.0.1", resolve));
		this.port = this.server.address().port;
		this.base = `http://127.0.0.1:${this.port}`;
	}

	pass(viewer, answer, channel, edit, files) {
		const [type, body] = files[viewer.url] ?? [];
		if (body) return answer.writeHead(200, { "content-type": type }).end(body);
		if (viewer.url.endsWith(".m4s")) this.media++;
		if (this.mood === "hush") return;
		if (this.mood === "lose") return answer.writeHead(404, { "access-control-allow-origin": "*" }).end();
		const headers = { ...viewer.headers };
		if (edit) delete headers["accept-encoding"];
		const forward = request(channel.base + viewer.url, { method: viewer.method, headers }, (reply) => {
			if (!edit || !viewer.url.endsWith("/demo/index.m3u8")) {
				answer.writeHead(reply.statusCode, reply.headers);
				return reply.pipe(answer);
			}
			let text = "";
			reply.on("data", (data) => { text += data; });
			reply.on("end", () => {
				delete reply.headers["content-length"];
				answer.writeHead(reply.statusCode, reply.headers).end(edit(text));
			});
		});
		forward.on("error", () => answer.destroy());
		viewer.pipe(forward);
	}

	cut() {
		for (const socket of this.sockets) socket.destroy();
	}

	async kill() {
		const closed = new Promise((resolve) => this.server.close(resolve));
		this.cut();
		await closed;
	}

	lose() {
		this.mood = "lose";
	}

	hush() {
		this.mood = "hush";
	}

	async recover() {
		if (this.mood === "hush") this.cut();
		this.mood = "well";
		if (!this.server.listening) await this.listen();
	}
}
