// Delegations: the channel's root key appoints a signing key, limited in time
// and in segment numbers.

import { concat, equalBytes, Reader, utf8Bytes, Writer, type Bytes } from "../bytes";
import { sha256Now, verifyEd25519 } from "../crypto";
import { ManifestError } from "./errors";
import { channelId, isName, keyId, place, type SignedRecord } from "./record";

const VERSION = 1;
const SIGNATURE_SIZE = 64;
const DOMAIN = utf8Bytes("slipstream/delegation/v1\0");

/** The longest time for which a signing key may be appointed. */
export const MAX_DELEGATION_MS = 24 * 60 * 60 * 1000;
/** How far apart the clocks of signer and verifier may be. */
export const MAX_SKEW_MS = 60_000;

export interface DelegationBody {
  rootKey: Bytes;
  signingKey: Bytes;
  /** "" or up to 16 of a-z 0-9 - _ */
  region: string;
  firstSequence: number;
  lastSequence: number;
  notBeforeMs: number;
  notAfterMs: number;
}

export interface Delegation extends Readonly<DelegationBody> {
  readonly signature: Bytes;
  readonly encoded: Bytes;
  /** The id under which records name the appointed key. */
  readonly key: string;
}

/** Reads a delegation and checks its form, not its signature. Throws code "malformed-delegation". */
export function parseDelegation(bytes: Bytes): Delegation {
  const r = new Reader(bytes);
  const version = r.u8();
  if (!r.failure && version !== VERSION) r.fail(`its version is ${version}, this program knows version ${VERSION}`);
  const body = {
    rootKey: r.take(32),
    signingKey: r.take(32),
    region: r.name(),
    firstSequence: r.u64("first sequence"),
    lastSequence: r.u64("last sequence"),
    notBeforeMs: r.u64("start of validity"),
    notAfterMs: r.u64("end of validity"),
    signature: r.take(SIGNATURE_SIZE),
    encoded: bytes,
  };
  const reason = r.finish() || violation(body);
  if (reason) throw new ManifestError("malformed-delegation", "the delegation", `it is malformed: ${reason}`);
  return { ...body, key: keyId(body.signingKey) };
}

function violation(d: DelegationBody): string {
  if (!isName(d.region, 0, 16)) return "its region is not at most 16 of a-z, 0-9, - and _";
  if (d.lastSequence < d.firstSequence) return "its last sequence number lies before its first";
  if (d.notAfterMs <= d.notBeforeMs) return "it ends before it begins";
  if (d.notAfterMs - d.notBeforeMs > MAX_DELEGATION_MS) return "it is valid for more than 24 hours";
  return "";
}

/** The bytes that come before the signature, and that it covers. */
export function encodeDelegationBody(d: Readonly<DelegationBody>): Bytes {
  return new Writer()
    .u8(VERSION)
    .raw(d.rootKey)
    .raw(d.signingKey)
    .name(d.region)
    .u64(d.firstSequence)
    .u64(d.lastSequence)
    .u64(d.notBeforeMs)
    .u64(d.notAfterMs)
    .bytes();
}

export function signedDelegationBytes(channel: Uint8Array, body: Uint8Array): Bytes {
  return concat(DOMAIN, channel, body);
}

export function delegationHash(d: Delegation): Bytes {
  return sha256Now(d.encoded);
}

/** Checks that the channel's root key signed it. Throws "delegation-channel" or "delegation-signature". */
export async function checkDelegation(d: Delegation, channel: Uint8Array): Promise<void> {
  const where = `the delegation of key ${d.key}`;
  if (!equalBytes(channelId(d.rootKey), channel)) {
    throw new ManifestError("delegation-channel", where, "it belongs to another channel"); // which one, Go's twin says
  }
  const body = d.encoded.subarray(0, d.encoded.length - SIGNATURE_SIZE);
  if (!(await verifyEd25519(d.rootKey, signedDelegationBytes(channel, body), d.signature))) {
    throw new ManifestError(
      "delegation-signature",
      where,
      "its signature does not match: it was changed, or the channel's root key did not sign it",
    );
  }
}

/** Why a delegation does not cover a record now, or undefined if it does. */
export function objection(d: Delegation, record: SignedRecord, nowMs: number): ManifestError | undefined {
  const where = `${place(record)}: the delegation of key ${d.key}`;
  if (nowMs < d.notBeforeMs - MAX_SKEW_MS || record.createdMs < d.notBeforeMs - MAX_SKEW_MS) {
    return new ManifestError("delegation-future", where, "it was not valid yet");
  }
  if (nowMs > d.notAfterMs + MAX_SKEW_MS || record.createdMs > d.notAfterMs + MAX_SKEW_MS) {
    return new ManifestError("delegation-expired", where, "it has expired");
  }
  if (record.sequence < d.firstSequence || record.sequence > d.lastSequence) {
    return new ManifestError(
      "delegation-range",
      where,
      `it covers segments ${d.firstSequence} to ${d.lastSequence}, not ${record.sequence}`,
    );
  }
  return undefined;
}
