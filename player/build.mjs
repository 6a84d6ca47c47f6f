// Builds dist/: what browsers load. `node build.mjs --watch` builds again when a source changes.
import { cp, mkdir, readdir, rm } from "node:fs/promises";
import * as esbuild from "esbuild";
import { common, library } from "./bundles.mjs";

const here = new URL(".", import.meta.url).pathname;
const dist = `${here}dist`;

/** @type {esbuild.BuildOptions} */
const pages = {
  ...common,
  external: ["./hlsjs.js", "./hlsjs-full.js"],
  entryPoints: {
    ed25519: "src/ed25519.ts", // for browsers that cannot check signatures
    cdns: "src/cdns.ts", // for streams that several CDNs have
    player: "src/element.ts", // the element
    hlsjs: "src/hlsjs.ts", // hls.js, which it loads
    "hlsjs-full": "src/hlsjs-full.ts", // the same for streams that are not signed
    watch: "pages/watch.ts",
    stats: "pages/stats.ts",
    front: "pages/front.ts",
  },
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
for (const options of [library, pages]) {
  if (process.argv.includes("--watch")) {
    const context = await esbuild.context({ ...options, logLevel: "info" });
    await context.watch();
  } else {
    await esbuild.build(options);
  }
}
