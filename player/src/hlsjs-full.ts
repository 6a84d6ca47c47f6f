// All of hls.js, for streams that are not signed.

export { default } from "hls.js";
