// `node bench/browsers.mjs`: real browsers watch a live channel, once with each system, on the same machine, origin and
// playlist. One JSON object on stdout, a table on stderr. What is measured and how: README.md.
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { measure, systems } from "./audience.mjs";
import { startChannel } from "./channel.mjs";
import { figures } from "./measure.mjs";
import { loopback } from "./stage.mjs";
import { table } from "./table.mjs";

const { values: options } = parseArgs({
	options: {
		systems: { type: "string", default: Object.keys(systems).join(",") },
		pages: { type: "string", default: "8,16" },
		join: { type: "string", default: "2" }, // seconds between one page and the next
		warm: { type: "string", default: "20" }, // seconds from the last page to the measurement
		measure: { type: "string", default: "90" }, // seconds
		json: { type: "string" }, // a file instead of stdout
	},
});
const ms = (name) => Math.round(Number(options[name]) * 1000);

const runs = [];
const stage = loopback;
const channel = await startChannel(stage);
try {
	for (const pages of options.pages.split(",").map(Number)) {
		for (const system of options.systems.split(",")) {
			const raw = await measure(stage, channel, { system, pages, joinMs: ms("join"), warmMs: ms("warm"), measureMs: ms("measure") });
			runs.push({ ...figures(raw), raw });
			console.error(table(runs.slice(-1), runs.length === 1));
		}
	}
} finally {
	await channel.close();
	await stage.close();
}
const report = `${JSON.stringify({ benchmark: "browsers", options, runs })}\n`;
if (options.json) await writeFile(options.json, report);
else process.stdout.write(report);
if (runs.some((run) => run.started < run.pages)) {
	console.error("A page never began to play.");
	process.exit(1);
}
