// A provider of OpenID Connect for the tests: npm's oidc-provider on loopback, with users out of its
// arguments and a way to change them while it runs.
//
//     node oidc.mjs '{"port": 9400, "users": {"alice": {"groups": ["ops"]}}, "redirect": "http://…",
//                     "logout": "http://…", "secret": "…"}'
//
// It prints `ready` when it answers. POST /control takes {"user": …, "claims": {…} or null}: what is
// said of the user from now on, or that the user is disabled. GET /control tells how often refresh
// tokens were taken, by user.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// The packages are installed outside this directory: COMITY_CLIENT_MODULES says where.
const require = createRequire(`${process.env.COMITY_CLIENT_MODULES}/package.json`);
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const { port, users, redirect, logout, secret } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const known = new Map(Object.entries(users));
const refreshed = {};

const provider = new Provider(issuer, {
    clients: [{
        client_id: 'comity',
        client_secret: secret,
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [redirect],
        token_endpoint_auth_method: 'client_secret_basic',
        backchannel_logout_uri: logout,
        backchannel_logout_session_required: true,
    }],
    cookies: { keys: ['of-the-tests'] },
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
    claims: {
        openid: ['sub'],
        profile: ['name', 'preferred_username'],
        email: ['email'],
        groups: ['groups', 'clearance'],
    },
    // Only who it is stands in the ID token; the rest has to be asked for.
    conformIdTokenClaims: true,
    // Every refresh token is good once, so that a node that forgets a new one is found out.
    rotateRefreshToken: () => true,
    // The node's logout address is on this machine, where the library's own dispatcher asks nobody.
    fetch: (url, { dispatcher: _, ...options }) => globalThis.fetch(url, options),
    features: {
        backchannelLogout: { enabled: true },
        devInteractions: { enabled: true },
        rpInitiatedLogout: { enabled: true },
    },
    async findAccount(_context, id) {
        if (!known.has(id)) {
            return undefined;
        }
        return {
            accountId: id,
            async claims() {
                return { sub: id, preferred_username: id, ...known.get(id) };
            },
        };
    },
});
provider.on('grant.success', ({ oidc }) => {
    if (oidc.params.grant_type === 'refresh_token') {
        const user = oidc.entities.Account.accountId;
        refreshed[user] = (refreshed[user] ?? 0) + 1;
    }
});
for (const event of ['server_error', 'grant.error', 'backchannel.error', 'authorization.error']) {
    provider.on(event, (...told) => console.error(event, told.find((it) => it instanceof Error)));
}

const answer = provider.callback();
createServer(async (request, response) => {
    if (request.url !== '/control') {
        return answer(request, response);
    }
    if (request.method === 'POST') {
        let text = '';
        for await (const part of request) {
            text += part;
        }
        const { user, claims } = JSON.parse(text);
        claims === null ? known.delete(user) : known.set(user, claims);
    }
    response.setHeader('content-type', 'application/json');
    return response.end(JSON.stringify(refreshed));
}).listen(port, '127.0.0.1', () => console.log('ready'));
