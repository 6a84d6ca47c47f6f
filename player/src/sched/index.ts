import { defaultConfig } from "./config";
import { Core } from "./core";
import type { Scheduler } from "./event";

export * from "./event";
export { stripe } from "./piece";

export interface SchedulerOptions {
  /** Whether there is a swarm to take part in. */
  swarm: boolean;
  /** Whether leaves are announced and served. */
  upload: boolean;
}

/** The scheduler of a session. Its seed is drawn here; the core itself draws nothing. */
export function newScheduler(options: SchedulerOptions): Scheduler {
  const cfg = defaultConfig(crypto.getRandomValues(new Uint32Array(1))[0]);
  cfg.noUpload = !options.upload;
  if (!options.swarm) cfg.lonelyGraceMs = 0; // nobody will come: what is wanted is fetched at once
  return new Core(cfg);
}
