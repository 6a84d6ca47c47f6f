// p2p-media-loader on the same hls.js, with a tracker of our own and no public servers. sync and window are
// liveSyncDurationCount and highDemandTimeWindow: its default (as far back as the playlist goes) is not a fair rival.
import Hls from "hls.js";
import { HlsJsP2PEngine } from "p2p-media-loader-hlsjs";
import { errors, options, playlist, video } from "./page.js";

const HlsWithP2P = HlsJsP2PEngine.injectMixin(Hls);
const bytes = { http: 0, p2p: 0, uploaded: 0 };
window.ownStats = () => bytes;
const hls = new HlsWithP2P({
	liveSyncDurationCount: Number(options.get("sync")),
	lowLatencyMode: false,
	p2p: {
		core: {
			highDemandTimeWindow: Number(options.get("window")),
			announceTrackers: [options.get("tracker")],
			rtcConfig: { iceServers: [] },
			swarmId: options.get("swarm"),
		},
		onHlsJsCreated(created) {
			created.p2pEngine.addEventListener("onChunkDownloaded", (length, source) => { bytes[source] += length; });
			created.p2pEngine.addEventListener("onChunkUploaded", (length) => { bytes.uploaded += length; });
		},
	},
});
hls.on(Hls.Events.ERROR, (_, data) => errors.push(data.details));
hls.attachMedia(video());
hls.loadSource(playlist);
