// The core as one function that needs nothing around it, so that its source text can
// be a worker; core-plugin.mjs makes it of core.ts.
declare module "slipstream:core" {
  const serve: (scope: import("./port").CoreScope) => void;
  export default serve;
}

// It comes without types, and has those of the whole.
declare module "hls.js/light" {
  export { default } from "hls.js";
}
