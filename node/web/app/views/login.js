// The login: by password, with a second factor where the account has one, or by the organisation's providers.
import { html } from '../../vendor/html.js';
import { useEffect, useRef, useState } from '../../vendor/hooks.js';
import { api, ApiError } from '../api.js';
import { logIn } from '../session.js';
import { navigate } from '../state.js';
import { safeReturn } from '../route.js';

const ASKS_TOKEN = 'mfa.validate_token.authenticate.app_error';
const BAD_TOKEN = 'api.user.check_user_mfa.bad_code.app_error';

/** The login's screen. */
export function Login() {
  const [ways, setWays] = useState(/** @type {any} */ (null));
  const [site, setSite] = useState('');
  const [needsToken, setNeedsToken] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const form = useRef(/** @type {HTMLFormElement | null} */ (null));
  const back = safeReturn(new URLSearchParams(location.search).get('redirect_to'));
  useEffect(() => {
    document.title = 'Log in · Comity';
    api.get('/api/comity/v1/login').then(setWays, (problem) => {
      setError(problem.message);
      setWays({ passwords: true, providers: [] });
    });
    api.get('/api/v4/config/client?format=old').then((config) => setSite((config.SiteName ?? '').replace(/^Comity: /, '')), () => undefined);
  }, []);
  useEffect(() => {
    const first = /** @type {HTMLElement | null | undefined} */ (form.current?.querySelector(needsToken ? '[name=token]' : '[name=username]'));
    first?.focus();
  }, [needsToken, ways]);
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const data = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    const text = (/** @type {string} */ name) => String(data.get(name) ?? '').trim();
    setBusy(true);
    setError('');
    try {
      await logIn(text('username'), String(data.get('password') ?? ''), text('token').replace(/\s/g, ''));
      navigate(back, { replace: true });
    } catch (problem) {
      if (problem instanceof ApiError && problem.id === ASKS_TOKEN) {
        setNeedsToken(true);
      } else {
        if (problem instanceof ApiError && problem.id === BAD_TOKEN) setNeedsToken(true);
        setError(problem instanceof Error ? problem.message : String(problem));
      }
    } finally {
      setBusy(false);
    }
  };
  return html`<main class="sign-in"><div class="sign-in-card">
    <h1>Comity</h1>
    <p class="hint">${site ? html`The node of <bdi>${site}</bdi>. Users of other partners log in at their own.` : 'Log in at the node of your organisation.'}</p>
    ${ways && html`<form ref=${form} data-test="login" onSubmit=${submit} hidden=${!ways.passwords}>
      <label class="field"><span>User name</span><input name="username" autocomplete="username" autocapitalize="none" spellcheck=${false} required /></label>
      <label class="field"><span>Password</span><input name="password" type="password" autocomplete="current-password" required /></label>
      <label class="field" hidden=${!needsToken}><span>Code of the second factor</span>
        <input name="token" inputmode="numeric" autocomplete="one-time-code" required=${needsToken} aria-describedby="token-hint" />
        <span id="token-hint" class="hint">Six digits of your authenticator, or a recovery code.</span></label>
      ${error && html`<p class="error field" role="alert">${error}</p>`}
      <button class="button primary" type="submit" disabled=${busy}>${busy ? 'Logging in…' : 'Log in'}</button>
    </form>`}
    ${ways && !ways.passwords && error && html`<p class="error" role="alert">${error}</p>`}
    ${ways?.providers.length > 0 && html`<div class="providers">
      ${ways.passwords && html`<p class="hint">Or with your organisation’s account:</p>`}
      ${ways.providers.map((/** @type {any} */ way) => html`<a class="button" key=${way.name} href=${`${way.path}?redirect_to=${encodeURIComponent(back)}`}><bdi>${way.title || way.name}</bdi></a>`)}
    </div>`}
  </div></main>`;
}
