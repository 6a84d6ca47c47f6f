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
 * Of a library: the members that TypeScript calls private, if nothing else could mean the same name, and all others whose names occur neither
 * in what it speaks with (foreign sources), nor in a string, nor in what it builds on (libraries). The core is in it, so what page and core say to each other
 * goes by the same names.
 */
export function shortNames(directory, foreign, libraries) {
  const paths = readdirSync(directory, { recursive: true }).filter((name) => name.endsWith(".ts")).map((name) => `${directory}/${name}`);
  const sources = paths.map(read);
  const text = sources.join("\n");
  const privately = [...text.matchAll(privates)].map(([, name]) => name).filter((name) => onlyOfThis(name, text));
  return pattern(new Set([...privately, ...unknownOutside(sources, foreign, libraries)]));
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
  return pattern(unknownOutside(withImports([entry]).map(read), foreign, libraries));
}

function unknownOutside(inside, foreign, libraries) {
  const outside = new Set();
  const keep = (text) => text.match(words)?.forEach((word) => outside.add(word));
  for (const path of foreign) keep(read(path));
  for (const text of inside) {
    for (const [, literal] of text.matchAll(quoted)) keep(literal);
    for (const [, body] of text.matchAll(enums)) keep(body); // they vanish
  }
  for (const path of libraries) keep(read(path));
  const found = new Set(inside.flatMap((text) => [...text.matchAll(members)].map(([, taken, declared]) => taken ?? declared)));
  return [...found].filter((name) => !outside.has(name));
}

/** Where TypeScript keeps what it knows of the language and of browsers. */
export function languageLibraries(directory) {
  return readdirSync(directory).filter((name) => /^lib\..*\.d\.ts$/.test(name)).map((name) => join(directory, name));
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
