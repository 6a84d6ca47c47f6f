// hls.js as it comes: what every other system is held against.
import Hls from "hls.js";
import { errors, options, playlist, video } from "./page.js";

const hls = new Hls(options.get("latency") === "low" ? {} : { liveSyncDurationCount: 3, lowLatencyMode: false });
hls.on(Hls.Events.ERROR, (_, data) => errors.push(data.details));
hls.attachMedia(video());
hls.loadSource(playlist);
