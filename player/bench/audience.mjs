// One run: pages of one system join one after the other, are watched, and leave.
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { joinTimes } from "./measure.mjs";
import { cpuSeconds, pause, until } from "./processes.mjs";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = [
	"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
	"--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
	"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
];
const sampler = fileURLToPath(new URL("sampler.js", import.meta.url));
/** A reading of the origin's counters falls where what was published before has been fetched: so long after a publication. */
const READING_AGE_MS = [1400, 1900];

/** The systems that can be measured: a page, and its options besides the playlist, given a place and a name for the run. */
export const systems = {
	"plain": (place) => ["plain", place.lowLatency ? { latency: "low" } : {}],
	"p2pml-5/4": (place, run) => ["p2pml", { sync: 5, window: 4, tracker: place.webtorrent, swarm: run }],
	"p2pml-3/2": (place, run) => ["p2pml", { sync: 3, window: 2, tracker: place.webtorrent, swarm: run }],
	"ours": (place) => ["ours", { channel: place.id }],
};

/** Measures one system with so many pages; the raw material of measure.mjs. */
export async function measure(place, { system, pages, joinMs, warmMs, measureMs, open = systems[system] }) {
	const browsers = new Map();
	const launch = ({ name, executablePath = CHROMIUM, flags }) => {
		if (!browsers.has(name)) browsers.set(name, chromium.launch({ executablePath, args: [...FLAGS, ...flags] }));
		return browsers.get(name);
	};
	try {
		const seats = [];
		for (let i = 0; i < pages; i++) seats.push(await seat(await launch(place.browserOf(i)), place));
		const [name, options] = open(place, `${system}-${Date.now()}`);
		const url = `${place.pages}/${name}?${new URLSearchParams({ playlist: place.playlist, ...options })}`;
		const viewers = [];
		const joins = joinTimes(Date.now(), pages, joinMs);
		for (const [i, page] of seats.entries()) {
			await pause(joins[i] - Date.now());
			await page.goto(url, { waitUntil: "commit" });
			viewers.push(page);
		}
		await pause(joins.at(-1) + warmMs - Date.now());
		const before = await reading(place);
		const [fromMs, cpuBefore, ownBefore] = [Date.now(), await cpuSeconds(), await Promise.all(viewers.map(own))];
		await pause(measureMs);
		const after = await reading(place);
		const [toMs, cpuAfter, ownAfter] = [Date.now(), await cpuSeconds(), await Promise.all(viewers.map(own))];
		const records = await Promise.all(viewers.map(async (v, i) => ({
			...(await v.evaluate(() => window.watched())), ownBefore: ownBefore[i], ownAfter: ownAfter[i],
			errors: [...v.complaints, ...(await v.evaluate(() => window.playerErrors))],
		})));
		return { system, pages, window: { fromMs, toMs }, before, after, records, cpu: { before: cpuBefore, after: cpuAfter }, uplinks: place.uplinks };
	} finally {
		for (const browser of browsers.values()) await (await browser).close();
	}
}

/** A page with nothing on it: that its browser has started and its process exists is nobody's startup time. */
async function seat(browser, place) {
	const page = await (await browser.newContext({ viewport: { width: 320, height: 200 } })).newPage();
	await page.goto(`${place.pages}/seat`);
	page.complaints = [];
	page.on("pageerror", (error) => page.complaints.push(String(error)));
	page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
	await page.addInitScript({ path: sampler });
	return page;
}

/** What a player says of itself, for whoever wants to know why. */
const own = (page) => page.evaluate(() => ({ ...window.ownStats?.() }));

async function reading(place) {
	let stats;
	await until(async () => {
		stats = await place.stats();
		const { ageMs } = stats.channels[0].renditions[0];
		return ageMs >= READING_AGE_MS[0] && ageMs <= READING_AGE_MS[1];
	}, 10_000, () => `the origin publishes nothing: ${JSON.stringify(stats)}`);
	return stats;
}
