// Emoji by name: the names are loaded when the first one is needed.
import { useEffect, useState } from '../../vendor/hooks.js';

/** How long messages come first. */
const LATER_MS = 600;

/** @type {any} */
let module = null;
/** @type {Promise<any> | null} */
let loading = null;

/** Loads the names. */
export function loadEmoji() {
  loading ??= import('../../text/emoji.js').then((loaded) => (module = loaded));
  return loading;
}

/**
 * Whether the names are there; the view is drawn anew once they are.
 * @param {boolean} [wanted] whether they are needed at all
 */
export function useEmoji(wanted = true) {
  const [ready, setReady] = useState(module !== null);
  useEffect(() => {
    if (ready || !wanted) return undefined;
    let gone = false;
    // Names of emoji may come a moment later than the messages.
    const timer = setTimeout(() => loadEmoji().then(() => !gone && setReady(true), () => undefined), module ? 0 : LATER_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [wanted]);
  return ready && wanted;
}

/**
 * The emoji of a name, or the name where there is none.
 * @param {string} name
 */
export function emojiText(name) {
  return module?.emojiFor(name) ?? `:${name}:`;
}

/**
 * The emoji of a name, if there is one and the names are loaded.
 * @param {string} name
 * @returns {string | undefined}
 */
export const emojiOf = (name) => module?.emojiFor(name);
