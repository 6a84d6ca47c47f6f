// A live channel to measure on: 2 s segments at 1 Mb/s of a picture that is cheap to decode (320×180, 10 pictures a
// second, as noisy as the rate asks for), so that two cores carry the viewers of a swarm and not their decoders.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Program, until } from "./processes.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
export const binary = here("../../bin/slipstream");
/** Sound and the container's overhead included it is 1 Mb/s. */
const LADDER = "180p=320x180:920+64";
const FRAME_RATE = 10;
const SOURCE_SECONDS = 60;

/**
 * Starts origin and tracker as two programs, without a seeder: what a seeder sends costs an operator too, and the origin
 * would not count it.
 * @param stage {address, wrap(command, args)}: where servers run and how they are reached, see stage.mjs
 */
export async function startChannel(stage) {
	const scratch = await mkdtemp(join(tmpdir(), "slipstream-bench-"));
	const [http, rtmp, meeting] = [await freePort(), await freePort(), await freePort()];
	const programs = [];
	const start = (command, args) => {
		const program = new Program(...stage.wrap(command, args));
		programs.push(program);
		return program;
	};
	const close = async () => {
		for (const program of programs.reverse()) await program.end();
		await rm(scratch, { recursive: true, force: true });
	};
	try {
		const clip = join(scratch, "clip.mp4");
		await makeClip(clip);
		const origin = start(binary, ["origin", `--http=${stage.address}:${http}`, `--rtmp=${stage.address}:${rtmp}`, `--data=${scratch}/data`,
			`--tracker-url=ws://${stage.address}:${meeting}/tracker`, `--ladder=${LADDER}`, `--frame-rate=${FRAME_RATE}`]);
		const [, id] = await origin.says(/channel demo \((\S+)\)/);
		const [, key] = await origin.says(/stream key (\S+)/);
		start(binary, ["tracker", `--listen=${stage.address}:${meeting}`, `--token-key=${scratch}/data/keys/token.key`]);
		start("ffmpeg", ["-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-fflags", "+genpts", "-i", clip, "-c", "copy",
			"-flvflags", "no_duration_filesize", "-f", "flv", `rtmp://${stage.address}:${rtmp}/live/${key}`]);
		const services = start(process.execPath, [here("services.mjs"), stage.address]);
		const { pages, webtorrent } = JSON.parse((await services.says(/^\{.*\}$/m))[0]);
		const base = `http://${stage.address}:${http}`;
		const channel = { base, id, pages, webtorrent, playlist: `${base}/live/demo/index.m3u8`, close, stats: () => stage.json(`${base}/stats.json`) };
		await until(async () => (await channel.stats()).channels[0].renditions[0].published.segments >= 8, 60_000, () => `the channel did not go live:\n${origin.output}`);
		return channel;
	} catch (error) {
		await close();
		throw error;
	}
}

/** More than a ladder's rate is thrown away by the transcoder, less could not be padded. */
async function makeClip(path) {
	await promisify(execFile)("ffmpeg", ["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", `testsrc2=size=320x180:rate=${FRAME_RATE}`,
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", String(SOURCE_SECONDS),
		"-vf", "noise=alls=60:allf=t,format=yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", String(FRAME_RATE),
		"-b:v", "1500k", "-maxrate", "1500k", "-bufsize", "1500k", "-c:a", "aac", "-b:a", "64k", "-ac", "2", path]);
}

async function freePort() {
	const server = createServer();
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address();
	await new Promise((resolve) => server.close(resolve));
	return port;
}
