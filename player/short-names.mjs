// Finds the members that may have short names in a bundle, because nothing outside of it knows them.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const comments = /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm;
const privates = /\bprivate (?:(?:static|async|readonly|get|set) )*(\w+)/g;
const members = /\.(\w+)|^ +(?:readonly |private |protected |async |get |set )*(\w+)[?!]?[:(]/gm;
const quoted = /"(\w+)"/g;
const enums = /\benum \w+ \{([^}]*)\}/g;
const words = /[A-Za-z_]\w*/g;
const valueImports = /^(?:import|export) (?!type )[^;]*?from "(\.[^"]*)"/gm;

const read = (path) => readFileSync(path, "utf8").replace(comments, "");
const pattern = (names) => new RegExp(`^(?:${[...names].join("|")})$`);

/**
 * Of all sources: the members that TypeScript calls private, if nothing else could mean the same name. What browsers, messages or
 * other files call so is left alone.
 */
export function shortNames(directory) {
  const sources = readdirSync(directory, { recursive: true }).filter((name) => name.endsWith(".ts"));
  const text = sources.map((name) => read(`${directory}/${name}`)).join("\n");
  const names = new Set([...text.matchAll(privates)].map(([, name]) => name));
  return pattern([...names].filter((name) => onlyOfThis(name, text)));
}

/** Whether a member is always taken from `this`, and never a key of a literal or taken out of one. */
function onlyOfThis(name, text) {
  const taken = new RegExp(`([^\\s.(!]+)[!?]?\\.${name}\\b`, "g");
  const inLiteral = new RegExp(`[{,]\\s*(?:"?${name}"?\\s*:|${name}\\s*[,}])`);
  return [...text.matchAll(taken)].every(([, of]) => of === "this") && !inLiteral.test(text);
}

/**
 * Of a program that is a world of its own: all members, but those whose names occur in what it speaks with (foreign sources), in
 * a string, or in the language and the browser as TypeScript knows them.
 */
export function innerNames(entry, foreign, libraries) {
  const inside = withImports([entry]).map(read);
  const outside = new Set();
  const keep = (text) => text.match(words)?.forEach((word) => outside.add(word));
  for (const path of foreign) keep(read(path));
  for (const text of inside) {
    for (const [, literal] of text.matchAll(quoted)) keep(literal);
    for (const [, body] of text.matchAll(enums)) keep(body); // they vanish
  }
  for (const name of readdirSync(libraries)) if (/^lib\..*\.d\.ts$/.test(name)) keep(read(join(libraries, name)));
  const found = new Set(inside.flatMap((text) => [...text.matchAll(members)].map(([, taken, declared]) => taken ?? declared)));
  return pattern([...found].filter((name) => !outside.has(name)));
}

/** The sources that these need when they run, themselves included. */
function withImports(paths, all = new Set()) {
  for (const path of paths) {
    if (all.has(path)) continue;
    all.add(path);
    withImports([...readFileSync(path, "utf8").matchAll(valueImports)].map(([, from]) => source(join(dirname(path), from))), all);
  }
  return [...all];
}

function source(path) {
  for (const file of [`${path}.ts`, join(path, "index.ts")]) {
    try {
      readFileSync(file);
      return file;
    } catch {
      // the other one
    }
  }
  throw new Error(`${path} is no source`);
}
