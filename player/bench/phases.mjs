// Where a page's start went: from what sampler.js and milestones.js noted to moments, in ms after navigation. Pure.

/** In the order in which they come to pass with plain hls.js. */
export const PHASES = [
	"script here", "worker asked for", "worker answers",
	"multivariant asked", "multivariant here", "playlist asked", "playlist here", "playlist verified",
	"init asked", "segment asked", "init here", "segment here", "segment delivered",
	"init appended", "segment appended", "metadata", "first picture",
];

/** The first of each. What a system does not do, or does out of the page's sight, is left out. */
export function phases({ resources, events, workerSaid = [] }) {
	const first = (moments) => (moments.length > 0 ? Math.round(Math.min(...moments)) : undefined);
	const last = (moments) => (moments.length > 0 ? Math.round(Math.max(...moments)) : undefined);
	const loads = (pattern) => resources.filter(([, , url]) => pattern.test(url));
	const asked = (pattern) => first(loads(pattern).map(([from]) => from));
	const here = (pattern) => first(loads(pattern).map(([, to]) => to));
	const event = (pattern) => first(events.filter(([, what]) => pattern.test(what)).map(([at]) => at));
	const said = (what, least = 0) => first(workerSaid.filter(([, w, bytes]) => w === what && bytes >= least).map(([at]) => at));
	const moments = {
		"script here": last(loads(/\.js$/).map(([, to]) => to)),
		"worker asked for": said("page starts it"), "worker answers": said("core ready"),
		"multivariant asked": asked(MULTIVARIANT), "multivariant here": here(MULTIVARIANT),
		"playlist asked": asked(MEDIA), "playlist here": here(MEDIA), "playlist verified": said("core playlist"),
		"init asked": asked(INIT), "init here": here(INIT), "segment asked": asked(SEGMENT), "segment here": here(SEGMENT),
		"segment delivered": said("core bytes", SEGMENT_BYTES),
		"init appended": event(/^append \d{1,4}$/), "segment appended": event(/^append \d{5,}$/),
		"metadata": event(/^loadedmetadata/), "first picture": event(/^playing/),
	};
	return Object.fromEntries(Object.entries(moments).filter(([, at]) => at !== undefined));
}

const MULTIVARIANT = /\/live\/[^/]+\/index\.m3u8/;
const MEDIA = /\/live\/[^/]+\/[^/]+\/index\.m3u8/;
const INIT = /init-[^/]*\.mp4/;
const SEGMENT = /\/\d+\.m4s$/;
/** An init section is smaller. */
const SEGMENT_BYTES = 10_000;
