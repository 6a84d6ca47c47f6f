import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { alias: { "slipstream:core": new URL("test/core.ts", import.meta.url).pathname } },
  test: { include: ["test/**/*.test.ts"], maxWorkers: 2 },
});
