import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { alias: { "slipstream:core": new URL("test/core.ts", import.meta.url).pathname } },
  // A test that waits for something waits long: on a busy machine everything is slow.
  test: { include: ["test/**/*.test.ts", "bench/**/*.test.mjs"], maxWorkers: 2, testTimeout: 60_000 },
});
