// `MEDIAMTX=/path/to/mediamtx node bench/low-latency.mjs`: our low-latency HLS beside MediaMTX's, in turns, on one machine and
// from one publisher, with hls.js as it comes. One JSON object on stdout, a table on stderr.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measure } from "./audience.mjs";
import { freePort } from "./loopback.mjs";
import { figures, glassToGlass } from "./measure.mjs";
import { binary, cast, json, pause, scratch, startServices, until } from "./processes.mjs";

const { values: options } = parseArgs({
	options: {
		pages: { type: "string", default: "3" },
		rounds: { type: "string", default: "2" }, // of each system
		warm: { type: "string", default: "8" }, // seconds from the last page to the measurement
		measure: { type: "string", default: "15" }, // seconds
		systems: { type: "string", default: "mediamtx,ours" },
		"hold-back": { type: "string", default: "2.5" }, // of ours, in parts; MediaMTX's is that
		json: { type: "string" }, // a file instead of stdout
	},
});
const ADDRESS = "127.0.0.1";
const FRAME_RATE = 25;
/** The picture is 16 bars, black or white: the publisher's clock in hundredths of a second, the lowest bit on the left. */
const CLOCK = { bits: 16, unit: 10 };
const SEGMENT_S = 2;
const PART_MS = 500;
/** Ours may be so much later. */
const MAX_LATER_MS = 100;

/** Wall-clock time becomes the pictures' time, is drawn, and is forgotten. */
const clock = `setpts=RTCTIME/1000000/TB,geq=lum='255*mod(floor(floor(T*100)/pow(2\\,floor(X/${320 / CLOCK.bits})))\\,2)':cb=128:cr=128,setpts=N/(${FRAME_RATE}*TB)`;

async function open() {
	const directory = scratch();
	const { start, close } = cast();
	try {
		const [http, rtmp, rivalHTTP, rivalRTMP] = await Promise.all(Array.from({ length: 4 }, freePort));
		const origin = start(binary, ["origin", "--low-latency", `--part-hold-back=${options["hold-back"]}`, `--http=${ADDRESS}:${http}`, `--rtmp=${ADDRESS}:${rtmp}`, `--data=${directory}/data`,
			"--rung=180p:320x180:1000:8", `--frame-rate=${FRAME_RATE}`]);
		const [, key] = await origin.says(/stream key (\S+)/);
		const settings = join(directory, "mediamtx.yml");
		await writeFile(settings, rivalSettings(rivalHTTP, rivalRTMP));
		const rival = start(process.env.MEDIAMTX, [settings]);
		await until(() => answers(`http://${ADDRESS}:${rivalHTTP}/`), 10_000, () => `MediaMTX does not answer:\n${rival.output}`);
		// One encoder for both. Ours is sent through another by the origin, as every stream is; that is part of its latency.
		start("ffmpeg", ["-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", `color=size=320x180:rate=${FRAME_RATE}`, "-vf", clock,
			"-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", String(FRAME_RATE * SEGMENT_S), "-b:v", "1000k",
			"-map", "0:v", "-flags", "+global_header", "-f", "tee",
			`[f=flv:flvflags=no_duration_filesize]rtmp://${ADDRESS}:${rtmp}/live/${key}|[f=flv:flvflags=no_duration_filesize]rtmp://${ADDRESS}:${rivalRTMP}/live`]);
		const base = `http://${ADDRESS}:${http}`;
		const stats = () => json(`${base}/stats.json`);
		const playlists = { ours: `${base}/live/demo/index.m3u8`, mediamtx: `http://${ADDRESS}:${rivalHTTP}/live/index.m3u8` };
		await until(async () => (await stats()).channels[0].renditions[0].published.segments >= 8, 60_000, () => `the channel did not go live:\n${origin.output}`);
		await until(() => answers(playlists.mediamtx), 20_000, () => `MediaMTX has no stream:\n${rival.output}`);
		return {
			close, stats, playlists, playlist: playlists.ours, ...(await startServices(start, ADDRESS)),
			browserOf: () => ({ name: "all", flags: [] }),
		};
	} catch (error) {
		await close();
		throw error;
	}
}

const answers = (url) => fetch(url).then((answer) => answer.ok || answer.status === 404 && !url.endsWith(".m3u8"), () => false);

const rivalSettings = (http, rtmp) => `
logLevel: warn
rtsp: no
webrtc: no
srt: no
moq: no
rtmpAddress: ${ADDRESS}:${rtmp}
hlsAddress: ${ADDRESS}:${http}
hlsAlwaysRemux: yes
hlsVariant: lowLatency
hlsSegmentDuration: ${SEGMENT_S}s
hlsPartDuration: ${PART_MS}ms
paths:
  all_others:
`;

if (!process.env.MEDIAMTX) {
	console.error("MEDIAMTX names no program: build MediaMTX (bench/README.md says how) and give its path.");
	process.exit(2);
}
const place = await open();
const runs = [];
try {
	for (let round = 0; round < Number(options.rounds); round++) {
		for (const system of options.systems.split(",")) {
			const raw = await measure(place, {
				system, pages: Number(options.pages), joinMs: 700, warmMs: Number(options.warm) * 1000, measureMs: Number(options.measure) * 1000,
				open: () => ["low-latency", { playlist: place.playlists[system], ...CLOCK }],
			});
			const { startupMsP50, startupMsMean, stalls, stallSeconds, started, idleShare, othersCpuShare } = figures(raw);
			const run = { system, round, started, ...glassToGlass(raw), startupMsP50, startupMsMean, stalls, stallSeconds, idleShare, othersCpuShare };
			runs.push({ ...run, raw });
			console.error(JSON.stringify(run));
			await pause(500);
		}
	}
} finally {
	await place.close();
}
/** Of all pages: where within a part one joins moves it by half a second, so it takes many. */
const meanOf = (system) => {
	const pages = runs.filter((r) => r.system === system).flatMap((r) => r.glassMsByPage);
	return Math.round(pages.reduce((sum, ms) => sum + ms, 0) / pages.length);
};
const bars = [{ what: "stalls", measured: runs.filter((r) => r.system === "ours").reduce((sum, r) => sum + r.stalls, 0), bar: 0 }];
if (runs.some((r) => r.system === "mediamtx")) {
	bars.unshift({ what: "later than MediaMTX, glass to glass, mean of all pages (ms)", measured: meanOf("ours") - meanOf("mediamtx"), bar: MAX_LATER_MS });
}
for (const bar of bars) bar.pass = bar.measured <= bar.bar;
for (const bar of bars) console.error(`${bar.pass ? "met" : "MISSED"}: ${bar.what}: ${bar.measured}, at most ${bar.bar}`);
const report = `${JSON.stringify({ benchmark: "low latency", options, segmentS: SEGMENT_S, partMs: PART_MS, bars, runs })}\n`;
if (options.json) await writeFile(options.json, report);
else process.stdout.write(report);
