// hls.js without what a stream of ours has no use for (other sound, subtitles, encryption): two thirds of it. A file of its own beside
// player.js, by far the larger one: it is loaded while the element has already begun to ask for the stream.

export { default } from "hls.js/light";
