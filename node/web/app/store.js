// A value that is watched: views take what they need of it, and are drawn anew when that changes.
import { useEffect, useReducer, useRef } from '../vendor/hooks.js';

/**
 * Makes a store of one object whose parts are replaced, never changed in place.
 * @template {object} T
 * @param {T} initial
 */
export function createStore(initial) {
  let state = initial;
  /** @type {Set<(state: T) => void>} */
  const listeners = new Set();
  return {
    /** What the store holds now. */
    get: () => state,
    /**
     * Replaces parts of the state and tells those who watch.
     * @param {Partial<T> | ((state: T) => Partial<T>)} patch
     */
    set(patch) {
      const next = typeof patch === 'function' ? patch(state) : patch;
      const changed = Object.keys(next).some((key) => /** @type {any} */ (state)[key] !== /** @type {any} */ (next)[key]);
      if (!changed) return;
      state = { ...state, ...next };
      for (const listener of [...listeners]) listener(state);
    },
    /**
     * Calls back at every change until the returned function is called.
     * @param {(state: T) => void} listener
     */
    subscribe(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
}

/**
 * Makes the hook that draws a view anew when what its selector returns changes.
 * @template {object} T
 * @param {ReturnType<typeof createStore<T>>} store
 */
export function storeHook(store) {
  /**
   * @template R
   * @param {(state: T) => R} selector
   * @returns {R}
   */
  return function useStore(selector) {
    const [, redraw] = useReducer((/** @type {number} */ count) => count + 1, 0);
    const latest = useRef(/** @type {any} */ (null));
    const value = selector(store.get());
    latest.current = { selector, value };
    useEffect(() => {
      const look = (/** @type {T} */ state) => {
        if (!Object.is(latest.current.selector(state), latest.current.value)) redraw(0);
      };
      look(store.get());
      return store.subscribe(look);
    }, []);
    return value;
  };
}
