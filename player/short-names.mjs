// Finds the members that may have short names in the core: those that TypeScript calls private, if nothing else could mean the
// same name. What browsers, messages or other files call so is left alone.
import { readdirSync, readFileSync } from "node:fs";

const comments = /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm;
const declared = /\bprivate (?:(?:static|async|readonly|get|set) )*(\w+)/g;

/** A pattern of the names, for esbuild's mangleProps. */
export function shortNames(directory) {
  const sources = readdirSync(directory, { recursive: true }).filter((name) => name.endsWith(".ts"));
  const text = sources.map((name) => readFileSync(`${directory}/${name}`, "utf8").replace(comments, "")).join("\n");
  const names = new Set([...text.matchAll(declared)].map(([, name]) => name));
  return new RegExp(`^(?:${[...names].filter((name) => onlyOfThis(name, text)).join("|")})$`);
}

/** Whether a member is always taken from `this`, and never a key of a literal or taken out of one. */
function onlyOfThis(name, text) {
  const taken = new RegExp(`([^\\s.(!]+)[!?]?\\.${name}\\b`, "g");
  const inLiteral = new RegExp(`[{,]\\s*(?:"?${name}"?\\s*:|${name}\\s*[,}])`);
  return [...text.matchAll(taken)].every(([, of]) => of === "this") && !inLiteral.test(text);
}
