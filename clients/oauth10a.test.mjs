// The crate the platform's Rust tools sign their requests with.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CONSUMER, run, World } from './world.mjs';

test('the crate oauth10a signs requests that are accepted, whatever stands in their query', async (t) => {
  const world = await World.start();
  t.after(() => world.end());
  const { org, web } = await world.space();
  const { token, secret } = world.alice;
  const env = {
    API_HOST: world.url, TOKEN: token, SECRET: secret, CONSUMER_KEY: CONSUMER.key, CONSUMER_SECRET: CONSUMER.secret, OWNER: org, APP: web,
  };
  assert.deepEqual(await run([process.env.SONNETTE_TEST_OAUTH10A], { env }), { code: 0, out: '', err: '' });
});
