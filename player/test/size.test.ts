import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";
import { expect, test } from "vitest";
import { library } from "../bundles.mjs";

/** What a page that has hls.js already has to load. */
const LIBRARY_BUDGET = 45 * 1024;

test("the library stays within its budget, and brings no hls.js", async () => {
  const { outputFiles, metafile } = await esbuild.build({ ...library, write: false, metafile: true });
  expect(Object.keys(metafile!.inputs).filter((path) => path.includes("hls.js/"))).toEqual([]);
  expect(gzipSync(outputFiles![0].contents, { level: 9 }).length).toBeLessThanOrEqual(LIBRARY_BUDGET);
});
