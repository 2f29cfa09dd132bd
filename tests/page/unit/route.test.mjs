import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRoute, safeReturn } from '../../../node/web/app/route.js';

const id = 'x'.repeat(26);

test('paths name screens', () => {
  assert.deepEqual(parseRoute(`/channel/${id}`), { name: 'channel', id, path: `/channel/${id}` });
  assert.equal(parseRoute('/channel/../x').name, 'home');
  assert.deepEqual(parseRoute('/console/users?x=1'), { name: 'console', id: 'users', path: '/console/users?x=1' });
  assert.equal(parseRoute('/login?redirect_to=/').name, 'login');
  assert.equal(parseRoute('/').name, 'home');
});

test('a login leads back to this page only', () => {
  assert.equal(safeReturn(`/channel/${id}`), `/channel/${id}`);
  for (const bad of [null, '', '//evil.example', '/\\evil.example', 'https://evil.example', '/login', 'javascript:alert(1)']) assert.equal(safeReturn(bad), '/');
});
