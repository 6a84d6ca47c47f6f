// One run: pages of one system join one after the other, are watched, and leave.
import { readFileSync } from "node:fs";
import { launch } from "./chromium.mjs";
import { joinTimes } from "./measure.mjs";
import { cpuSeconds, pause, until } from "./processes.mjs";

const sampler = readFileSync(new URL("sampler.js", import.meta.url), "utf8");
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
	const browserFor = ({ name, ...options }) => {
		if (!browsers.has(name)) browsers.set(name, launch(options));
		return browsers.get(name);
	};
	try {
		const seats = [];
		for (let i = 0; i < pages; i++) seats.push(await seat(await browserFor(place.browserOf(i)), place));
		const url = address(place, system, open);
		const viewers = [];
		const joins = joinTimes(Date.now(), pages, joinMs);
		for (const [i, page] of seats.entries()) {
			await pause(joins[i] - Date.now());
			await page.open(url);
			viewers.push(page);
		}
		await pause(joins.at(-1) + warmMs - Date.now());
		const before = await reading(place);
		const [fromMs, cpuBefore, ownBefore] = [Date.now(), await cpuSeconds(), await Promise.all(viewers.map(own))];
		await pause(measureMs);
		const after = await reading(place);
		const [toMs, cpuAfter, ownAfter] = [Date.now(), await cpuSeconds(), await Promise.all(viewers.map(own))];
		const records = await Promise.all(viewers.map(async (v, i) => ({
			...(await v.evaluate("watched()")), ownBefore: ownBefore[i], ownAfter: ownAfter[i],
			errors: [...v.complaints, ...(await v.evaluate("playerErrors"))],
		})));
		return { system, pages, window: { fromMs, toMs }, before, after, records, cpu: { before: cpuBefore, after: cpuAfter }, uplinks: place.uplinks };
	} finally {
		for (const browser of browsers.values()) await (await browser).close();
	}
}

/** A system's page with all that it has to know. */
export function address(place, system, open = systems[system]) {
	const [name, options] = open(place, `${system}-${Date.now()}`);
	return `${place.pages}/${name}?${new URLSearchParams({ playlist: place.playlist, ...options })}`;
}

/** A page with nothing on it: that its browser has started and its process exists is nobody's startup time. */
export async function seat(browser, place) {
	const page = await browser.page(320, 200);
	await page.open(`${place.pages}/seat`);
	await page.before(sampler);
	return page;
}

/** What a player says of itself, for whoever wants to know why. */
const own = (page) => page.evaluate("({ ...window.ownStats?.() })");

async function reading(place) {
	let stats;
	await until(async () => {
		stats = await place.stats();
		const { ageMs } = stats.channels[0].renditions[0];
		return ageMs >= READING_AGE_MS[0] && ageMs <= READING_AGE_MS[1];
	}, 10_000, () => `the origin publishes nothing: ${JSON.stringify(stats)}`);
	return stats;
}
