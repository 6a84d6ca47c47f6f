// Replays the stories of the Go package peer/cdn.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Choice } from "../src/choice";

type Step = [string, ...(number | string)[]];
const stories = JSON.parse(readFileSync(new URL("../../peer/cdn/testdata/choice.json", import.meta.url), "utf8")) as {
  name: string;
  names: string[];
  spread: number;
  steps: Step[];
}[];

test.each(stories)("$name", ({ names, spread, steps }) => {
  const c = new Choice(names, spread);
  for (const step of steps) {
    const [operation, x, y] = step as [string, number, number];
    if (operation === "next") expect(c.next(x), `${step}`).toBe(y);
    else if (operation === "probe") expect(c.probe(x), `${step}`).toBe(y);
    else if (operation === "prefer") c.prefer(step.slice(1) as string[]);
    else if (operation === "failed" || operation === "worked") c[operation](x, y);
    else throw new Error(`${step} is no step`);
  }
});
