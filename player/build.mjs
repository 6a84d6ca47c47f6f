// Builds dist/: what browsers load. `node build.mjs --watch` builds again when a source changes.
import { cp, mkdir, readdir, rm } from "node:fs/promises";
import * as esbuild from "esbuild";
import { corePlugin } from "./core-plugin.mjs";

const here = new URL(".", import.meta.url).pathname;
const dist = `${here}dist`;

/** @type {esbuild.BuildOptions} */
const options = {
  absWorkingDir: here,
  entryPoints: {
    slipstream: "src/slipstream.ts", // the library
    ed25519: "src/ed25519.ts", // for browsers that cannot check signatures
    player: "src/element.ts", // the element, hls.js included
    watch: "pages/watch.ts",
    stats: "pages/stats.ts",
    front: "pages/front.ts",
  },
  outdir: "dist",
  plugins: [corePlugin],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "eof",
  logLevel: "warning",
};

async function copyPages() {
  await mkdir(dist, { recursive: true });
  for (const name of await readdir(`${here}pages`)) {
    if (/\.(html|css|svg)$/.test(name)) await cp(`${here}pages/${name}`, `${dist}/${name}`);
  }
}

async function clean() {
  for (const name of await readdir(dist).catch(() => [])) {
    if (name !== ".gitkeep") await rm(`${dist}/${name}`, { recursive: true });
  }
}

await clean();
await copyPages();
if (process.argv.includes("--watch")) {
  const context = await esbuild.context({ ...options, logLevel: "info" });
  await context.watch();
} else {
  await esbuild.build(options);
}
