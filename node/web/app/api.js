// Requests to the node. Cookies say who asks; what changes something bears the token of the MMCSRF cookie.

/** How long a request may take: the node answers within some seconds or has a fault. */
const REQUEST_MS = 30_000;
/** A request that met a limit is asked again after this long at most: longer waits are told. */
const LONGEST_WAIT_MS = 5_000;

/** A request that failed: what the node said, or that it was not reached (status 0). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} id
   * @param {string} message
   * @param {number} [retryAfter] seconds
   */
  constructor(status, id, message, retryAfter) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.id = id;
    this.retryAfter = retryAfter ?? 0;
  }
}

/** Tells 'signed-out' when the node no longer knows the session. */
export const apiEvents = new EventTarget();

/**
 * The value of a cookie that scripts may read.
 * @param {string} name
 */
export function cookie(name) {
  for (const part of document.cookie.split('; ')) {
    if (part.startsWith(`${name}=`)) return part.slice(name.length + 1);
  }
  return '';
}

/** The id of this window's socket: the node leaves it out when it tells of its own changes. */
let connectionId = '';

/**
 * Sets what requests say of the socket of this window.
 * @param {string} id
 */
export function setConnection(id) {
  connectionId = id;
}

/** @param {string} method */
function headersFor(method) {
  /** @type {Record<string, string>} */
  const headers = { 'X-Requested-With': 'XMLHttpRequest' };
  if (method !== 'GET') headers['X-CSRF-Token'] = cookie('MMCSRF');
  if (connectionId) headers['Connection-Id'] = connectionId;
  return headers;
}

/**
 * The failure that an answer tells of.
 * @param {number} status
 * @param {string} text
 * @param {string} path
 * @param {string | null} [retryAfter]
 */
function failureOf(status, text, path, retryAfter) {
  let told = /** @type {any} */ ({});
  try {
    told = JSON.parse(text);
  } catch {
    // A proxy answered in its own words: the status tells enough.
  }
  const message = typeof told.message === 'string' && told.message ? told.message : `The node answered ${status}.`;
  const error = new ApiError(status, String(told.id ?? ''), message, Number(retryAfter) || 0);
  const loggingIn = path.startsWith('/api/v4/users/login') || path.startsWith('/api/comity/v1/login');
  if (status === 401 && !loggingIn) apiEvents.dispatchEvent(new Event('signed-out'));
  return error;
}

const unreached = () => new ApiError(0, 'network', 'The node is not reached. Look at your connection; what you write is kept.');

/**
 * Asks the node.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {{signal?: AbortSignal, again?: boolean}} [options]
 * @returns {Promise<any>}
 */
async function request(method, path, body, options = {}) {
  const headers = headersFor(method);
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const timeout = AbortSignal.timeout(REQUEST_MS);
  const signal = options.signal && 'any' in AbortSignal ? AbortSignal.any([options.signal, timeout]) : (options.signal ?? timeout);
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers,
      signal,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw unreached();
  }
  if (response.status === 429 && !options.again) {
    const waitMs = (Number(response.headers.get('Retry-After')) || 1) * 1000;
    if (waitMs <= LONGEST_WAIT_MS) {
      await new Promise((go) => setTimeout(go, waitMs));
      return request(method, path, body, { ...options, again: true });
    }
  }
  if (!response.ok) throw failureOf(response.status, text, path, response.headers.get('Retry-After'));
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(response.status, 'unreadable', 'The node answered something that is no JSON. Tell its administrator.');
  }
}

/**
 * Hands files over, telling how far it came.
 * @param {string} channelId
 * @param {File} file
 * @param {{onProgress?: (part: number) => void, signal?: AbortSignal}} [options]
 * @returns {Promise<any>} what the node answers: {file_infos, client_ids}
 */
function upload(channelId, file, options = {}) {
  const form = new FormData();
  form.append('channel_id', channelId);
  form.append('files', file, file.name || 'pasted');
  return new Promise((resolve, reject) => {
    // fetch does not tell how much of a body is sent.
    const ask = new XMLHttpRequest();
    ask.open('POST', '/api/v4/files');
    for (const [name, value] of Object.entries(headersFor('POST'))) ask.setRequestHeader(name, value);
    ask.upload.onprogress = (event) => {
      if (event.lengthComputable) options.onProgress?.(event.loaded / event.total);
    };
    ask.onload = () => {
      if (ask.status >= 200 && ask.status < 300) resolve(JSON.parse(ask.responseText));
      else reject(failureOf(ask.status, ask.responseText, '/api/v4/files', ask.getResponseHeader('Retry-After')));
    };
    ask.onerror = () => reject(unreached());
    ask.onabort = () => reject(new ApiError(0, 'aborted', 'The upload was cancelled.'));
    options.signal?.addEventListener('abort', () => ask.abort());
    ask.send(form);
  });
}

/** The node's API: paths are from the root. */
export const api = {
  /** @param {string} path @param {{signal?: AbortSignal}} [options] */
  get: (path, options) => request('GET', path, undefined, options),
  /** @param {string} path @param {unknown} [body] @param {{signal?: AbortSignal}} [options] */
  post: (path, body, options) => request('POST', path, body ?? {}, options),
  /** @param {string} path @param {unknown} [body] */
  put: (path, body) => request('PUT', path, body ?? {}),
  /** @param {string} path @param {unknown} [body] */
  del: (path, body) => request('DELETE', path, body),
  upload,
};
