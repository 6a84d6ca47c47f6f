// One process with what the pages need besides the origin: their own files, and a WebTorrent tracker for
// p2p-media-loader. `node services.mjs ADDRESS` prints {"pages": URL, "webtorrent": URL} and lives until stdin closes.
import { createServer } from "node:http";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import Tracker from "bittorrent-tracker/server";
import * as esbuild from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const address = process.argv[2] ?? "127.0.0.1";

/** Every page is one bundle, built alike; ours loads the player as it is shipped. */
async function pages() {
	const systems = ["plain", "p2pml", "ours", "low-latency"];
	const built = await esbuild.build({
		entryPoints: systems.map((s) => here(`pages/${s}.js`)),
		bundle: true, minify: true, format: "esm", target: "es2022", write: false, outdir: "/", logLevel: "error",
		external: ["/player/player.js"],
		// Its sources want Node's modules; its authors' own bundle for browsers has what stands in for them.
		alias: { "p2p-media-loader-core": here("../node_modules/p2p-media-loader-core/dist/p2p-media-loader-core.es.js") },
	});
	const files = new Map(built.outputFiles.map((f) => [f.path, { type: "text/javascript", body: f.contents }]));
	for (const system of systems) {
		// As on our watch page, the player's scripts need not wait until the page's own has come and names them.
		const preload = system === "ours" ? ["player", "hlsjs"].map((name) => `<link rel="modulepreload" href="/player/${name}.js">`).join("") : "";
		// Nobody looks: painting, which is the same for all, would be a third of what a page costs.
		const html = `<!doctype html><title>${system}</title><link rel="icon" href="data:,">${preload}<style>html{visibility:hidden}</style><body><script type="module" src="/${system}.js"></script>`;
		files.set(`/${system}`, { type: "text/html", body: html });
	}
	files.set("/seat", { type: "text/html", body: `<!doctype html><title>seat</title><link rel="icon" href="data:,">` });
	for (const name of await readdir(here("../dist"))) {
		if (name.endsWith(".js")) files.set(`/player/${name}`, { type: "text/javascript", body: await readFile(here(`../dist/${name}`)) });
	}
	// Scripts travel compressed, as from any web server.
	for (const file of files.values()) file.body = gzipSync(file.body);
	return files;
}

const files = await pages();
const web = createServer((request, response) => {
	const file = files.get(new URL(request.url, "http://page").pathname);
	if (!file) return response.writeHead(404).end();
	response.writeHead(200, { "content-type": file.type, "content-encoding": "gzip", "cache-control": "no-cache" }).end(file.body);
});
const tracker = new Tracker({ udp: false, http: false, ws: true, stats: false });
tracker.on("warning", () => undefined); // a page that was closed
await Promise.all([
	new Promise((resolve) => web.listen(0, address, resolve)),
	new Promise((resolve) => tracker.listen(0, address, resolve)),
]);
console.log(JSON.stringify({
	pages: `http://${address}:${web.address().port}`,
	webtorrent: `ws://${address}:${tracker.ws.address().port}`,
}));
process.stdin.on("end", () => process.exit(0)).resume();
