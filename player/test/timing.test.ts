import { describe, expect, test } from "vitest";
import { Clock, NetworkMeter, Transfer } from "../src/timing";

/** A request that brings bytes at a rate after a first byte. */
function request(t: Transfer, startMs: number, firstMs: number, bytes: number, endMs: number): void {
  const r = t.request(startMs);
  r.headers(firstMs);
  r.bytes(bytes);
  r.ended(endMs);
}

describe("what the player is told of the network", () => {
  test("a segment that came from neighbours over two seconds took as long as the network would have needed", () => {
    const meter = new NetworkMeter();
    meter.sampleTransfer(1_000_000, 400); // 2,500 bytes per ms: 20 Mb/s
    const t = new Transfer(meter);
    for (let i = 0; i < 14; i++) t.fromPeer(16_384, i * 150); // whenever they came
    expect(t.loaded).toBe(229_376);
    expect(t.elapsedMs(10_000)).toBeCloseTo(92, 0);
  });

  test("waiting for neighbours is no slowness: with nothing under way no time passes", () => {
    const t = new Transfer(new NetworkMeter());
    expect(t.elapsedMs(1000)).toBe(0);
    expect(t.elapsedMs(9000)).toBe(0);
  });

  test("bytes from the CDN count with the time that they really took", () => {
    const meter = new NetworkMeter();
    const t = new Transfer(meter);
    request(t, 1000, 1060, 200_000, 1460);
    expect(t.elapsedMs(5000)).toBe(400);
    expect(meter.measuredRate).toBeCloseTo(500, 5);
  });

  test("a request that hangs is slow while it hangs", () => {
    const meter = new NetworkMeter();
    const t = new Transfer(meter);
    const r = t.request(1000);
    expect(t.elapsedMs(1000 + meter.firstByteMs)).toBe(0);
    expect(t.elapsedMs(1000 + meter.firstByteMs + 3000)).toBe(3000);
    r.headers(4500);
    r.bytes(1000);
    expect(t.elapsedMs(5000)).toBeGreaterThan(3000);
  });

  test("requests at the same time share their time", () => {
    const t = new Transfer(new NetworkMeter());
    request(t, 1000, 1050, 50_000, 1250);
    request(t, 1100, 1150, 50_000, 1350);
    expect(t.elapsedMs(2000)).toBe(300);
  });

  test("what neighbours send during a request shares the downlink with it", () => {
    const meter = new NetworkMeter();
    const t = new Transfer(meter);
    const r = t.request(0);
    r.headers(50);
    r.bytes(50_000);
    t.fromPeer(50_000, 100);
    r.ended(150);
    expect(meter.measuredRate).toBe(1000);
  });

  test("leaves in a row can prove that the network is faster than the CDN was, and never that it is slower", () => {
    const meter = new NetworkMeter();
    meter.sampleTransfer(100_000, 400); // 250 bytes per ms
    const t = new Transfer(meter);
    for (let ms = 0; ms <= 300; ms += 10) t.fromPeer(16_384, ms);
    expect(meter.rate).toBeGreaterThan(700);
    const before = meter.rate;
    for (let ms = 1000; ms <= 3000; ms += 90) t.fromPeer(16_384, ms);
    expect(meter.rate).toBe(before);
  });

  test("small requests tell of latency only", () => {
    const meter = new NetworkMeter();
    request(new Transfer(meter), 0, 40, 700, 41);
    expect(meter.measuredRate).toBeUndefined();
    expect(meter.firstByteMs).toBe(40);
  });

  test("a network that became slow is believed within seconds", () => {
    const meter = new NetworkMeter();
    for (let i = 0; i < 50; i++) meter.sampleTransfer(250_000, 100);
    for (let i = 0; i < 3; i++) meter.sampleTransfer(250_000, 4000);
    expect(meter.rate).toBeLessThan(150);
  });
});

describe("the clock", () => {
  test("never goes back, and follows a wall clock that was set forward", () => {
    let wall = 1_000_000;
    let steady = 500;
    const clock = new Clock(
      () => wall,
      () => steady,
    );
    expect(clock.now()).toBe(1_000_000);
    wall -= 60_000; // somebody set it back
    steady += 100;
    expect(clock.now()).toBe(1_000_100);
    wall = 9_000_000; // the machine slept
    steady += 100;
    expect(clock.now()).toBe(9_000_000);
  });
});
