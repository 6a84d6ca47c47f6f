// Injected into every page before its own scripts: what a viewer goes through, read off the <video> element and nothing
// else, so that every system is measured by the same code. It knows no player.
//
// The origin stamps media by UTC (the tfdt of every segment is epoch time), and hls.js appends segments as they are with a
// timestampOffset: so the picture's epoch time is currentTime - timestampOffset, whatever the player believes.
(() => {
	const STARTING_EVERY_MS = 25;
	const PLAYING_EVERY_MS = 100;
	const LATENCY_EVERY_MS = 500;
	/** Standing for less is a frame or two that nobody sees. */
	const MIN_STALL_MS = 100;
	const MIN_SKIP_MS = 300;
	const MAX_ENTRIES = 10_000;
	/** How long after navigation everything is kept that explains the startup. */
	const STARTUP_MS = 5000;
	const EVENTS = ["loadedmetadata", "loadeddata", "canplay", "playing", "waiting", "seeking", "seeked", "stalled"];

	const record = { timeOrigin: performance.timeOrigin, startupMs: null, latency: [], stalls: [], skips: [], events: [] };
	let offset; // seconds, of the newest append
	let standing; // the stall under way
	let last; // {now, time}
	let latencyAt = 0;

	const { appendBuffer } = SourceBuffer.prototype;
	SourceBuffer.prototype.appendBuffer = function (data) {
		offset = this.timestampOffset;
		note(`append ${data.byteLength}`);
		return appendBuffer.call(this, data);
	};

	const find = () => document.querySelector("video") ?? document.querySelector("slipstream-player")?.shadowRoot?.querySelector("video");
	const keep = (list, entry) => list.length < MAX_ENTRIES && list.push(entry);

	function note(what) {
		const now = performance.now();
		if (now < STARTUP_MS) keep(record.events, [Math.round(now), what]);
	}

	let listening = false;
	function tick() {
		const video = find();
		if (video && !listening) for (const type of EVENTS) video.addEventListener(type, () => note(`${type} ${video.currentTime.toFixed(3)}`));
		listening ||= video !== undefined && video !== null;
		if (video) observe(video, performance.now());
		setTimeout(tick, record.startupMs === null ? STARTING_EVERY_MS : PLAYING_EVERY_MS);
	}

	function observe(video, now) {
		const time = video.currentTime;
		const before = last;
		last = { now, time };
		if (!before) return;
		const passed = now - before.now;
		const played = (time - before.time) * 1000;
		if (record.startupMs === null) {
			// The seek to where playback begins is no progress.
			if (played > 0 && played < 1000 && !video.seeking && video.readyState >= 3) record.startupMs = now;
			return;
		}
		const skipped = played < 0 ? played : played - passed;
		if (played < 0 || skipped >= MIN_SKIP_MS) keep(record.skips, { atMs: Date.now(), ms: Math.round(skipped) });
		// The page is always meant to play: nobody pauses it.
		if (played < passed / 2) {
			standing ??= { atMs: Date.now() - passed, ms: 0 };
			standing.ms += passed - Math.max(0, played);
		} else if (standing) {
			if (standing.ms >= MIN_STALL_MS) keep(record.stalls, standing);
			standing = undefined;
		}
		if (now - latencyAt >= LATENCY_EVERY_MS && offset !== undefined) {
			latencyAt = now;
			keep(record.latency, [Date.now(), Math.round(Date.now() - (time - offset) * 1000)]);
		}
	}

	/** What was loaded while the page started, to explain how long that took. */
	const resources = () => performance.getEntriesByType("resource").filter((r) => r.startTime < STARTUP_MS)
		.map((r) => [Math.round(r.startTime), Math.round(r.responseEnd), r.name, r.transferSize]);

	/** What was seen so far, a stall under way included. */
	window.watched = () => ({
		...record, resources: resources(),
		stalls: standing?.ms >= MIN_STALL_MS ? [...record.stalls, standing] : record.stalls,
	});
	tick();
})();
