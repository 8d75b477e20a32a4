// `clever login` as people do it: the command line opens a page in their browser, they agree, and it has its pair.

import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { Browser } from './browser.mjs';
import { World, until } from './world.mjs';

for (const version of [3, 4]) {
  for (const tls of [false, true]) {
    test(`login by browser: ${version}, over ${tls ? 'https' : 'http'}`, async (t) => {
      const world = await World.start({ tls });
      t.after(() => world.end());
      const { url: link } = await world.api('POST', '/sign-in-links', { email: 'alice@example.com' });
      const browser = new Browser();
      await browser.submit(await browser.go(new URL(new URL(link).pathname + new URL(link).search, world.url)), {}, '/sign-in/open');

      const folder = await world.linked({});
      const [opened, script] = [path.join(folder, 'opened'), path.join(folder, 'browser')];
      await fs.writeFile(script, `#!/bin/sh\nprintf '%s' "$1" > '${opened}.part' && mv '${opened}.part' '${opened}'\n`, { mode: 0o700 });
      const options = {
        as: null,
        env: { CONFIGURATION_FILE: path.join(folder, 'clever.json'), CONSOLE_TOKEN_URL: `${world.url}/cli-oauth`, BROWSER: script },
      };
      const login = world.clever(version, ['login'], options);
      const where = await until('a page is opened', () => fs.readFile(opened, 'utf8').catch(() => undefined));
      assert.ok(where.startsWith(`${world.url}/cli-oauth?`), where);
      const asked = await browser.go(where);
      assert.ok(asked.html.includes('alice@example.com') && asked.html.includes(version === 3 ? '3.14.0' : '4.11.0'), asked.html);
      const agreed = await browser.submit(asked, {}, '/cli-oauth');
      assert.equal(agreed.status, 200, agreed.html);

      const { code, out, err } = await login;
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, /alice@example\.com/);
      const profile = await world.clever(version, ['profile'], options);
      assert.equal(profile.code, 0, profile.err);
      assert.ok(profile.out.includes(world.alice.id), profile.out);
    });
  }
}
