// Asking the node again and again while the page is looked at, and ordering something once.
import { useCallback, useEffect, useRef, useState } from '../vendor/hooks.js';
import { api } from '../app/api.js';

/** Where the console's requests go. */
export const ROOT = '/api/comity/v1/console';
/** How often what changes by itself is asked for: links and backlog. */
export const OFTEN_MS = 5_000;
/** What changes by people's orders. */
export const SELDOM_MS = 15_000;

/**
 * Asks for something at once, and again every so often while the window is seen.
 * @template T
 * @param {string | null} path null asks for nothing
 * @param {number} everyMs
 * @returns {{data: T | null, error: string, atMs: number, reload: () => Promise<void>}}
 */
export function usePolled(path, everyMs) {
  const [state, setState] = useState({ data: /** @type {T | null} */ (null), error: '', atMs: 0, path });
  const wanted = useRef(path);
  wanted.current = path;
  const reload = useCallback(async () => {
    if (!path) return;
    try {
      const data = await api.get(path);
      if (wanted.current === path) setState({ data, error: '', atMs: Date.now(), path });
    } catch (problem) {
      const error = problem instanceof Error ? problem.message : String(problem);
      if (wanted.current === path) setState((/** @type {any} */ before) => ({ ...before, data: before.path === path ? before.data : null, error, path }));
    }
  }, [path]);
  useEffect(() => {
    if (!path) return undefined;
    void reload();
    const timer = setInterval(() => {
      if (!document.hidden) void reload();
    }, everyMs);
    return () => clearInterval(timer);
  }, [path, everyMs, reload]);
  const isOld = state.path !== path;
  return { data: isOld ? null : state.data, error: isOld ? '' : state.error, atMs: state.atMs, reload };
}

/**
 * Does one thing at a time, and tells how it stands.
 * @returns {{busy: boolean, error: string, run: (work: () => Promise<unknown>) => Promise<boolean>, clear: () => void}}
 */
export function useOrder() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const running = useRef(false);
  const run = async (/** @type {() => Promise<unknown>} */ work) => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    setError('');
    try {
      await work();
      return true;
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
      return false;
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  return { busy, error, run, clear: () => setError('') };
}
