// When pages join, and from what was recorded to what is reported. Pure: records and counters in, figures out.

const SEGMENT_MS = 2000;

/** Standing for less is not counted as a stall: browsers under load drop a frame or two whoever feeds them. */
export const STALL_MS = 250;
const MEDIA = ["segment", "part", "leaves", "init"];
const PLAYLISTS = ["playlist", "multivariant"];

/**
 * When each page joins. How far behind live a player starts depends on when within a segment it asks: so the moments are
 * fixed to the segment grid, the same for every system, and spread over it evenly (by the golden ratio).
 */
export function joinTimes(nowMs, pages, joinMs) {
	const firstMs = Math.ceil(nowMs / SEGMENT_MS) * SEGMENT_MS;
	return Array.from({ length: pages }, (_, i) => firstMs + i * joinMs + Math.floor(SEGMENT_MS * ((i * 0.618034) % 1)));
}

/** The value below which a share q of the values lie (nearest rank); null of nothing. */
export function quantile(values, q) {
	if (values.length === 0) return null;
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))];
}

/** What an origin served and published between two readings of its /stats.json. */
export function served(before, after) {
	const [a, b] = [after.channels[0], before.channels[0]];
	const sum = (kinds, what) => kinds.reduce((total, kind) => total + a.http[kind][what] - b.http[kind][what], 0);
	const published = (channel, what) => channel.renditions.reduce((total, r) => total + r.published[what], 0);
	return {
		mediaBytes: sum(MEDIA, "bytes"), mediaRequests: sum(MEDIA, "requests"),
		playlistBytes: sum(PLAYLISTS, "bytes"), playlistRequests: sum(PLAYLISTS, "requests"),
		publishedBytes: published(a, "bytes") - published(b, "bytes"),
		publishedSegments: published(a, "segments") - published(b, "segments"),
	};
}

/**
 * The most that peers can carry: of N viewers' bytes at bitrate r, the CDN sends at least max(r, N·r − Σu)
 * (Kumar, Liu, Ross 2007). uplinks in bit/s; none: unlimited.
 */
export function offloadBound(viewers, bitrate, uplinks) {
	const sum = uplinks?.reduce((a, b) => a + b, 0) ?? Infinity;
	return 1 - Math.max(bitrate, viewers * bitrate - sum) / (viewers * bitrate);
}

/**
 * The figures of one run.
 * @param run {system, pages, window: {fromMs, toMs}, before, after, records, cpu: {before, after}, uplinks?}
 */
export function figures(run) {
	const { fromMs, toMs } = run.window;
	const within = (atMs) => atMs >= fromMs && atMs < toMs;
	const origin = served(run.before, run.after);
	const copies = origin.mediaBytes / origin.publishedBytes;
	const seconds = (toMs - fromMs) / 1000;
	const offload = 1 - copies / run.pages;
	const bound = offloadBound(run.pages, (origin.publishedBytes * 8) / seconds, run.uplinks);
	const stalls = run.records.flatMap((r) => r.stalls.filter((s) => within(s.atMs) && s.ms >= STALL_MS));
	const earlier = run.records.flatMap((r) => r.stalls.filter((s) => s.atMs < fromMs && s.ms >= STALL_MS));
	const skips = run.records.flatMap((r) => r.skips.filter((s) => within(s.atMs)));
	const latencies = run.records.map((r) => r.latency.filter(([atMs]) => within(atMs)).map(([, ms]) => ms));
	const latency = latencies.flat();
	const startup = run.records.map((r) => r.startupMs).filter((ms) => ms !== null);
	const perPageSecond = (n) => n / run.pages / seconds;
	return {
		system: run.system, pages: run.pages, seconds: round(seconds, 1),
		started: startup.length,
		copies: round(copies, 3), offload: round(offload, 4), bound: round(bound, 4), shareOfBound: bound > 0 ? round(offload / bound, 4) : null,
		stalls: stalls.length, stallSeconds: round(total(stalls) / 1000, 2),
		stallsBefore: earlier.length, stallSecondsBefore: round(total(earlier) / 1000, 2),
		skips: skips.length, skippedSeconds: round(total(skips) / 1000, 2),
		latencyMsMean: mean(latency), latencyMsP50: quantile(latency, 0.5), latencyMsP95: quantile(latency, 0.95),
		latencyMsByPage: latencies.map((ms) => quantile(ms, 0.5)),
		startupMsMean: mean(startup), startupMsP50: whole(quantile(startup, 0.5)), startupMsP95: whole(quantile(startup, 0.95)),
		mediaRequestsPerPageSecond: round(perPageSecond(origin.mediaRequests), 3),
		playlistRequestsPerPageSecond: round(perPageSecond(origin.playlistRequests), 3),
		...cost(run.cpu, seconds, run.pages),
		origin,
	};
}

/** How late pictures are by the clock that is drawn into them (pages/low-latency.js), within the window; and by hls.js's own estimate. */
export function glassToGlass({ window: { fromMs, toMs }, records }) {
	const pages = records.map((r) => r.ownAfter.glass.filter(([atMs]) => atMs >= fromMs && atMs < toMs).map(([, ms]) => ms));
	return {
		glassMsP50: quantile(pages.flat(), 0.5), glassMsP95: quantile(pages.flat(), 0.95), glassMsByPage: pages.map((ms) => quantile(ms, 0.5)),
		estimateMsByPage: records.map((r) => r.ownAfter.latency), targetMsByPage: records.map((r) => r.ownAfter.target),
	};
}

/** What browsers cost; and whether the machine was ours: what others used of it, and what nobody did, of all its cores. */
function cost({ before, after }, seconds, pages) {
	const used = (what) => after[what] - before[what];
	const capacity = used("machine") + used("idle");
	return {
		browserCpuSeconds: round(used("browsers"), 1), browserCpuShare: round(used("browsers") / seconds / pages, 4),
		othersCpuShare: round(Math.max(0, used("machine") - used("ours")) / capacity, 4), idleShare: round(used("idle") / capacity, 4),
	};
}

const total = (list) => list.reduce((sum, entry) => sum + entry.ms, 0);
const mean = (values) => (values.length ? Math.round(values.reduce((a, b) => a + b) / values.length) : null);
const whole = (value) => (value === null ? null : Math.round(value));
const round = (value, digits) => Math.round(value * 10 ** digits) / 10 ** digits;
