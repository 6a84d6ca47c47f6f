// The values of playlist tags. These grammars are narrower than RFC 8216's
// where a free reading would let two languages disagree. undefined: refused.

import { MAX_INTEGER } from "../bytes";

/** 1 to 16 decimal digits below 2^53. */
export function parseInteger(text: string): number | undefined {
  if (!/^[0-9]{1,16}$/.test(text)) return undefined;
  const v = Number(text);
  return v < MAX_INTEGER ? v : undefined;
}

/** Seconds with an optional fraction, below 10^9 s, truncated to ms. */
export function parseSecondsMs(text: string): number | undefined {
  const dot = text.indexOf(".");
  const seconds = parseInteger(dot < 0 ? text : text.slice(0, dot));
  const fraction = dot < 0 ? "" : text.slice(dot + 1);
  if (seconds === undefined || seconds >= 1e9 || (dot >= 0 && fraction === "")) return undefined;
  const ms = parseFractionMs(fraction);
  return ms === undefined ? undefined : seconds * 1000 + ms;
}

/** Up to 16 digits after a decimal point, of which three count. */
function parseFractionMs(digits: string): number | undefined {
  if (digits === "") return 0;
  if (digits.length > 16 || (digits.length < 16 && parseInteger(digits) === undefined)) return undefined;
  return parseInteger((digits + "00").slice(0, 3));
}

/** YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm|±hhmm), years 1970 to 9999, as ms since the Unix epoch. */
export function parseDateMs(text: string): number | undefined {
  const m = /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9.]+)?([^0-9.].*)$/s.exec(text);
  if (!m) return undefined;
  const [year, month, day, hour, minute, second] = m.slice(1, 7).map(Number);
  if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59) {
    return undefined;
  }
  const ms = parseFractionMs(m[7] ? m[7].slice(1) : "");
  const zone = parseZone(m[8]);
  if (ms === undefined || zone === undefined) return undefined;
  const v = Date.UTC(year, month - 1, day, hour, minute, second) + ms - zone * 60_000;
  return v >= 0 ? v : undefined;
}

/** Z, ±hh:mm or ±hhmm as minutes east of Greenwich. */
function parseZone(text: string): number | undefined {
  if (text === "Z") return 0;
  const m = /^([+-])([0-9]{2}):?([0-9]{2})$/.exec(text);
  if (!m || Number(m[2]) > 23 || Number(m[3]) > 59) return undefined;
  const minutes = Number(m[2]) * 60 + Number(m[3]);
  return m[1] === "-" ? -minutes : minutes;
}

/** The value of one attribute of an attribute list (RFC 8216 section 4.2), without its quotes. */
export function attribute(list: string, name: string): string | undefined {
  while (list !== "") {
    const equals = list.indexOf("=");
    if (equals < 0) return undefined;
    const key = list.slice(0, equals).replace(/^ +/, "");
    let rest = list.slice(equals + 1);
    let value: string;
    if (rest.startsWith('"')) {
      const end = rest.indexOf('"', 1);
      if (end < 0) return undefined;
      value = rest.slice(1, end);
      rest = rest.slice(end + 1);
      if (rest !== "" && !rest.startsWith(",")) return undefined;
      rest = rest.slice(1);
    } else {
      const comma = rest.indexOf(",");
      value = comma < 0 ? rest : rest.slice(0, comma);
      rest = comma < 0 ? "" : rest.slice(comma + 1);
    }
    if (key === name) return value;
    list = rest;
  }
  return undefined;
}
