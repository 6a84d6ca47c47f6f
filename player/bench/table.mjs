// Figures as people read them.
const columns = [
	["place", 24, (r) => r.place],
	["system", 10, (r) => r.system],
	["pages", 5, (r) => r.pages],
	["copies", 6, (r) => r.copies.toFixed(2)],
	["offload", 7, (r) => percent(r.offload)],
	["of bound", 8, (r) => percent(r.shareOfBound)],
	["stalls", 12, (r) => `${r.stalls} (${r.stallSeconds} s)`],
	["earlier", 12, (r) => `${r.stallsBefore} (${r.stallSecondsBefore} s)`],
	["latency mean/p50/p95", 20, (r) => [r.latencyMsMean, r.latencyMsP50, r.latencyMsP95].map(seconds).join("/")],
	["startup mean/p50/p95", 20, (r) => [r.startupMsMean, r.startupMsP50, r.startupMsP95].map(seconds).join("/")],
	["requests/page·s", 15, (r) => `${r.mediaRequestsPerPageSecond.toFixed(2)} + ${r.playlistRequestsPerPageSecond.toFixed(2)}`],
	["CPU/page", 8, (r) => percent(r.browserCpuShare)],
	["idle, others", 14, (r) => `${percent(r.idleShare)}, ${percent(r.othersCpuShare)}`],
];
const percent = (x) => (x === null ? "–" : `${(100 * x).toFixed(1)} %`);
const seconds = (ms) => (ms === null ? "–" : (ms / 1000).toFixed(2));
const line = (cells) => cells.map((cell, i) => String(cell).padEnd(columns[i][1])).join("  ").trimEnd();

export const heading = () => line(columns.map(([name]) => name));
export const row = (run) => line(columns.map(([, , show]) => show(run)));

/** What was promised, line by line. */
export const verdicts = (bars) => bars.map((b) => `${b.pass ? "pass" : "MISS"}  ${b.where}: ${b.what} ${b.measured}, bar ${b.bar}`).join("\n");
