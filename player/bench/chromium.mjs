// Drives Chromium through its debugging pipe, and wants no more of it than a benchmark needs. A driver for tests, such as
// Playwright, has every request reported and holds each new worker until it has answered, which costs the systems that are
// measured: the one with a worker, and the one with many requests, more than the others.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { scratch } from "./processes.mjs";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = [
	"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-startup-window", "--mute-audio", "--hide-scrollbars",
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions",
	"--disable-breakpad", "--disable-dev-shm-usage", "--metrics-recording-only", "--password-store=basic",
	"--autoplay-policy=no-user-gesture-required",
	"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
];

/** Starts a browser. */
export async function launch({ executablePath = CHROMIUM, flags = [] } = {}) {
	const child = spawn(executablePath, [...FLAGS, ...flags, `--user-data-dir=${scratch()}`, "--remote-debugging-pipe"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
	const browser = new Browser(child);
	await browser.send("Browser.getVersion");
	return browser;
}

/** Commands go out on file descriptor 3, answers and events come in on 4: JSON, each ended by a zero byte. */
class Browser {
	constructor(child) {
		this.child = child;
		this.asked = new Map(); // by the command's id
		this.pages = new Map(); // by the session's id
		this.id = 0;
		let text = "";
		child.stdio[4].setEncoding("utf8").on("data", (chunk) => {
			const messages = (text + chunk).split("\0");
			text = messages.pop();
			for (const message of messages) this.hear(JSON.parse(message));
		});
		child.stdio[3].on("error", () => undefined); // it has ended, which is told below
		const ended = (why) => {
			for (const { reject } of this.asked.values()) reject(new Error(`the browser ended${why}`));
			this.asked.clear();
		};
		child.on("error", (error) => ended(`: ${error.message}`)).on("exit", () => ended(""));
	}

	send(method, params = {}, sessionId = undefined) {
		const id = ++this.id;
		this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
		return new Promise((resolve, reject) => this.asked.set(id, { resolve, reject }));
	}

	hear({ id, result, error, method, params, sessionId }) {
		if (id === undefined) return this.pages.get(sessionId)?.hear(method, params);
		const asked = this.asked.get(id);
		this.asked.delete(id);
		if (error) asked?.reject(new Error(error.message));
		else asked?.resolve(result);
	}

	/** A page of its own: no other one's cache, no other one's storage. */
	async page(width, height) {
		const { browserContextId } = await this.send("Target.createBrowserContext");
		const { targetId } = await this.send("Target.createTarget", { url: "about:blank", browserContextId, width, height });
		const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
		const page = new Page(this, sessionId, browserContextId);
		this.pages.set(sessionId, page);
		for (const domain of ["Page", "Runtime", "Log"]) await page.send(`${domain}.enable`);
		return page;
	}

	async close() {
		if (this.child.exitCode !== null || this.child.signalCode !== null) return;
		const ended = once(this.child, "exit");
		this.send("Browser.close").catch(() => undefined);
		await ended;
	}
}

class Page {
	/** What went wrong in it. */
	complaints = [];

	constructor(browser, sessionId, browserContextId) {
		Object.assign(this, { browser, sessionId, browserContextId });
	}

	send(method, params) {
		return this.browser.send(method, params, this.sessionId);
	}

	hear(method, params) {
		if (method === "Runtime.exceptionThrown") this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
		if (method === "Runtime.consoleAPICalled" && params.type === "error") this.complaints.push(params.args.map((a) => a.value ?? a.description).join(" "));
		if (method === "Log.entryAdded" && params.entry.level === "error") this.complaints.push(`${params.entry.text} ${params.entry.url ?? ""}`);
	}

	/** Has a script run before those of every page to come. */
	before(source) {
		return this.send("Page.addScriptToEvaluateOnNewDocument", { source });
	}

	/** Goes to an address, and waits until it has answered, not until all is there. */
	async open(url) {
		const { errorText } = await this.send("Page.navigate", { url });
		if (errorText) throw new Error(`${url}: ${errorText}`);
	}

	/** The value of an expression, or of the promise that it is. */
	async evaluate(expression) {
		const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
		if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
		return result.value;
	}

	async close() {
		this.browser.pages.delete(this.sessionId);
		await this.browser.send("Target.disposeBrowserContext", { browserContextId: this.browserContextId });
	}
}
