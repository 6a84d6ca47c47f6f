import { afterEach, expect, test, vi } from "vitest";
import { PageHttp } from "../src/page-http";
import { respond } from "./fixture";

const bytes = (text: string) => new TextEncoder().encode(text);
const serve = (answer: () => Response | Promise<Response>) => vi.stubGlobal("fetch", async () => answer());

afterEach(() => void vi.unstubAllGlobals());

test("the page gets a playlist whole, whatever pieces it comes in, and counts it", async () => {
  const text = "#EXTM3U\n# Grüße\n".repeat(500);
  serve(() => respond(bytes(text), 200, 7));
  const http = new PageHttp();
  expect((await http.text("u", 1 << 20)).text).toBe(text);
  expect([http.requests, http.bytes]).toEqual([1, bytes(text).length]);
});

test.each([
  ["one that is too long", () => respond(new Uint8Array(20_000), 200), 0, "u is too long."],
  ["another answer", () => respond(new Uint8Array(0), 404), 404, "u answered 404."],
  ["no answer", () => Promise.reject(new TypeError("Failed to fetch")), 0, "u could not be reached."],
])("%s is an error that says so", async (_, answer, status, sentence) => {
  serve(answer);
  await expect(new PageHttp().text("u", 10_000)).rejects.toMatchObject({ status, message: sentence });
});
