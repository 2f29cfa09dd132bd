// Sheets: what lies over the page until it is answered or closed.
import { html } from '../../vendor/html.js';
import { useEffect, useRef } from '../../vendor/hooks.js';
import { store } from '../state.js';
import { Icon } from './util.js';

/** Closes whatever sheet is open. */
export const closeSheet = () => store.set({ sheet: null });

/**
 * A dialogue: it holds the focus and gives it back.
 * @param {{title: any, label?: string, test?: string, wide?: boolean, onClose?: () => void, children?: any, bare?: boolean}} props
 */
export function Sheet({ title, label, test, wide, onClose = closeSheet, children, bare }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    const first = /** @type {HTMLElement | null | undefined} */ (element?.querySelector('[data-first]'));
    first?.focus();
    return () => {
      element?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const cancelled = (/** @type {Event} */ event) => {
    event.preventDefault();
    onClose();
  };
  const pressed = (/** @type {MouseEvent} */ event) => {
    if (event.target === dialog.current) onClose();
  };
  return html`<dialog ref=${dialog} class=${`sheet ${wide ? 'wide' : ''} ${bare ? 'bare' : ''}`} data-test=${test} aria-label=${label ?? (typeof title === 'string' ? title : undefined)} onCancel=${cancelled} onMouseDown=${pressed}>
    <div class="sheet-body">
      ${!bare && html`<header class="sheet-head"><h2 dir="auto">${title}</h2><button class="icon-button" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button></header>`}
      ${children}
    </div>
  </dialog>`;
}
