// Decisions about a partner's membership: which there are, and what their previews say.

/**
 * @typedef {{partner: string, partner_id: string, role: string, status: string, writers: string[]}} Member
 * @typedef {{act: string, partner: string, role?: string | null}} Decision
 * @typedef {{needed: number, endorsed_by: string[], missing: string[]}} Owners
 * @typedef {{channel: string, channel_id: string, act: string, partner: string, role?: string | null, outcome: 'takes_effect' | 'endorses' | 'waits' | 'refused', why?: string | null, quorum?: Owners | null, consequences: string[], seen: string}} Preview
 */

/**
 * The acts that can be thought of for a member of a channel, as far as the asker's rights go.
 * @param {Member} member
 * @param {string} own the asker's partner
 * @param {string[]} may
 */
export function actsFor(member, own, may) {
  if (member.partner === own) return [];
  const releases = may.includes('share_channels');
  const removes = may.includes('remove_partners');
  const there = member.status === 'active' || member.status === 'invited';
  const acts = [];
  if (there && releases) acts.push('grant');
  if (!there && releases) acts.push('invite');
  if (member.status === 'active' && removes) acts.push('suspend');
  if ((there || member.status === 'suspended' || member.status === 'left') && removes) acts.push('remove');
  return acts;
}

const VERBS = /** @type {Record<string, string>} */ ({ invite: 'Invite', grant: 'Change the role of', remove: 'Remove', suspend: 'Suspend' });
const BUTTONS = /** @type {Record<string, string>} */ ({ invite: 'Invite…', grant: 'Change role…', remove: 'Remove…', suspend: 'Suspend…' });

/**
 * What the button says that begins an act.
 * @param {string} act
 */
export function buttonOf(act) {
  return BUTTONS[act] ?? act;
}

/**
 * A decision as a headline.
 * @param {Decision} decision
 */
export function headline(decision) {
  const role = decision.role ? ` as ${decision.role}` : '';
  if (decision.act === 'grant') return `Make ${decision.partner} ${decision.role ?? 'something else'}`;
  return `${VERBS[decision.act] ?? decision.act} ${decision.partner}${role}`;
}

const BETWEEN = /** @type {Record<string, string>} */ ({ invite: 'to', remove: 'from' });

/**
 * A decision as a headline, with the channel that it is about.
 * @param {Decision} decision
 * @param {string} channel
 */
export function headlineIn(decision, channel) {
  return `${headline(decision)} ${BETWEEN[decision.act] ?? 'in'} ${channel}`;
}

/**
 * What will happen when the decision is taken: for the preview's first line and its button.
 * @param {Preview} preview
 * @returns {{tone: 'good' | 'warn' | 'bad', text: string, button: string}}
 */
export function outcomeText(preview) {
  const owners = preview.quorum;
  const have = owners?.endorsed_by.length ?? 0;
  const missing = owners && owners.missing.length > 0 ? ` Owners who can still endorse it: ${owners.missing.join(', ')}.` : '';
  switch (preview.outcome) {
    case 'takes_effect':
      return {
        tone: 'good',
        text: owners ? `With this partner’s endorsement ${owners.needed} of ${owners.needed} owners stand behind it: it takes effect at once.` : 'This partner’s role in the channel suffices: it takes effect at once.',
        button: headline(preview),
      };
    case 'endorses':
      return {
        tone: 'warn',
        text: `It needs ${owners?.needed ?? 'several'} owners; ${have} stand behind it so far. This writes the endorsement of this partner and changes nothing yet.${missing}`,
        button: 'Endorse it',
      };
    case 'waits':
      return {
        tone: 'warn',
        text: `This partner has endorsed it. It needs ${owners?.needed ?? 'several'} owners and has ${have}.${missing}`,
        button: '',
      };
    default:
      return { tone: 'bad', text: `It cannot be done: ${preview.why ?? 'the channel does not allow it'}.`, button: '' };
  }
}

/**
 * What an open proposal asks, with how far it has come.
 * @param {{act: string, partner: string, role?: string | null, endorsed_by: string[], needed: number}} proposal
 */
export function proposalText(proposal) {
  return `${headline(proposal)}: endorsed by ${proposal.endorsed_by.join(', ') || 'nobody'} (${proposal.endorsed_by.length} of ${proposal.needed})`;
}

/**
 * The peers that can be invited to a channel: approved ones that are not there.
 * @param {{partner: string, state: string}[]} peers
 * @param {Member[]} members
 */
export function invitable(peers, members) {
  const there = new Set(members.filter((it) => it.status === 'active' || it.status === 'invited').map((it) => it.partner));
  return peers.filter((peer) => peer.state === 'active' && !there.has(peer.partner)).map((peer) => peer.partner);
}
