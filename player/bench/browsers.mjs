// `node bench/browsers.mjs`: real browsers watch a live channel, once with each system, with the same origin, playlist and
// machine. One JSON object on stdout, a table on stderr. What is measured and how: README.md.
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { measure, systems } from "./audience.mjs";
import { judge } from "./bars.mjs";
import { onLinks } from "./links.mjs";
import { onLoopback } from "./loopback.mjs";
import { figures } from "./measure.mjs";
import { heading, row, verdicts } from "./table.mjs";

const { values: options } = parseArgs({
	options: {
		systems: { type: "string" }, // all, by default
		pages: { type: "string", default: "8,16" },
		uplinks: { type: "string" }, // Mb/s: emulated access links instead of loopback
		loss: { type: "string", default: "0,1" }, // per cent, on those links
		"low-latency": { type: "boolean", default: false }, // half-second parts; plain hls.js and ours only
		"our-tracker": { type: "boolean", default: false }, // p2p-media-loader's pages meet at our tracker's /announce; loopback only
		join: { type: "string", default: "2" }, // seconds between one page and the next
		warm: { type: "string", default: "20" }, // seconds from the last page to the measurement
		measure: { type: "string", default: "90" }, // seconds
		json: { type: "string" }, // a file instead of stdout
	},
});
const numbers = (name) => options[name].split(",").map(Number);
const ms = (name) => Math.round(Number(options[name]) * 1000);
const lowLatency = options["low-latency"];
const systemsToRun = options.systems?.split(",") ?? Object.keys(systems).filter((name) => !lowLatency || !name.startsWith("p2pml"));
const durations = { joinMs: ms("join"), warmMs: ms("warm"), measureMs: ms("measure") };

/** Where to measure, with how many pages. */
function* places() {
	for (const pages of numbers("pages")) {
		if (!options.uplinks) yield [pages, () => onLoopback(lowLatency)];
		else for (const uplink of numbers("uplinks")) for (const loss of numbers("loss")) yield [pages, () => onLinks(pages, uplink, loss / 100, lowLatency)];
	}
}

const runs = [];
console.error(heading());
for (const [pages, open] of places()) {
	const place = await open();
	if (options["our-tracker"]) place.webtorrent = place.announce;
	try {
		for (const system of systemsToRun) {
			const raw = await measure(place, { system, pages, ...durations });
			runs.push({ place: place.name, lowLatency, ...place.links, ...figures(raw), raw });
			console.error(row(runs.at(-1)));
		}
	} finally {
		await place.close();
	}
}
const bars = judge(runs);
console.error(verdicts(bars));
const report = `${JSON.stringify({ benchmark: "browsers", options, bars, runs })}\n`;
if (options.json) await writeFile(options.json, report);
else process.stdout.write(report);
if (runs.some((run) => run.started < run.pages)) {
	console.error("A page never began to play.");
	process.exit(1);
}
