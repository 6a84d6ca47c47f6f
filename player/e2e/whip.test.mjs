// A browser as the publisher: what it sends over WHIP is seen and heard in another page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort, launch, live, open, pause, playhead, settled, stallsSince, startChannel } from "./harness.mjs";

test("a page publishes over WHIP, and another page plays it", async (t) => {
	const channel = await startChannel(t, ["--source=none", `--whip=127.0.0.1:${await freePort()}`]);
	const [, key] = await channel.program.says(/bearer token (\S+)/);
	const browser = await launch(t);
	const studio = await open(browser, `${channel.base}/livez`);
	assert.equal(await studio.evaluate(publish, "guess"), 401);
	assert.equal(await studio.evaluate(publish, key), 201);
	await live(channel);
	const page = await open(browser, channel.watch);
	await settled(page);
	const before = await playhead(page);
	await pause(6_000);
	const after = await playhead(page);
	const heard = await page.evaluate(() => {
		const player = document.querySelector("slipstream-player");
		return (player.shadowRoot?.querySelector("video") ?? player.querySelector("video")).webkitAudioDecodedByteCount;
	});
	assert.ok(after.time - before.time > 5, `the page played ${after.time - before.time} s in 6 s`);
	assert.ok(after.frames > before.frames, "the picture stands still");
	assert.ok(heard > 0, "there is no sound");
	assert.equal(await stallsSince(page), 0);
	const end = await studio.evaluate(async (key) =>
		(await fetch(window.session, { method: "DELETE", headers: { Authorization: `Bearer ${key}` } })).status, key);
	assert.equal(end, 200);
});

/** Runs in the page: a coloured canvas and a tone. */
async function publish(key) {
	const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 180 });
	const painter = canvas.getContext("2d");
	let frame = 0;
	setInterval(() => {
		painter.fillStyle = `hsl(${frame++ % 360} 80% 50%)`;
		painter.fillRect(0, 0, canvas.width, canvas.height);
	}, 33);
	const audio = new AudioContext();
	const [tone, sound] = [audio.createOscillator(), audio.createMediaStreamDestination()];
	tone.connect(sound);
	tone.start();
	const pc = window.pc = new RTCPeerConnection();
	const stream = new MediaStream([...canvas.captureStream(30).getTracks(), ...sound.stream.getTracks()]);
	for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: "sendonly", streams: [stream] });
	await pc.setLocalDescription();
	const answer = await fetch("/whip/demo", {
		method: "POST", body: pc.localDescription.sdp, headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${key}` },
	});
	if (answer.ok) {
		window.session = answer.headers.get("Location");
		await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
	}
	return answer.status;
}
