// Where a benchmark takes place: on this machine as it is, or on emulated hosts.

/** Loopback, and one browser with a context of its own for every page. */
export const loopback = {
	address: "127.0.0.1",
	wrap: (command, args) => [command, args],
	json: async (url) => (await fetch(url)).json(),
	/** The browser of the i-th page; pages with the same name share one. */
	browserOf: () => ({ name: "all", executablePath: undefined, flags: [] }),
	close: async () => undefined,
};
