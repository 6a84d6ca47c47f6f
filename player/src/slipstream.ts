// The library, for people with an hls.js player of their own; see engine.ts.
// The element of its own is player.js.

export { SlipstreamEngine, type EngineOptions, type Stats } from "./engine";
export type { PlayState } from "./playhead";
