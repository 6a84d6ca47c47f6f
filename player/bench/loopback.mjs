// A place to measure at: this machine as it is. Links are loopback, and all pages are in one browser, each in a context
// of its own. The channel has 2 s segments at 1 Mb/s of a picture that is cheap to decode (320×180, 10 pictures a second,
// as noisy as the rate asks for), so that two cores carry the viewers of a swarm and not their decoders. It is silent: with
// sound, browsers play by the clock of a sound card that is not there, which falls behind when processors are busy.
import { execFile } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { binary, cast, json, scratch, startServices, until } from "./processes.mjs";

const ADDRESS = "127.0.0.1";
/** The rate of its sound is not used. */
const RUNG = "180p:320x180:1000:8";
const FRAME_RATE = 10;
const CLIP_SECONDS = 60;

/**
 * Starts origin and tracker as two programs, without a seeder: what a seeder sends costs an operator too, and the origin
 * would not count it.
 */
export async function onLoopback(lowLatency) {
	const directory = scratch();
	const [http, rtmp, meeting] = await Promise.all([freePort(), freePort(), freePort()]);
	const { start, close } = cast();
	try {
		const clip = join(directory, "clip.mp4");
		await makeClip(clip);
		const origin = start(binary, ["origin", `--http=${ADDRESS}:${http}`, `--rtmp=${ADDRESS}:${rtmp}`, `--data=${directory}/data`,
			`--tracker-url=ws://${ADDRESS}:${meeting}/tracker`, `--rung=${RUNG}`, `--frame-rate=${FRAME_RATE}`,
			...(lowLatency ? ["--low-latency"] : [])]);
		const [, key] = await origin.says(/stream key (\S+)/);
		start(binary, ["tracker", "--webtorrent", `--listen=${ADDRESS}:${meeting}`, `--token-key=${directory}/data/keys/token.key`]);
		start("ffmpeg", ["-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-fflags", "+genpts", "-i", clip, "-c", "copy",
			"-flvflags", "no_duration_filesize", "-f", "flv", `rtmp://${ADDRESS}:${rtmp}/live/${key}`]);
		const base = `http://${ADDRESS}:${http}`;
		const stats = () => json(`${base}/stats.json`);
		await until(async () => (await stats()).channels[0].renditions[0].published.segments >= 8, 60_000, () => `the channel did not go live:\n${origin.output}`);
		return {
			name: lowLatency ? "loopback, parts" : "loopback", lowLatency, close, stats, playlist: `${base}/live/demo/index.m3u8`, id: (await stats()).channels[0].id,
			...(await startServices(start, ADDRESS)), announce: `ws://${ADDRESS}:${meeting}/announce`,
			browserOf: () => ({ name: "all", flags: [] }),
		};
	} catch (error) {
		await close();
		throw error;
	}
}

/** More than a ladder's rate is thrown away by the transcoder; less could not be padded. */
async function makeClip(path) {
	await promisify(execFile)("ffmpeg", ["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", `testsrc2=size=320x180:rate=${FRAME_RATE}`,
		"-t", String(CLIP_SECONDS),
		"-vf", "noise=alls=60:allf=t,format=yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", String(FRAME_RATE),
		"-b:v", "1500k", "-maxrate", "1500k", "-bufsize", "1500k", path]);
}

export async function freePort() {
	const server = createServer();
	await new Promise((resolve) => server.listen(0, ADDRESS, resolve));
	const { port } = server.address();
	await new Promise((resolve) => server.close(resolve));
	return port;
}
