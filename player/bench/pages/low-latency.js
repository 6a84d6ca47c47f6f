// hls.js as it comes, with a low-latency playlist, whoever serves it. How late a picture is, is read off the picture: it
// shows the time at which its publisher made it, as bars (low-latency.mjs).
import Hls from "hls.js";
import { errors, options, playlist, video } from "./page.js";

const EVERY_MS = 250;
const bits = Number(options.get("bits"));
const unitMs = Number(options.get("unit"));
const seen = [];
const hls = new Hls();
const element = video();
hls.on(Hls.Events.ERROR, (_, data) => errors.push(data.details));
hls.attachMedia(element);
hls.loadSource(playlist);

const canvas = document.createElement("canvas");
canvas.width = 320;
canvas.height = 1;
const brush = canvas.getContext("2d", { willReadFrequently: true });

setInterval(() => {
	if (element.readyState < 3 || element.currentTime === 0) return;
	const now = Date.now();
	brush.drawImage(element, 0, element.videoHeight / 2, element.videoWidth, 1, 0, 0, canvas.width, 1);
	const { data } = brush.getImageData(0, 0, canvas.width, 1);
	let shown = 0;
	for (let bit = bits - 1; bit >= 0; bit--) shown = shown * 2 + (data[4 * Math.floor(((bit + 0.5) * canvas.width) / bits)] > 127 ? 1 : 0);
	const span = 2 ** bits * unitMs;
	seen.push([now, (((now - shown * unitMs) % span) + span) % span]);
}, EVERY_MS);

window.ownStats = () => ({ latency: Math.round(hls.latency * 1000), target: Math.round((hls.targetLatency ?? 0) * 1000), glass: seen });
