// Makes the module "slipstream:core": all of src/core.ts as one function that needs nothing around it. The page starts a
// worker with the function's source text, or calls it where there can be no worker, so the code is there once.
import * as esbuild from "esbuild";
import { shortNames } from "./short-names.mjs";

const entry = new URL("src/core.ts", import.meta.url).pathname;

/** @type {esbuild.Plugin} */
export const corePlugin = {
  name: "slipstream:core",
  setup(build) {
    build.onResolve({ filter: /^slipstream:core$/ }, ({ path }) => ({ path, namespace: "core" }));
    build.onLoad({ filter: /.*/, namespace: "core" }, async () => {
      const { outputFiles, metafile } = await esbuild.build({
        entryPoints: [entry],
        bundle: true,
        format: "iife",
        globalName: "core",
        target: "es2022",
        minify: build.initialOptions.minify,
        mangleProps: build.initialOptions.minify ? shortNames(new URL("src", import.meta.url).pathname) : undefined,
        write: false,
        metafile: true,
        legalComments: "none",
      });
      const contents = `export default function (scope) {\n${outputFiles[0].text}\ncore.serve(scope);\n}`;
      return { contents, loader: "js", watchFiles: Object.keys(metafile.inputs) };
    });
  },
};
