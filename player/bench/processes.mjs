// Programs that the benchmark starts, and what browsers cost. Every child ends with us.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
export const binary = here("../../bin/slipstream");

const children = new Set();
const directories = new Set();
process.on("exit", () => {
	for (const child of children) child.kill("SIGINT"); // all of them clean up behind themselves
	for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** A directory that lasts as long as we do. */
export function scratch() {
	const directory = mkdtempSync(join(tmpdir(), "slipstream-bench-"));
	directories.add(directory);
	return directory;
}

/** A program whose output is kept; end() closes its input, interrupts it, and waits. */
class Program {
	constructor(command, args, environment = {}) {
		this.name = [command, ...args].join(" ");
		this.output = "";
		this.child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...environment } });
		children.add(this.child);
		for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (b) => { this.output = (this.output + b).slice(-1_000_000); });
		this.child.stdin.on("error", () => undefined); // it may have ended already
		this.ended = once(this.child, "close").then(() => { children.delete(this.child); });
		this.child.on("error", (error) => { this.output += error.message; });
	}

	/** Waits until the output matches. */
	async says(pattern, timeoutMs = 20_000) {
		await until(() => pattern.test(this.output) || this.child.exitCode !== null, timeoutMs, () => `${this.name} did not say ${pattern}; it said:\n${this.output}`);
		const match = pattern.exec(this.output);
		if (!match) throw new Error(`${this.name} ended with:\n${this.output}`);
		return match;
	}

	async end() {
		if (this.child.exitCode === null && this.child.signalCode === null) {
			this.child.stdin.end();
			this.child.kill("SIGINT");
		}
		await this.ended;
	}
}

/** Programs that belong together: close() ends them, the last one first. */
export function cast() {
	const programs = [];
	return {
		start(command, args, environment) {
			programs.push(new Program(command, args, environment));
			return programs.at(-1);
		},
		async close() {
			for (const program of programs.reverse()) await program.end();
		},
	};
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for a condition; the message is computed when it fails. */
export async function until(condition, timeoutMs, message) {
	const end = Date.now() + timeoutMs;
	while (!(await condition())) {
		if (Date.now() > end) throw new Error(await message());
		await pause(50);
	}
}

export async function json(url) {
	const response = await fetch(url);
	if (!response.ok) throw new Error(`${url} answered ${response.status}`);
	return response.json();
}

/** The pages' files and the WebTorrent tracker, on an address. */
export async function startServices(start, address) {
	return JSON.parse((await start(process.execPath, [here("services.mjs"), address]).says(/^\{.*\}$/m))[0]);
}

/**
 * CPU seconds used so far: by browsers among our descendants, by all that we started, and by the whole machine; and its
 * idle seconds (proc(5); Linux counts in hundredths).
 */
export async function cpuSeconds() {
	const [, ...jiffies] = (await readFile("/proc/stat", "utf8")).split("\n", 1)[0].split(/\s+/).map(Number);
	const [user, nice, system, idle, iowait, irq, softirq] = jiffies;
	const processes = new Map();
	for (const pid of await readdir("/proc")) {
		if (!/^\d+$/.test(pid)) continue;
		const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined); // it may just have ended
		if (!stat) continue;
		const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // from field 3 on
		processes.set(Number(pid), { name, parent: Number(fields[1]), ticks: [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0) });
	}
	const isOurs = (pid) => pid === process.pid || (processes.has(pid) && isOurs(processes.get(pid).parent));
	let [browsers, ours] = [0, 0];
	for (const [pid, p] of processes) {
		if (!isOurs(pid)) continue;
		ours += p.ticks;
		if (/^chrom/.test(p.name)) browsers += p.ticks;
	}
	return { browsers: browsers / 100, ours: ours / 100, machine: (user + nice + system + irq + softirq) / 100, idle: (idle + iowait) / 100 };
}
