// Hours to go back: what the origin keeps of a rendition on disk. The long playlist of it has no records, since these would be
// megabytes; it names chapters, which have (package origin/dvr).

import type { Bytes } from "./bytes";
import type { Text } from "./fetch";
import { readPlaylist, Verifier, type Playlist, type Verified } from "./manifest";
import { address, listed, targetDurationMs, type Listed } from "./retell";

const CHAPTER = /^#EXT-X-SLIPSTREAM-CHAPTER:URI="([^"]*)"/gm;
const KEEPS = /^#EXT-X-SLIPSTREAM-KEEPS:SECONDS=(\d{1,7})$/m;
/** As many as a day has, and some. */
const MAX_CHAPTERS = 1000;

/** What there was before the live window. */
export interface Past {
  playlist: Playlist;
  /** What is not verified is a gap. */
  list: Listed[];
  /** There will be as many at most. */
  length: number;
}

/** Reads a long playlist and the chapters that it names. One that cannot be had or is not to be believed is left out. */
export async function readPast(url: string, get: (url: string) => Promise<Text>, channel: Bytes, rendition: string): Promise<Past> {
  const { text, url: base } = await get(url);
  const playlist = readPlaylist(text);
  const chapters = [...text.matchAll(CHAPTER)].slice(-MAX_CHAPTERS).map(async ([, uri]): Promise<Verified[]> => {
    const chapter = await get(address(uri, base)!.href);
    return new Verifier(channel, rendition).playlist(readPlaylist(chapter.text), Date.now());
  });
  const verified = await Promise.all(chapters.map((c) => c.catch((): Verified[] => [])));
  const list = listed(playlist, verified.flat(), base);
  const [, keepsS = 0] = KEEPS.exec(text) ?? [];
  return { playlist, list, length: Math.max(list.length, Math.floor((Number(keepsS) * 1000) / targetDurationMs(list))) };
}
