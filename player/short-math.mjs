// What the core calls most, under names that a minifier may shorten.
export const { max, min, trunc } = Math;
