// Measurements over time, and the lines that show them.

/**
 * @typedef {{at_ms: number, disk_bytes: number, rss_bytes: number, cpu_ms: number, events: number, parked_events: number, behind_events: number, connected: number, wire_bytes_sent: number, wire_bytes_received: number}} Sample
 * @typedef {{at: number, value: number}} Point
 */

/** Measurements that a page holds: an hour of the node's, and a working day of its own. */
export const HELD = 2_400;

/**
 * The measurements that are held, with those that an answer brought, each time once and in order.
 * @param {Sample[]} held
 * @param {Sample[]} told
 */
export function merge(held, told) {
  const byTime = new Map([...held, ...told].map((it) => [it.at_ms, it]));
  return [...byTime.values()].sort((a, b) => a.at_ms - b.at_ms).slice(-HELD);
}

/**
 * The course of one measure.
 * @param {Sample[]} samples
 * @param {(sample: Sample) => number} measure
 * @returns {Point[]}
 */
export function course(samples, measure) {
  return samples.map((it) => ({ at: it.at_ms, value: measure(it) }));
}

/**
 * How fast a counter grew, for each second between two measurements. Where the counter fell the node
 * was started again: nothing is said of that moment.
 * @param {Sample[]} samples
 * @param {(sample: Sample) => number} measure
 * @returns {Point[]}
 */
export function rate(samples, measure) {
  const points = [];
  for (let at = 1; at < samples.length; at += 1) {
    const grown = measure(samples[at]) - measure(samples[at - 1]);
    const seconds = (samples[at].at_ms - samples[at - 1].at_ms) / 1000;
    if (grown >= 0 && seconds > 0) points.push({ at: samples[at].at_ms, value: grown / seconds });
  }
  return points;
}

/**
 * The outline of a line plot in a box of so many units; empty for less than two points.
 * @param {Point[]} points
 * @param {number} width
 * @param {number} height
 * @param {number} [least] the lowest value at the top of the box, so that small changes stay small
 */
export function outline(points, width, height, least = 1) {
  if (points.length < 2) return { line: '', area: '', top: least };
  const first = points[0].at;
  const last = points[points.length - 1].at;
  const top = Math.max(least, ...points.map((it) => it.value));
  const x = (/** @type {Point} */ it) => (last === first ? 0 : ((it.at - first) / (last - first)) * width);
  const y = (/** @type {Point} */ it) => height - (Math.max(0, it.value) / top) * height;
  const line = points.map((it, at) => `${at === 0 ? 'M' : 'L'}${x(it).toFixed(1)} ${y(it).toFixed(1)}`).join('');
  return { line, area: `${line}L${width} ${height}L0 ${height}Z`, top };
}

/**
 * What a plot says to somebody who does not see it.
 * @param {Point[]} points
 * @param {(value: number) => string} format
 */
export function summary(points, format) {
  if (points.length === 0) return 'nothing was measured yet';
  const values = points.map((it) => it.value);
  const now = values[values.length - 1];
  return `now ${format(now)}, between ${format(Math.min(...values))} and ${format(Math.max(...values))}`;
}
