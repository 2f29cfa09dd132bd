// How the node is doing at a glance: warnings, links, load, storage and backlog.
import { html } from '../vendor/html.js';
import { useEffect, useState } from '../vendor/hooks.js';
import { OFTEN_MS, ROOT, SELDOM_MS, usePolled } from './ask.js';
import { pathOf } from './rights.js';
import { course, merge, rate } from './series.js';
import { bytes, count, counted, linkState, span } from './words.js';
import { Badge, Facts, Head, Part, Plot, Tone } from './parts.js';

/** Bytes below which a plot of storage or traffic does not reach its top: small changes stay small. */
const LEAST_BYTES = 1024;

/** The first page of the console. @param {{own: any}} props */
export function Overview({ own }) {
  const health = usePolled(`${ROOT}/health`, OFTEN_MS);
  const peers = usePolled(`${ROOT}/peers`, OFTEN_MS);
  const told = usePolled(`${ROOT}/samples`, SELDOM_MS);
  const [samples, setSamples] = useState(/** @type {import('./series.js').Sample[]} */ ([]));
  const status = /** @type {any} */ (health.data);
  const links = /** @type {any[]} */ (peers.data ?? []);
  const brought = /** @type {any} */ (told.data);
  // The node forgets after an hour; a page that stays open shows more.
  useEffect(() => {
    if (brought) setSamples((/** @type {import('./series.js').Sample[]} */ held) => merge(held, brought.samples));
  }, [brought]);
  return html`<${Head} title="Overview" atMs=${health.atMs} error=${health.error || peers.error} />
    ${status && html`<${Warnings} warnings=${status.warnings} />`}
    <${Part} title="Links" aside=${html`<a href=${pathOf('partners')}>All partners</a>`}>
      ${links.length === 0 && peers.data !== null && html`<p class="hint">This node has no partner yet. ${own.may.includes('manage_links') ? 'Invite one under Partners.' : 'A node admin invites them.'}</p>`}
      <ul class="plain tiles">
        ${links.map((peer) => html`<${LinkTile} key=${peer.partner_id} peer=${peer} />`)}
      </ul>
    <//>
    <${Part} title="The last hour">
      <div class="plots">
        <${Plot} title="Backlog" points=${course(samples, (it) => it.behind_events)} format=${(/** @type {number} */ it) => counted(it, 'event')} least=${10} note="Events that partners are known to lack." />
        <${Plot} title="Storage" points=${course(samples, (it) => it.disk_bytes)} format=${bytes} least=${LEAST_BYTES} />
        <${Plot} title="Sent" points=${rate(samples, (it) => it.wire_bytes_sent)} format=${(/** @type {number} */ it) => `${bytes(it)}/s`} least=${LEAST_BYTES} />
        <${Plot} title="Received" points=${rate(samples, (it) => it.wire_bytes_received)} format=${(/** @type {number} */ it) => `${bytes(it)}/s`} least=${LEAST_BYTES} />
        <${Plot} title="Processor" points=${rate(samples, (it) => it.cpu_ms / 10)} format=${(/** @type {number} */ it) => `${it.toFixed(1)} %`} least=${10} note="Of one core." />
        <${Plot} title="Memory" points=${course(samples, (it) => it.rss_bytes)} format=${bytes} least=${LEAST_BYTES} />
        <${Plot} title="Waiting for their past" points=${course(samples, (it) => it.parked_events)} format=${(/** @type {number} */ it) => counted(it, 'event')} least=${10} />
        <${Plot} title="New events" points=${rate(samples, (it) => it.events)} format=${(/** @type {number} */ it) => `${it.toFixed(1)}/s`} least=${1} />
      </div>
    <//>
    ${status && html`<${Part} title="Node"><${Facts} rows=${facts(status)} /><//>`}`;
}

/** @param {{warnings: string[]}} props */
function Warnings({ warnings }) {
  if (warnings.length === 0) return html`<p class="calm" role="status">Nothing needs looking after.</p>`;
  return html`<section class="warnings" aria-label="Warnings" data-test="console-warnings">
    <h2>${counted(warnings.length, 'thing')} to look after</h2>
    <ul>${warnings.map((text) => html`<li key=${text} dir="auto">${text}</li>`)}</ul>
  </section>`;
}

/** @param {{peer: any}} props */
function LinkTile({ peer }) {
  const state = linkState(peer);
  return html`<li class="tile">
    <div class="spread"><${Badge} partner=${peer.partner} /><${Tone} ...${state} /></div>
    <div class="hint">${peer.connected ? `${peer.rtt_ms === null ? '–' : `${peer.rtt_ms.toFixed(1)} ms`} · ${peer.group ?? 'no group'}` : (peer.last_error ?? 'no link')}</div>
    <div class="hint">${peer.behind_events > 0 ? `lacks ${counted(peer.behind_events, 'event')}` : 'lacks nothing that is known'}</div>
  </li>`;
}

/** @param {any} status @returns {[string, any][]} */
function facts(status) {
  return [
    ['Version', status.version],
    ['Running for', span(status.uptime_s * 1000)],
    ['Listens on', html`<code>${status.listen}</code>`],
    ['Partner id', html`<code>${status.partner_id}</code>`],
    ['Holds', `${counted(status.channels, 'channel')}, ${counted(status.posts, 'post')}, ${counted(status.events, 'event')}`],
    ['Storage', bytes(status.disk_bytes)],
    ['Memory', bytes(status.rss_bytes)],
    ['Processor', span(status.cpu_ms)],
    ['Wire', `${bytes(status.wire_bytes_sent)} sent, ${bytes(status.wire_bytes_received)} received, ${count(status.wire_datagrams_sent + status.wire_datagrams_received)} datagrams`],
    ['Waiting for their past', `${counted(status.parked_events, 'event')}, ${bytes(status.parked_bytes)}`],
    ['Writers', `${counted(status.spare_writers, 'spare')}${status.spent_writers ? `, ${status.spent_writers} never used again` : ''}`],
  ];
}
