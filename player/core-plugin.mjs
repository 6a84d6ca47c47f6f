// Makes the module "slipstream:core": all of src/core.ts as one function that needs nothing around it. The page starts a
// worker with the function's source text, or calls it where there can be no worker, so the code is there once.
import * as esbuild from "esbuild";
import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { innerNames, languageLibraries } from "./short-names.mjs";

const here = (path) => new URL(path, import.meta.url).pathname;
const entry = here("src/core.ts");
/** What the core speaks with: the page, files of their own, and by messages whose formats these are. */
const foreign = ["port", "announce", "objects", "view", "remote", "ed25519", "fetch"].map((name) => here(`src/${name}.ts`));
/** Stands for the core until the page is bundled, so that each of the two has the shortest names to itself. */
const PLACE = "SLIPSTREAM_CORE";

/** Members without a value need not be mentioned in JavaScript. */
export const classes = { compilerOptions: { useDefineForClassFields: false } };

/** @type {esbuild.Plugin} */
export const corePlugin = {
  name: "slipstream:core",
  async setup(build) {
    const { initialOptions } = build;
    const { minify, mangleProps, write = true } = initialOptions;
    const own = minify ? [innerNames(entry, foreign, libraries()).source] : [];
    const names = mangleProps ? [...own, mangleProps.source] : own;
    const options = { minify, mangleProps: names.length > 0 ? new RegExp(names.join("|")) : undefined, mangleCache: {} };
    options.mangleCache = (await buildCore(options)).mangleCache;
    if (mangleProps) initialOptions.mangleCache = options.mangleCache; // what both know has the same name in both
    initialOptions.write = false;
    let core;
    build.onResolve({ filter: /^slipstream:core$/ }, ({ path }) => ({ path, namespace: "core" }));
    build.onLoad({ filter: /.*/, namespace: "core" }, async () => {
      const { outputFiles, metafile } = await buildCore(options);
      core = outputFiles[0].text.trim().replace(/^\(\(\) *=>/, "(scope =>").replace(/\(\);$/, "");
      return { contents: `export default function (scope) {\n${PLACE}(scope);\n}`, loader: "js", watchFiles: Object.keys(metafile.inputs) };
    });
    build.onEnd(async ({ outputFiles = [] }) => {
      for (const file of outputFiles) {
        file.contents = Buffer.from(file.text.replace(PLACE, () => core));
        if (write) await writeFile(file.path, file.contents);
      }
    });
  },
};

/** The core as a program that calls itself, and expects to be given a scope. */
function buildCore(options) {
  return esbuild.build({
    stdin: { contents: `import { serve } from ${JSON.stringify(entry)};\nserve(scope);`, resolveDir: here("src") },
    bundle: true,
    format: "iife",
    target: "es2022",
    write: false,
    metafile: true,
    legalComments: "none",
    inject: [here("short-math.mjs")],
    define: { "Math.max": "max", "Math.min": "min", "Math.trunc": "trunc" },
    tsconfigRaw: classes,
    ...options,
  });
}

/** What TypeScript knows of the language and of browsers. */
export function libraries() {
  const [platform] = readdirSync(here("node_modules/@typescript"));
  return languageLibraries(here(`node_modules/@typescript/${platform}/lib`));
}
