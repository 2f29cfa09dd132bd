// Limits that partners came up against, and what was refused.
import { html } from '../vendor/html.js';
import { OFTEN_MS, ROOT, usePolled } from './ask.js';
import { GROUPS } from './records.js';
import { Records, useRecords } from './audit.js';
import { Head, Part, Problem } from './parts.js';
import { count, limitText, plain } from './words.js';

/** The kind of records that say that something was refused. */
const REFUSALS = GROUPS.find((it) => it.title === 'Refusals')?.actions ?? 'refused';

/** The page about limits and refusals. @param {{own: any}} props */
export function Limits({ own }) {
  const health = usePolled(own.may.includes('see_node') ? `${ROOT}/health` : null, OFTEN_MS);
  const status = /** @type {any} */ (health.data);
  return html`<${Head} title="Limits and refusals" atMs=${health.atMs} error=${health.error} />
    ${status && html`<${Part} title="Limits that partners met">
      <p class="hint">Counted since the node started. A partner that meets a limit now and then does no harm; look at one that does all the time.</p>
      <${Met} met=${status.limits_met} />
    <//>`}
    ${own.may.includes('read_audit') ? html`<${Refusals} />` : html`<${Part} title="Refusals"><p class="hint">What was refused is on the audit record, which the security officer and auditors read.</p><//>`}`;
}

/** @param {{met: Record<string, number>}} props */
function Met({ met }) {
  const rows = Object.entries(met).sort((a, b) => b[1] - a[1]);
  if (rows.length === 0) return html`<p class="calm">None was met.</p>`;
  return html`<div class="scrolls" tabindex="0" role="region" aria-label="Limits"><table class="table stacks">
    <thead><tr><th scope="col">Limit</th><th scope="col" class="number">Times</th><th scope="col">What it bounds</th></tr></thead>
    <tbody>${rows.map(([name, times]) => html`<tr key=${name} data-test="limit-met"><th scope="row" data-label="Limit">${plain(name)}</th><td data-label="Times" class="number">${count(times)}</td><td data-label="What it bounds">${limitText(name)}</td></tr>`)}</tbody>
  </table></div>`;
}

function Refusals() {
  const told = useRecords(REFUSALS, '', true);
  return html`<${Part} title="Refusals">
    <${Problem} text=${told.error} />
    ${told.records.length === 0 && !told.busy && html`<p class="calm">Nothing was refused${told.next > 0 ? ' lately' : ''}.</p>`}
    ${told.records.length > 0 && html`<${Records} records=${told.records.slice(0, 100)} />`}
  <//>`;
}
