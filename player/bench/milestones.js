// Injected before a page's own scripts, beside sampler.js: notes when the page and the worker of our player say what to each
// other during the start. Other systems have no such worker, and are left alone.
(() => {
	const said = (window.workerSaid = []);
	const note = (way, m) => performance.now() < 5000 && said.push([performance.now(), `${way} ${m?.type}`, m?.bytes?.byteLength ?? 0]);
	const Original = window.Worker;
	window.Worker = class extends Original {
		constructor(...args) {
			super(...args);
			note("page", { type: "starts it" });
			this.addEventListener("message", ({ data }) => note("core", data));
		}

		postMessage(message, ...rest) {
			note("page", message);
			super.postMessage(message, ...rest);
		}
	};
})();
