import type { Plugin } from "esbuild";
export const corePlugin: Plugin;
