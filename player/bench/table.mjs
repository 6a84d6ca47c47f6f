// Figures as people read them.
const columns = [
	["system", (r) => r.system],
	["pages", (r) => r.pages],
	["copies", (r) => r.copies.toFixed(2)],
	["offload", (r) => percent(r.offload)],
	["of bound", (r) => percent(r.shareOfBound)],
	["stalls", (r) => `${r.stalls} (${r.stallSeconds} s)`],
	["before", (r) => `${r.stallsBefore} (${r.stallSecondsBefore} s)`],
	["skips", (r) => r.skips],
	["latency mean/p50/p95", (r) => `${seconds(r.latencyMsMean)}/${seconds(r.latencyMsP50)}/${seconds(r.latencyMsP95)}`],
	["startup mean/p50/p95", (r) => `${seconds(r.startupMsMean)}/${seconds(r.startupMsP50)}/${seconds(r.startupMsP95)}`],
	["media+list requests/page·s", (r) => `${r.mediaRequestsPerPageSecond}+${r.playlistRequestsPerPageSecond}`],
	["CPU/page", (r) => percent(r.browserCpuShare)],
];
const percent = (x) => `${(100 * x).toFixed(1)} %`;
const seconds = (ms) => (ms === null ? "–" : (ms / 1000).toFixed(2));

/** Rows, with a heading if wanted. */
export function table(runs, heading = true) {
	const width = columns.map(([name]) => Math.max(name.length, 12));
	const line = (cells) => cells.map((cell, i) => String(cell).padEnd(width[i])).join("  ");
	const rows = runs.map((run) => line(columns.map(([, show]) => show(run))));
	return (heading ? [line(columns.map(([name]) => name)), ...rows] : rows).join("\n");
}
