// Nothing that strangers can make grow grows without a bound.

/** Has a map or set forget what was put into it first, if it has grown beyond a limit. */
export function bound<K>(all: Map<K, unknown> | Set<K>, limit: number): void {
  if (all.size > limit) all.delete(all.keys().next().value as K);
}
