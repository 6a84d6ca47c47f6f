// What the project promises, held against what was measured. Pure.
import { quantile } from "./measure.mjs";

const MAX_COPIES = 1.15;
const MAX_LATER_MS = 300;
const MAX_STARTUP = 1.1;
/** Least share of the bound on the offload by Mb/s of uplink. */
const MIN_SHARE = new Map([[1.5, 0.7], [3, 0.85], [10, 0.92]]);
/** With parts: where the picture is behind live at most, and the least share of the bound. */
const LOW_LATENCY_MS = { plain: 2000, ours: 2500 };
const LOW_LATENCY_SHARE = 0.8;
/** So much of the offload may be lost to 1 % of packet loss. */
const MAX_LOST_TO_LOSS = 0.1;

/** Verdicts {where, what, measured, bar, pass} on our runs; what was not measured is not judged. */
export function judge(runs) {
	const verdicts = [];
	for (const ours of runs.filter((r) => r.system === "ours")) {
		const where = `${ours.pages} pages, ${ours.place}`;
		const atMost = (what, measured, bar) => verdicts.push({ where, what, measured, bar, pass: measured !== null && measured <= bar });
		const atLeast = (what, measured, bar) => verdicts.push({ where, what, measured, bar, pass: measured >= bar });
		const same = (r, system, loss) => r.system === system && r.pages === ours.pages && r.uplinkMbps === ours.uplinkMbps && r.loss === loss;
		const plain = runs.find((r) => same(r, "plain", ours.loss));
		if (ours.lowLatency) {
			if (plain) atMost("latency of plain hls.js, median (ms)", plain.latencyMsP50, LOW_LATENCY_MS.plain);
			atMost("latency, median (ms)", ours.latencyMsP50, LOW_LATENCY_MS.ours);
			atLeast("share of the bound", ours.shareOfBound, LOW_LATENCY_SHARE);
			atMost("stalls", ours.stalls, 0);
			continue;
		}
		if (plain) {
			atMost("latency, median (ms)", ours.latencyMsP50, plain.latencyMsP50 + MAX_LATER_MS);
			atMost("latency, mean (ms)", ours.latencyMsMean, plain.latencyMsMean + MAX_LATER_MS);
			atMost("latency, later than the plain page that joined at the same phase, median (ms)", later(ours, plain), MAX_LATER_MS);
		}
		if (ours.uplinkMbps === undefined) {
			atMost("copies", ours.copies, MAX_COPIES);
			atMost("stalls", ours.stalls, 0);
			if (plain) atMost("startup, median (ms)", ours.startupMsP50, Math.floor(plain.startupMsP50 * MAX_STARTUP));
			continue;
		}
		if (plain) atMost("stalls", ours.stalls, plain.stalls);
		if (MIN_SHARE.has(ours.uplinkMbps) && !ours.loss) atLeast("share of the bound", ours.shareOfBound, MIN_SHARE.get(ours.uplinkMbps));
		const lossless = ours.loss ? runs.find((r) => same(r, "ours", 0)) : undefined;
		if (lossless) atLeast("offload with loss", ours.offload, lossless.offload - MAX_LOST_TO_LOSS);
	}
	return verdicts;
}

/** How much later page i is than page i, the median of it: they joined at the same moment within a segment. */
function later(ours, plain) {
	const pairs = ours.latencyMsByPage.map((ms, i) => [ms, plain.latencyMsByPage[i]]);
	return quantile(pairs.filter((pair) => !pair.includes(null)).map(([a, b]) => a - b), 0.5);
}
