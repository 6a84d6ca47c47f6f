// How sources become what browsers load.
import { classes, corePlugin, libraries } from "./core-plugin.mjs";
import { shortNames } from "./short-names.mjs";

const here = new URL(".", import.meta.url).pathname;

/** @type {import("esbuild").BuildOptions} */
export const common = {
  absWorkingDir: here,
  outdir: "dist",
  plugins: [corePlugin],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "eof",
  tsconfigRaw: classes,
  logLevel: "warning",
};

/** What it speaks with: pages, the tracker, and cdns.js and ed25519.js, which are files of their own. (What hls.js knows is said below.) */
const foreign = ["engine", "announce", "port", "fetch", "manifest/multivariant", "cdns", "ed25519"].map((name) => `${here}src/${name}.ts`);

/**
 * What a page that has hls.js already has to load. (What brings hls.js keeps its names: it might mean something else by them.)
 * @type {import("esbuild").BuildOptions}
 */
export const library = {
  ...common,
  entryPoints: { slipstream: "src/slipstream.ts" },
  mangleProps: shortNames(`${here}src`, foreign, [...libraries(), `${here}node_modules/hls.js/dist/hls.d.ts`]),
};
