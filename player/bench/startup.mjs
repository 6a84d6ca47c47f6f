// `node bench/startup.mjs`: how long one page after the other needs from navigation to its first moving picture, plain hls.js
// and ours by turns, and where that time goes. One JSON object on stdout, a table on stderr.
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { address, seat } from "./audience.mjs";
import { launch } from "./chromium.mjs";
import { onLinks } from "./links.mjs";
import { onLoopback } from "./loopback.mjs";
import { quantile } from "./measure.mjs";
import { PHASES, phases } from "./phases.mjs";
import { cast, cpuSeconds, pause, until } from "./processes.mjs";

const { values: options } = parseArgs({
	options: {
		systems: { type: "string", default: "plain,ours" },
		rounds: { type: "string", default: "12" },
		audience: { type: "string", default: "0" }, // so many pages of ours watch meanwhile
		watch: { type: "string", default: "0" }, // so many seconds each page is watched for stalls after it has started
		busy: { type: "string", default: "0" }, // so many programs take what processor time they can get
		uplinks: { type: "string" }, // Mb/s: an emulated line of 20 Mb/s down and 60 ms instead of loopback
		json: { type: "string" }, // a file instead of stdout
	},
});
const MAX_STARTUP = 1.1;
const SEGMENT_MS = 2000;
const GIVE_UP_MS = 20_000;
const SETTLE_MS = 400;
/** Between two pages that come to watch. */
const ARRIVE_MS = 1000;
const AT_REST_MS = 8000;

const milestones = readFileSync(new URL("milestones.js", import.meta.url), "utf8");
const systems = options.systems.split(",");
const audience = Number(options.audience);
const place = options.uplinks ? await onLinks(4, Number(options.uplinks), 0) : await onLoopback();
const { name, ...line } = place.browserOf(0);
const browser = await launch(line);
const others = audience > 0 ? await launch(line) : undefined;

/** One page from navigation until it plays. */
async function start(system, joinMs) {
	const page = await seat(browser, place);
	await page.before(milestones);
	await pause(SETTLE_MS);
	await pause(joinMs() - Date.now());
	await page.open(address(place, system));
	let record;
	await until(async () => (record = await page.evaluate("({ ...watched(), workerSaid })")).startupMs !== null, GIVE_UP_MS, () => `${system} does not play: ${page.complaints}`);
	await pause(1000 * Number(options.watch));
	const { stalls } = await page.evaluate("watched()");
	const errors = [...page.complaints, ...(await page.evaluate("playerErrors"))];
	await page.close();
	return { system, startupMs: record.startupMs, phases: phases(record), stallMs: Math.round(stalls.reduce((sum, s) => sum + s.ms, 0)), errors, record };
}

/** Where within a segment a page joins decides what is there: the same for all systems in a round. */
function joinAt(round) {
	const phase = 400 + ((round * 0.618034) % 1) * 1200; // not while the origin publishes
	return () => Math.ceil((Date.now() - phase) / SEGMENT_MS) * SEGMENT_MS + phase;
}

const starts = [];
const loops = cast();
for (let i = 0; i < Number(options.busy); i++) loops.start(process.execPath, ["-e", "for (;;);"]);
let idleShare;
try {
	for (let i = 0; i < audience; i++) {
		await (await seat(others, place)).open(address(place, "ours"));
		await pause(ARRIVE_MS);
	}
	if (audience > 0) await pause(AT_REST_MS);
	for (const system of systems) await start(system, joinAt(0)); // the browser's own first time
	const before = await cpuSeconds();
	for (let round = 0; round < Number(options.rounds); round++) {
		const order = round % 2 === 0 ? systems : [...systems].reverse();
		for (const system of order) starts.push({ round, ...(await start(system, joinAt(round))) });
	}
	const after = await cpuSeconds();
	const used = (what) => after[what] - before[what];
	idleShare = used("idle") / (used("machine") + used("idle"));
} finally {
	await loops.close();
	await browser.close();
	await others?.close();
	await place.close();
}

const of = (system, figure) => quantile(starts.filter((s) => s.system === system).map(figure).filter((ms) => ms !== undefined), 0.5);
const figures = systems.map((system) => ({
	system,
	startupMsP50: Math.round(of(system, (s) => s.startupMs)),
	stallMsByRound: starts.filter((s) => s.system === system).map((s) => s.stallMs),
	startupMsByRound: starts.filter((s) => s.system === system).map((s) => Math.round(s.startupMs)),
	phasesMsP50: Object.fromEntries(PHASES.map((phase) => [phase, of(system, (s) => s.phases[phase])])),
}));
console.error(["", ...systems].map((cell) => cell.padEnd(28)).join(""));
for (const phase of PHASES) console.error([phase, ...figures.map((f) => String(f.phasesMsP50[phase] ?? "–"))].map((cell) => cell.padEnd(28)).join(""));
console.error(["moving picture, seen", ...figures.map((f) => String(f.startupMsP50))].map((cell) => cell.padEnd(28)).join(""));
if (Number(options.watch) > 0) console.error(["stalls (ms)", ...figures.map((f) => f.stallMsByRound.join(" "))].map((cell) => cell.padEnd(28)).join(""));
const plain = figures.find((f) => f.system === "plain");
const bars = plain ? figures.filter((f) => f.system === "ours").map((f) => {
	const bar = Math.floor(plain.startupMsP50 * MAX_STARTUP);
	return { what: "startup, median (ms)", measured: f.startupMsP50, bar, pass: f.startupMsP50 <= bar };
}) : [];
for (const bar of bars) console.error(`${bar.pass ? "met" : "MISSED"}: ${bar.what}: ${bar.measured}, at most ${bar.bar}`);
const report = `${JSON.stringify({ benchmark: "startup", place: place.name, options, idleShare, bars, figures, starts })}\n`;
if (options.json) await writeFile(options.json, report);
else process.stdout.write(report);
