// Signing in at a real provider of OpenID Connect (oidc-provider, with its own pages), as a browser without JavaScript does it.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { Provider } from 'oidc-provider';

import { Browser } from './browser.mjs';
import { World } from './world.mjs';

const SECRET = 'correct horse & battery';

/** A provider that believes whoever says who they are, and a Sonnette that believes it. */
class Place {
  static async start({ alg, method, conformIdTokenClaims }) {
    const place = new Place();
    place.server = http.createServer((request, response) => place.answer(request, response)).listen(0, '127.0.0.1');
    await once(place.server, 'listening');
    const issuer = `http://127.0.0.1:${place.server.address().port}`;
    const settings = ['[sign_in]', `issuer = "${issuer}"`, 'client_id = "sonnette"', 'name = "Example ID"'];
    if (method !== 'none') settings.push('client_secret_file = "SECRET"');
    place.world = await World.start({ settings, files: { SECRET } });
    place.base = `http://127.0.0.1:${place.world.port}`;
    const [type, options] = alg === 'ES256' ? ['ec', { namedCurve: 'P-256' }] : ['rsa', { modulusLength: 2048 }];
    const key = crypto.generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' });
    const provider = new Provider(issuer, {
      clients: [{
        client_id: 'sonnette',
        client_secret: method === 'none' ? undefined : SECRET,
        token_endpoint_auth_method: method,
        id_token_signed_response_alg: alg,
        redirect_uris: [`${place.base}/sign-in/callback`],
      }],
      clientAuthMethods: [method],
      enabledJWA: { idTokenSigningAlgValues: [alg] },
      pkce: { required: () => true },
      claims: { email: ['email', 'email_verified'] },
      conformIdTokenClaims,
      findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: id, email_verified: !id.startsWith('new.') }) }),
      cookies: { keys: ['a key of the test'] },
      jwks: { keys: [{ ...key, use: 'sig', kid: 'one' }] },
    });
    place.answer = provider.callback();
    return place;
  }

  async end() {
    await this.world.end();
    this.server.close();
    this.server.closeAllConnections();
  }

  /** Signs in there, and agrees. */
  async enter(browser, email, next = '/account') {
    const page = await browser.go(`${this.base}${next}`);
    const [, href] = /href="(\/sign-in\/provider[^"]*)"/.exec(page.html);
    const login = await browser.go(`${this.base}${href}`);
    const consent = await browser.submit(login, { login: email, password: 'anything' });
    return browser.submit(consent);
  }
}

for (const how of [
  { alg: 'RS256', method: 'client_secret_basic', conformIdTokenClaims: true },
  { alg: 'ES256', method: 'none', conformIdTokenClaims: false },
  { alg: 'PS256', method: 'client_secret_post', conformIdTokenClaims: false },
]) {
  describe(`a provider that signs with ${how.alg} and knows us by ${how.method}`, () => {
    let place;
    before(async () => (place = await Place.start(how)));
    after(() => place.end());

    test('somebody signs in there and comes back to the page, and the next time without being asked', async () => {
      const browser = new Browser();
      const page = await place.enter(browser, 'Alice@Example.com', '/events?q=git');
      assert.deepEqual([page.url, page.status], [`${place.base}/events?q=git`, 200], browser.visited.join(' '));
      assert.match((await browser.go(`${place.base}/account`)).html, /alice@example\.com/);
      for (const key of [...browser.cookies.keys()].filter((key) => key.startsWith('sonnette'))) browser.cookies.delete(key);
      const again = await browser.go(`${place.base}/sign-in/provider?next=/account`);
      assert.deepEqual([again.url, again.status], [`${place.base}/account`, 200]);
    });

    test('who is not here, or not verified there, is told so and not signed in', async () => {
      for (const [email, says] of [
        ['mallory@example.com', /ask those who run it to add mallory@example\.com/],
        ['new.alice@example.com', /has not verified that new\.alice@example\.com is yours/],
      ]) {
        const browser = new Browser();
        const page = await place.enter(browser, email);
        assert.equal(page.status, 403, page.html);
        assert.match(page.html, says);
        assert.match((await browser.go(`${place.base}/account`)).url, /\/sign-in\?next=%2Faccount$/);
      }
    });

    test('who calls it off is not signed in', async () => {
      const browser = new Browser();
      const login = await browser.go(`${place.base}/sign-in/provider?next=/account`);
      const [, abort] = /href="([^"]*\/abort)"/.exec(login.html);
      const page = await browser.go(abort);
      assert.equal(page.status, 403);
      assert.match(page.html, /did not sign you in, or you called it off/);
    });

    test('a code that was used opens nothing, in its own sign-in or another', async () => {
      const browser = new Browser();
      assert.equal((await place.enter(browser, 'bob@example.com')).status, 200);
      const callback = browser.visited.find((url) => url.includes('/sign-in/callback?'));
      const replayed = await new Browser().go(callback);
      assert.deepEqual([replayed.status, /This sign-in is over/.test(replayed.html)], [400, true]);

      const other = new Browser();
      await other.go(`${place.base}/sign-in/provider`);
      const state = new URL(other.visited.find((url) => url.includes('state='))).searchParams.get('state');
      const code = new URL(callback).searchParams.get('code');
      const stolen = await other.go(`${place.base}/sign-in/callback?code=${code}&state=${state}`);
      assert.deepEqual([stolen.status, /could not be confirmed, or was used already/.test(stolen.html)], [400, true]);
      assert.match((await other.go(`${place.base}/account`)).url, /\/sign-in\?/);
    });
  });
}

test('a provider that is away costs nobody the other way in', async () => {
  const place = await Place.start({ alg: 'RS256', method: 'client_secret_basic', conformIdTokenClaims: true });
  place.server.close();
  place.server.closeAllConnections();
  const browser = new Browser();
  const away = await browser.go(`${place.base}/sign-in/provider?next=/events`);
  assert.equal(away.status, 502);
  assert.match(away.html, /Example ID did not answer/);
  const sent = await browser.submit(away, { email: 'alice@example.com' });
  assert.deepEqual([sent.status, /a link is on its way/.test(sent.html)], [200, true]);
  await place.world.end();
});
