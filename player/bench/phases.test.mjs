import { expect, test } from "vitest";
import { PHASES, phases } from "./phases.mjs";

const base = "http://o/live/demo";
const resources = [
	[10, 60, "http://p/ours.js"], [10, 70, "http://p/player/player.js"],
	[80, 85, `${base}/index.m3u8`], [90, 99.6, `${base}/360p/index.m3u8`], [2100, 2105, `${base}/360p/index.m3u8`],
	[120, 125, `${base}/360p/init-0a1b.mp4`], [121, 140, `${base}/360p/897.m4s`], [170, 180, `${base}/360p/898.m4s`],
];
const events = [[150, "append 791"], [155, "append 250000"], [158, "loadedmetadata 0.000"], [175, "playing 4.000"], [190, "append 250000"]];

test("each phase is the first of its kind, and the scripts are there with the last", () => {
	expect(phases({ resources, events })).toEqual({
		"script here": 70, "multivariant asked": 80, "multivariant here": 85, "playlist asked": 90, "playlist here": 100,
		"init asked": 120, "init here": 125, "segment asked": 121, "segment here": 140,
		"init appended": 150, "segment appended": 155, "metadata": 158, "first picture": 175,
	});
});

test("what the worker delivers counts as a segment if it is large enough for one", () => {
	const workerSaid = [[30, "page starts it", 0], [60, "core ready", 0], [70, "core playlist", 0], [80, "core bytes", 791], [90, "core bytes", 250_000]];
	const found = phases({ resources: [], events: [], workerSaid });
	expect(found).toEqual({ "worker asked for": 30, "worker answers": 60, "playlist verified": 70, "segment delivered": 90 });
	expect(Object.keys(found).every((name) => PHASES.includes(name))).toBe(true);
});
