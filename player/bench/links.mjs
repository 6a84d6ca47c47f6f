// A place to measure at: emulated hosts behind access lines (`slipstream sim emulate --keep`: Linux, root), one browser on
// each. 60 ms of round trip between viewers, 20 Mb/s down, one page in four with next to no uplink.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binary, cast, json, scratch, startServices } from "./processes.mjs";

const DOWNLINK = "20Mbps";
const POOR_UPLINK_BPS = 100_000;
/** Every fourth line is a poor one; which of them is drawn from the seed. */
const POOR_SHARE = 0.25;
const SEED = 1;

/** @param uplinkMbps of the good lines; loss: share of packets lost each way, between any two hosts; lowLatency: with parts */
export async function onLinks(pages, uplinkMbps, loss, lowLatency) {
	const directory = scratch();
	const { start, close } = cast();
	try {
		const scenario = join(directory, "links.yaml");
		await writeFile(scenario, describe(pages, uplinkMbps, loss));
		// The origin, which the emulator starts, hears of it by its environment.
		const emulator = start(binary, ["sim", "emulate", "--keep", scenario], lowLatency ? { SLIPSTREAM_LOW_LATENCY: "true" } : {});
		const [line] = await emulator.says(/^\{.*\}$/m, 90_000);
		const { hosts, origin, playlist, control } = JSON.parse(line);
		const poor = hosts.filter((h) => h.uplinkBps === POOR_UPLINK_BPS).length;
		if (poor !== Math.round(pages * POOR_SHARE)) throw new Error(`${poor} of ${pages} lines are poor, not one in four: choose another seed`);
		const stats = () => json(`${control}/stats.json`);
		const services = await startServices((command, args) => start(origin.run, [command, ...args]), origin.address);
		return {
			name: `${uplinkMbps} Mb/s up, ${loss * 100} % loss${lowLatency ? ", parts" : ""}`, lowLatency, close, stats, playlist, id: (await stats()).channels[0].id, ...services,
			links: { uplinkMbps, loss }, uplinks: hosts.map((h) => h.uplinkBps),
			browserOf: (i) => ({
				name: hosts[i].name, executablePath: hosts[i].browser,
				// Plain http to an address is no secure context, and WebCrypto wants one; the emulated network resolves no mDNS names.
				flags: [`--unsafely-treat-insecure-origin-as-secure=${services.pages}`, "--disable-features=WebRtcHideLocalIpsWithMdns"],
			}),
		};
	} catch (error) {
		await close();
		throw error;
	}
}

const describe = (pages, uplinkMbps, loss) => `
seed: ${SEED}
duration: 60min
stream: { bitrate: 1Mbps, windowSegments: 30 }
viewers:
  count: ${pages}
  lines:
    - { share: ${100 - 100 * POOR_SHARE}%, uplink: ${uplinkMbps * 1000}kbps, downlink: ${DOWNLINK} }
    - { share: ${100 * POOR_SHARE}%, uplink: ${POOR_UPLINK_BPS / 1000}kbps, downlink: ${DOWNLINK} }
network: { oneWay: 30ms, loss: ${loss * 100}% }
`;
