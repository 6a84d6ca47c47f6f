// A tracker for benchmarks, without a library: it introduces two viewers, and gives all duties to one of them. Its WebSocket
// (RFC 6455) knows short text messages and nothing else.
import { createHash } from "node:crypto";

const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Answers upgrades of a node HTTP server. The first viewer to join gets the duties. */
export function attachTracker(server, rendition) {
	const members = [];
	server.on("upgrade", (request, socket) => {
		const accept = createHash("sha1").update(request.headers["sec-websocket-key"] + MAGIC).digest("base64");
		socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
		socket.on("error", () => undefined);
		const me = { id: String(members.length + 1).padStart(16, "0"), say: (m) => socket.write(frame(JSON.stringify(m))) };
		let rest = Buffer.alloc(0);
		socket.on("data", (chunk) => {
			rest = Buffer.concat([rest, chunk]);
			for (let read; (read = unframe(rest)); rest = read.rest) if (read.text) heard(me, JSON.parse(read.text));
		});
	});

	function heard(me, m) {
		if (m.type === "signal") members.find((x) => x.id === m.to)?.say({ type: "signal", from: me.id, signal: m.signal });
		if (m.type !== "join") return;
		me.say({ type: "welcome", id: me.id, reportMs: 5000, viewers: members.length + 1 });
		me.say({ type: "duty", duties: members.length ? [] : [{ rendition, stripes: 0xffff }] });
		for (const other of members) {
			me.say({ type: "neighbour", id: other.id, offer: true });
			other.say({ type: "neighbour", id: me.id, offer: false });
		}
		members.push(me);
	}
}

function frame(text) {
	const body = Buffer.from(text);
	const head = body.length < 126 ? [0x81, body.length] : [0x81, 126, body.length >> 8, body.length & 255];
	return Buffer.concat([Buffer.from(head), body]);
}

function unframe(bytes) {
	if (bytes.length < 6) return undefined;
	let [at, length] = [2, bytes[1] & 127];
	if (length === 126) [at, length] = [4, bytes.readUInt16BE(2)];
	const end = at + 4 + length;
	if (bytes.length < end) return undefined;
	const body = bytes.subarray(at + 4, end).map((b, i) => b ^ bytes[at + (i & 3)]);
	return { text: (bytes[0] & 15) === 1 ? body.toString() : "", rest: bytes.subarray(end) };
}
