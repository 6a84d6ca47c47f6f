import { expect, test } from "vitest";
import { judge } from "./bars.mjs";
import { figures, glassToGlass, joinTimes, offloadBound, quantile, served } from "./measure.mjs";

/** A reading of the origin's counters. */
function reading(media, lists, segments) {
	const none = { requests: 0, bytes: 0 };
	return { channels: [{
		renditions: [{ published: { segments, bytes: segments * 250_000 } }],
		http: { segment: { requests: media, bytes: media * 250_000 }, part: none, leaves: none, init: none, token: none, multivariant: none, playlist: { requests: lists, bytes: lists * 5000 } },
	}] };
}

const record = (more) => ({ startupMs: 400, latency: [[1500, 7000], [2500, 8000]], stalls: [], skips: [], ...more });
const cpu = { before: { browsers: 0, ours: 0, machine: 10, idle: 10 }, after: { browsers: 1, ours: 2, machine: 15, idle: 25 } };
const run = (records) => ({ system: "ours", pages: records.length, window: { fromMs: 1000, toMs: 11_000 }, before: reading(10, 10, 4), after: reading(20, 20, 9), records, cpu });

test("copies are what the origin served over what it published, within the window", () => {
	expect(served(reading(10, 10, 4), reading(20, 20, 9))).toMatchObject({ mediaBytes: 2_500_000, mediaRequests: 10, playlistRequests: 10, publishedSegments: 5 });
	const f = figures(run([record(), record(), record(), record()]));
	expect(f).toMatchObject({ copies: 2, offload: 0.5, bound: 0.75, shareOfBound: 0.6667, mediaRequestsPerPageSecond: 0.25 });
});

test("what happened before and after the window is not in it", () => {
	const stalls = [{ atMs: 500, ms: 900 }, { atMs: 5000, ms: 400 }, { atMs: 6000, ms: 200 }, { atMs: 11_000, ms: 3000 }];
	const f = figures(run([record({ stalls, latency: [[900, 1], [5000, 7000], [11_000, 99_000]] }), record({ startupMs: null })]));
	expect(f).toMatchObject({ stalls: 1, stallSeconds: 0.4, stallsBefore: 1, latencyMsP50: 7000, latencyMsP95: 8000, latencyMsByPage: [7000, 7000], started: 1 });
});

test("a page that never played has no startup and no latency", () => {
	expect(figures(run([record({ startupMs: null, latency: [] })]))).toMatchObject({ started: 0, startupMsP50: null, latencyMsP50: null, latencyMsMean: null });
});

test("others' use of the machine is told apart from ours", () => {
	expect(figures(run([record()]))).toMatchObject({ browserCpuSeconds: 1, othersCpuShare: 0.15, idleShare: 0.75 });
});

test("the bound on the offload", () => {
	expect(offloadBound(8, 1e6)).toBe(0.875);
	expect(offloadBound(8, 1e6, [...Array(6).fill(3e6), 1e5, 1e5])).toBe(0.875);
	expect(offloadBound(8, 1e6, Array(8).fill(5e5))).toBe(0.5);
	expect(offloadBound(1, 1e6)).toBe(0);
});

test("quantiles are values that occurred", () => {
	expect([quantile([3, 1, 2], 0.5), quantile([3, 1, 2], 0.95), quantile([], 0.5)]).toEqual([2, 3, null]);
});

test("pages join about two seconds apart, at phases that cover a segment evenly, whenever a run begins", () => {
	const phases = (nowMs) => joinTimes(nowMs, 8, 2000).map((ms) => ms % 2000);
	expect(phases(123_456)).toEqual(phases(9_999_999));
	const sorted = phases(0).sort((a, b) => a - b);
	for (let i = 0; i < 8; i++) expect((sorted[(i + 1) % 8] - sorted[i] + 2000) % 2000).toBeLessThan(500);
	expect(joinTimes(123_456, 8, 2000)[0]).toBeGreaterThanOrEqual(123_456);
});

test("a promise that is not kept is a miss, and what was not measured is not judged", () => {
	const base = { pages: 8, place: "loopback", latencyMsP50: 7000, latencyMsMean: 7000, latencyMsByPage: [8100, 7000, 6500], startupMsP50: 400, copies: 8, stalls: 0, offload: 0, shareOfBound: 0 };
	const plain = { ...base, system: "plain" };
	const missed = (ours) => judge([plain, { ...base, system: "ours", copies: 1.1, ...ours }]).filter((v) => !v.pass).map((v) => v.what);
	expect(missed({})).toEqual([]);
	expect(missed({ copies: 1.2, stalls: 1, latencyMsP50: 7301, startupMsP50: 441 })).toEqual(["latency, median (ms)", "copies", "stalls", "startup, median (ms)"]);
	expect(missed({ latencyMsByPage: [8401, 7301, null] })).toEqual(["latency, later than the plain page that joined at the same phase, median (ms)"]);
	expect(missed({ latencyMsByPage: [8200, 7100, 8500] })).toEqual([]); // one that a segment was published for just too late
	expect(judge([{ ...base, system: "p2pml-5/4" }])).toEqual([]);
	const links = { ...base, system: "ours", uplinkMbps: 3, loss: 0, shareOfBound: 0.84, offload: 0.7 };
	expect(judge([links, { ...links, loss: 0.01, offload: 0.59 }]).map((v) => [v.what, v.pass])).toEqual([["share of the bound", false], ["offload with loss", false]]);
});

test("glass to glass, page by page, within the window", () => {
	const page = (glass, latency) => record({ ownAfter: { glass, latency, target: 1500 } });
	const raw = run([page([[900, 9999], [1000, 1800], [2000, 1900], [3000, 2000]], 1600), page([[2000, 2500], [11_000, 9999]], 2100)]);
	expect(glassToGlass(raw)).toEqual({
		glassMsP50: 1900, glassMsP95: 2500, glassMsByPage: [1900, 2500], estimateMsByPage: [1600, 2100], targetMsByPage: [1500, 1500],
	});
});
