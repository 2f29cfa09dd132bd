// Who will read a message, in words. Pure.

/** @param {string[]} names @param {string} own */
export function inOrder(names, own) {
  return [...names].sort((one, other) => Number(other === own) - Number(one === own) || one.localeCompare(other));
}

/**
 * Names as people list them.
 * @param {string[]} names
 */
export function listed(names) {
  if (names.length === 0) return 'nobody';
  if (names.length === 1) return names[0];
  return `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`;
}

/**
 * The partners that a message names, after one of them was switched. All readers again means all.
 * @param {string[]} to the partners named; empty for all
 * @param {string[]} readers who could receive it
 * @param {string} partner
 * @param {string} own
 */
export function toggled(to, readers, partner, own) {
  const chosen = new Set(to.length === 0 ? readers : to);
  if (chosen.has(partner)) chosen.delete(partner);
  else chosen.add(partner);
  chosen.add(own);
  const left = readers.filter((it) => chosen.has(it));
  return left.length === readers.length ? [] : left.length === 0 ? [own] : left;
}

/**
 * Whether the author leaves out somebody who could have received it.
 * @param {string[]} to
 */
export function isNarrowed(to) {
  return to.length > 0;
}

/**
 * What the bar above the composer says.
 * @param {{audience: import('./types.js').Audience | null, to: string[], own: string, direct: boolean, stale?: boolean, refused?: string}} what
 * @returns {{title: string, detail: string, tone: 'all' | 'narrowed' | 'partial' | 'own' | 'unknown'}}
 */
export function audienceWords({ audience, to, own, direct, stale = false, refused = '' }) {
  if (refused) return { title: isNarrowed(to) ? 'The node refuses this choice' : 'The node does not say who will receive this', detail: refused, tone: isNarrowed(to) ? 'narrowed' : 'unknown' };
  if (!audience) return { title: 'Who will receive this is not known yet', detail: 'The node has not said so. It decides when the message is sent.', tone: 'unknown' };
  const receives = inOrder(audience.receives, own);
  const others = receives.filter((it) => it !== own);
  const excluded = audience.excluded.map((it) => `${it.partner} (${it.why})`);
  if (stale) {
    const words = audienceWords({ audience, to, own, direct });
    return { ...words, title: `As last known: ${words.title}`, detail: `${words.detail} The node is not reached. If others would receive it when it is sent, you are asked first.`.trim() };
  }
  const not = excluded.length > 0 ? `Will not receive it: ${excluded.join('; ')}.` : '';
  if (isNarrowed(to)) {
    const title = others.length === 0 ? `Narrowed: stays at ${own}` : `Narrowed: only ${listed(receives)} will receive this`;
    return { title, detail: not, tone: 'narrowed' };
  }
  if (others.length === 0) {
    return { title: `Stays at ${own}`, detail: not || (direct ? 'Both of you are users of this partner.' : 'No other partner holds this channel.'), tone: excluded.length > 0 ? 'partial' : 'own' };
  }
  return { title: `${listed(receives)} will receive this`, detail: not, tone: excluded.length > 0 ? 'partial' : 'all' };
}

/**
 * How far a message has come, in few words.
 * @param {import('./types.js').Delivery | undefined} delivery
 * @param {string} own
 * @returns {{short: string, long: string, state: 'unknown' | 'stored' | 'partial' | 'received' | 'final'}}
 */
export function deliveryWords(delivery, own) {
  if (!delivery) return { short: '', long: 'How far this came is not known yet.', state: 'unknown' };
  const others = delivery.receives.filter((it) => it.partner !== own);
  const got = inOrder(others.filter((it) => it.received).map((it) => it.partner), own);
  const missing = inOrder(others.filter((it) => !it.received).map((it) => it.partner), own);
  const parts = ['Stored here'];
  if (got.length > 0) parts.push(`received by ${listed(got)}`);
  if (missing.length > 0) parts.push(`not known to be received by ${listed(missing)} yet`);
  parts.push(delivery.final ? 'final' : 'not final yet');
  const long = `${parts.join('; ')}.`;
  if (delivery.final) return { short: 'final', long, state: 'final' };
  if (others.length === 0) return { short: 'stored', long, state: 'received' };
  if (missing.length === 0) return { short: 'received', long, state: 'received' };
  const few = missing.length > 2 ? `${missing.length} partners` : listed(missing);
  if (got.length === 0) return { short: `waits for ${few}`, long, state: 'stored' };
  return { short: `${got.length} of ${others.length}, waits for ${few}`, long, state: 'partial' };
}
