// The integrity core, twin of the Go package origin/manifest: what a channel's
// owner signs, and how anybody checks it. Verify before anything else.

export * from "./delegation";
export * from "./errors";
export * from "./multivariant";
export * from "./next";
export * from "./playlist";
export * from "./record";
export * from "./tree";
export * from "./verifier";
