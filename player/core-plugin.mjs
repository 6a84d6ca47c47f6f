// Makes the module "slipstream:core": all of src/core.ts as one function that needs nothing around it. The page starts a
// worker with the function's source text, or calls it where there can be no worker, so the code is there once.
import * as esbuild from "esbuild";
import { readdirSync } from "node:fs";
import { innerNames, languageLibraries } from "./short-names.mjs";

const here = (path) => new URL(path, import.meta.url).pathname;
const entry = here("src/core.ts");
/** What the core speaks with: the page, files of their own, and by messages whose formats these are. */
const foreign = ["port", "announce", "view", "remote", "ed25519", "fetch"].map((name) => here(`src/${name}.ts`));

/** Members without a value need not be mentioned in JavaScript. */
export const classes = { compilerOptions: { useDefineForClassFields: false } };

/** @type {esbuild.Plugin} */
export const corePlugin = {
  name: "slipstream:core",
  setup(build) {
    build.onResolve({ filter: /^slipstream:core$/ }, ({ path }) => ({ path, namespace: "core" }));
    build.onLoad({ filter: /.*/, namespace: "core" }, async () => {
      const { outputFiles, metafile } = await esbuild.build({
        stdin: { contents: `import { serve } from ${JSON.stringify(entry)};\nserve(scope);`, resolveDir: here("src") },
        bundle: true,
        format: "iife",
        target: "es2022",
        minify: build.initialOptions.minify,
        mangleProps: build.initialOptions.minify ? innerNames(entry, foreign, libraries()) : undefined,
        write: false,
        metafile: true,
        legalComments: "none",
        inject: [here("short-math.mjs")],
        define: { "Math.max": "max", "Math.min": "min", "Math.trunc": "trunc" },
        tsconfigRaw: classes,
      });
      const contents = `export default function (scope) {\n${outputFiles[0].text}\n}`;
      return { contents, loader: "js", watchFiles: Object.keys(metafile.inputs) };
    });
  },
};

/** What TypeScript knows of the language and of browsers. */
export function libraries() {
  const [platform] = readdirSync(here("node_modules/@typescript"));
  return languageLibraries(here(`node_modules/@typescript/${platform}/lib`));
}
