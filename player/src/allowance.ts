/** A token bucket: so many in a second, and so many at once. Times are of performance.now(). */
export class Allowance {
  private left: number;
  private countedMs = -Infinity;

  constructor(
    private readonly perSec: number,
    private readonly atOnce: number,
  ) {
    this.left = atOnce;
  }

  /** Takes one; false: there is none left. */
  take(nowMs: number): boolean {
    this.left = Math.min(this.left + (Math.max(nowMs - this.countedMs, 0) * this.perSec) / 1000, this.atOnce);
    this.countedMs = nowMs;
    if (this.left < 1) return false;
    this.left--;
    return true;
  }
}
