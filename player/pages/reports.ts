// The origin's and the tracker's statistics: as much of /stats.json (origin/server)
// and /tracker/stats.json (tracker/server) as the pages show.

export interface OriginStats {
  nowMs: number;
  channels: OriginChannel[];
}

export interface OriginChannel {
  name: string;
  id: string;
  publisher: { connected: boolean; sinceMs: number; source: string };
  renditions: {
    name: string;
    number: number;
    ageMs: number;
    averageBps: number;
    peakBps: number;
    segments: number;
    width: number;
    height: number;
  }[];
  http: { [kind: string]: { requests: number; bytes: number } };
  httpBytes: number;
}

export interface TrackerStats {
  nowMs: number;
  rooms: Room[];
}

export interface Room {
  channel: string;
  viewers: number;
  seeders: number;
  ready: number;
  neighboursMean: number;
  offload: number;
  httpBytes: number;
  p2pBytes: number;
  uploadedBytes: number;
  seederUploadedBytes: number;
  stalls: number;
  stallMs: number;
  latencyMsMean: number;
}

export function getOriginStats(): Promise<OriginStats> {
  return get<OriginStats>("/stats.json", "origin");
}

export function getTrackerStats(): Promise<TrackerStats> {
  return get<TrackerStats>("/tracker/stats.json", "tracker");
}

async function get<T>(path: string, who: string): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { cache: "no-store" });
  } catch {
    throw new Error(`The ${who} does not answer. Trying again…`);
  }
  if (!response.ok) throw new Error(`The ${who} answers ${response.status}. Trying again…`);
  return (await response.json()) as T;
}
