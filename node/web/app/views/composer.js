// Where messages are written: with a draft that is kept, files, names to choose, and the bar that
// says who will receive it.
import { html } from '../../vendor/html.js';
import { useEffect, useLayoutEffect, useRef, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { store, toast, toastError, useStore } from '../state.js';
import { keepDraft, draftKey } from '../drafts.js';
import { send } from '../sending.js';
import { newReaders } from '../outbox.js';
import { isNarrowed } from '../audience.js';
import { sayTyping } from '../chat.js';
import { feedOf } from '../feeds.js';
import { AudienceBar, useAudience } from './audience.js';
import { Attachments, useUploads } from './attachments.js';
import { Suggestions, useSuggestions } from './suggestions.js';
import { Icon } from './util.js';

/** Characters that the node takes, and how near to it the count is shown. */
const MESSAGE_MOST = 16_383;
const COUNT_FROM = 15_000;

/**
 * The composer of a channel or a thread.
 * @param {{channelId: string, rootId?: string, autofocus?: boolean}} props
 */
export function Composer({ channelId, rootId = '', autofocus = false }) {
  const key = draftKey(channelId, rootId);
  const draft = useStore((state) => state.drafts[key]);
  const channel = useStore((state) => state.channels[channelId]);
  const maxBytes = useStore((state) => Number(state.config.MaxFileSize) || 52_428_800);
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const picker = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [dropping, setDropping] = useState(false);
  /** Who would have received it when its first letter was written. */
  const begun = useRef(/** @type {{key: string, receives: string[]}} */ ({ key: '', receives: [] }));
  const message = draft?.message ?? '';
  const to = draft?.to ?? [];
  const files = draft?.files ?? [];
  const { audience, all, stale, refused } = useAudience(channelId, rootId, to);
  const keep = (/** @type {any} */ patch) => keepDraft(channelId, rootId, patch);
  const uploads = useUploads(channelId, maxBytes, files.length, (file) => {
    const now = store.get().drafts[key]?.files ?? [];
    keep({ files: [...now, file] });
  });
  const suggest = useSuggestions(area, channelId, (text) => write(text));
  const receives = audience?.receives ?? [];
  if (!message) begun.current = { key, receives };
  else if (begun.current.key !== key || begun.current.receives.length === 0) begun.current = { key, receives };
  const grown = isNarrowed(to) ? [] : newReaders(begun.current.receives, receives);

  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    if (element.value !== message) element.value = message;
    element.style.height = 'auto';
    element.style.height = `${Math.min(element.scrollHeight + 2, window.innerHeight * 0.4)}px`;
  }, [message, key]);
  useEffect(() => {
    const element = area.current;
    // On a phone the keyboard would hide what one came to read.
    if (autofocus && matchMedia('(pointer: fine)').matches) element?.focus();
  }, [key]);

  const write = (/** @type {string} */ text) => {
    keep({ message: text });
    if (text) sayTyping(channelId, rootId, isNarrowed(to));
  };
  const submit = async (/** @type {Event | undefined} */ event) => {
    event?.preventDefault();
    suggest.close();
    const text = area.current?.value ?? '';
    if (!text.trim() && files.length === 0) return;
    if (text.length > MESSAGE_MOST) {
      toast(`The message has ${text.length} characters; the node takes ${MESSAGE_MOST}. Shorten it, or send it as a file.`, { bad: true });
      return;
    }
    if (uploads.busy) {
      toast('Files are still on their way to the node. The message is sent when you press Send after that.', { bad: true });
      return;
    }
    if (text.startsWith('/') && files.length === 0 && !isNarrowed(to) && /^\/[a-z]/.test(text)) {
      await command(text);
      return;
    }
    try {
      send({ channelId, rootId, message: text, files, to, expected: receives });
    } catch (problem) {
      toastError(problem, 'Not sent');
      return;
    }
    // Narrowing stays until it is taken back: what follows is more likely for the same readers.
    keep({ message: '', files: [] });
    const feed = feedOf(channelId, rootId);
    if (!feed.state.get().stretch.hasNewer) window.dispatchEvent(new CustomEvent('comity-sent', { detail: feed.key }));
    area.current?.focus();
  };
  const command = async (/** @type {string} */ text) => {
    try {
      const told = await api.post('/api/v4/commands/execute', { channel_id: channelId, root_id: rootId, command: text });
      keep({ message: '' });
      if (told?.text) toast(told.text);
    } catch (problem) {
      toastError(problem, 'The command was not done');
    }
  };
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (suggest.pressed(event)) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      void submit(undefined);
    } else if (event.key === 'ArrowUp' && !message) {
      editLast(event);
    }
  };
  const editLast = (/** @type {KeyboardEvent} */ event) => {
    const feed = feedOf(channelId, rootId);
    const me = store.get().me?.id;
    const last = [...feed.state.get().stretch.ids].reverse().find((id) => feed.posts.get(id)?.user_id === me);
    const element = last && document.querySelector(`[data-test=post][data-post="${last}"]`);
    if (!element) return;
    event.preventDefault();
    element.dispatchEvent(new CustomEvent('comity-edit'));
  };
  const pasted = (/** @type {ClipboardEvent} */ event) => {
    const list = [...(event.clipboardData?.files ?? [])];
    if (list.length === 0) return;
    event.preventDefault();
    uploads.add(list);
  };
  const dropped = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    setDropping(false);
    uploads.add([...(event.dataTransfer?.files ?? [])]);
  };
  if (!channel) return null;
  const narrowed = isNarrowed(to);
  const total = all?.receives.length ?? 0;
  const label = rootId ? 'Answer in the thread' : channel.type === 'D' ? 'Write a message' : `Write to ${channel.display_name}`;
  const sendLabel = narrowed ? `Send to ${receives.length || to.length}${total ? ` of ${total}` : ''} ${total === 1 ? 'partner' : 'partners'}` : 'Send';
  return html`<form class=${`composer ${narrowed ? 'is-narrowed' : ''} ${dropping ? 'dropping' : ''}`} data-test="composer" onSubmit=${submit}
      onDragOver=${(/** @type {DragEvent} */ event) => (event.preventDefault(), setDropping(true))} onDragLeave=${() => setDropping(false)} onDrop=${dropped}>
    <${AudienceBar} audience=${audience} all=${all} stale=${stale} refused=${refused} to=${to} direct=${channel.type === 'D'} grown=${grown} onChange=${(/** @type {string[]} */ next) => keep({ to: next })} />
    <div class="composer-box">
      <${Suggestions} suggest=${suggest} />
      <textarea ref=${area} name="message" rows="1" dir="auto" aria-label=${label} placeholder=${label} maxlength=${MESSAGE_MOST * 2} aria-controls="suggestions" aria-autocomplete="list" aria-activedescendant=${suggest.open ? `suggestion-${suggest.index}` : undefined} onInput=${(/** @type {any} */ event) => (write(event.currentTarget.value), suggest.look())} onKeyDown=${pressed} onPaste=${pasted} onBlur=${suggest.close}></textarea>
      <${Attachments} files=${files} uploads=${uploads} onRemove=${(/** @type {string} */ id) => keep({ files: files.filter((/** @type {any} */ it) => it.id !== id) })} />
      <div class="composer-tools">
        <input ref=${picker} type="file" multiple hidden onChange=${(/** @type {any} */ event) => (uploads.add([...event.currentTarget.files]), (event.currentTarget.value = ''))} />
        <button type="button" class="icon-button" aria-label="Attach files" title="Attach files" onClick=${() => picker.current?.click()}><${Icon} name="attach" /></button>
        <button type="button" class="icon-button" aria-label="Insert an emoji" title="Emoji" onClick=${() => store.set({ sheet: { kind: 'emoji', onPick: (/** @type {string} */ name) => insert(area.current, `:${name}: `, write) } })}><${Icon} name="smile" /></button>
        <span class="hint grow composer-hint">${message.length > COUNT_FROM ? html`<span class=${message.length > MESSAGE_MOST ? 'over' : ''}>${MESSAGE_MOST - message.length} characters left</span>` : html`<span class="keys-hint"><kbd>Enter</kbd> sends, <kbd>Shift</kbd>+<kbd>Enter</kbd> begins a line</span>`}</span>
        <button type="submit" class="button primary send" data-test="send" disabled=${!message.trim() && files.length === 0}><${Icon} name="send" />${sendLabel}</button>
      </div>
    </div>
  </form>`;
}

/** @param {HTMLTextAreaElement | null} element @param {string} text @param {(text: string) => void} write */
function insert(element, text, write) {
  if (!element) return;
  const { selectionStart, selectionEnd, value } = element;
  write(value.slice(0, selectionStart) + text + value.slice(selectionEnd));
  requestAnimationFrame(() => {
    element.focus();
    element.setSelectionRange(selectionStart + text.length, selectionStart + text.length);
  });
}
