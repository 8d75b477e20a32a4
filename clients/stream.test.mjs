// The event socket, as the client libraries use it: they want TLS.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { events } from './library.mjs';
import { until, World } from './world.mjs';

/** What a stream was told, and what became of it. */
async function listen(t, version, world, person, appId) {
  const stream = await events(version, world.url, person, appId);
  const told = { events: [], pings: [], opened: 0, closed: [], errors: [] };
  stream.on('open', () => (told.opened += 1));
  stream.on('event', (event) => told.events.push(event));
  stream.on('ping', (delay) => told.pings.push(delay));
  stream.on('close', (reason) => told.closed.push(reason));
  stream.on('error', (error) => told.errors.push(error));
  // The newer library cannot close what does not retry.
  stream.open({ autoRetry: true, initRetryTimeout: 50 });
  t.after(() => {
    // Closed while it connects, it takes that for a failure, closes again without end, and tries again for ever.
    stream._onError = () => {};
    stream._openSource = () => new Promise(() => {});
    stream.close();
  });
  await until('it listens, or fails', () => told.pings.length > 0 || told.errors.length > 0);
  return told;
}

for (const version of [9, 12]) {
  describe(`the event stream of ${version}`, () => {
    let world;
    before(async () => (world = await World.start({ tls: true })));
    after(() => world.end());

    test('every event of a person comes, in order, as it was published; with an application, only its own', async (t) => {
      const { org, web, shop } = await world.space();
      const site = await world.app(world.alice.id, 'site');
      const all = await listen(t, version, world, world.alice);
      const one = await listen(t, version, world, world.alice, web);
      const author = { authorId: world.alice.id, date: 1_767_348_000_000 };
      const data = (app, more) => ({ id: app, appId: app, ...more });
      const begin = { uuid: 'deployment_c', state: 'WIP', action: 'DEPLOY', commit: null, cause: 'Git' };
      const published = [
        [org, 'DEPLOYMENT_ACTION_BEGIN', data(web, begin)],
        [org, 'DEPLOYMENT_ACTION_BEGIN', data(shop, begin)],
        [org, 'ORGANISATION_EDITION', undefined],
        [world.alice.id, 'GIT_PUSH', data(site)],
        [org, 'DEPLOYMENT_SUCCESS', { appId: web, ownerId: org, name: 'web' }],
      ];
      const expected = [];
      for (const [ownerId, event, about] of published) {
        const id = await world.emit(event, ownerId, about, author);
        expected.push({ id, event, date: author.date, ownerId, authorId: author.authorId, data: about ?? null });
      }
      await until('all came', () => all.events.length >= 5 && one.events.length >= 2);
      // Between owners no order is promised: each has its own.
      for (const ownerId of [org, world.alice.id]) {
        const of = (list) => list.filter((event) => event.ownerId === ownerId);
        assert.deepEqual(of(all.events), of(expected));
      }
      assert.equal(all.events.length, 5);
      assert.deepEqual(one.events, [expected[0], expected[4]]);
    });

    test('whoever is not known is told so once, and does not come again', async (t) => {
      for (const wrong of [{ ...world.alice, secret: world.bob.secret }, { ...world.alice, token: 'nobody' }]) {
        const told = await listen(t, version, world, wrong);
        assert.equal(told.errors.length, 1);
        assert.equal(told.errors[0].constructor.name, 'AuthenticationError');
        assert.equal(told.errors[0].message, 'Authentication for the events stream (WS) failed');
        assert.deepEqual([told.closed[0].code, told.closed[0].reason], [4001, 'Authentication failure']);
        assert.deepEqual([told.opened, told.pings, told.events], [1, [], []]);
      }
    });

    test('heartbeats keep a connection longer than three times their delay', async (t) => {
      const told = await listen(t, version, world, world.alice);
      await until('five heartbeats', () => told.pings.length >= 5);
      assert.deepEqual(new Set(told.pings), new Set([1_000]));
      assert.deepEqual([told.opened, told.closed, told.errors], [1, [], []]);
    });

    test('events of an organisation reach its members and nobody else, from when they join until they leave', async (t) => {
      const [ours, theirs] = [await world.space(), await world.space({ admin: world.bob })];
      const [alice, bob] = [await listen(t, version, world, world.alice), await listen(t, version, world, world.bob)];
      const kinds = (told) => told.events.map(({ event, ownerId }) => [event, ownerId]);
      await world.emit('GIT_PUSH', ours.org, { appId: ours.web });
      await world.emit('GIT_PUSH', theirs.org, { appId: theirs.web });
      await until('each has one', () => alice.events.length > 0 && bob.events.length > 0);
      assert.deepEqual([kinds(alice), kinds(bob)], [[['GIT_PUSH', ours.org]], [['GIT_PUSH', theirs.org]]]);

      const member = `/organisations/${ours.org}/members/${world.bob.id}`;
      await world.api('PUT', member, { role: 'ACCOUNTING' });
      await world.emit('APPLICATION_STOP', ours.org, { appId: ours.web });
      await until('both have it', () => alice.events.length > 1 && bob.events.length > 1);
      await world.api('DELETE', member);
      await world.emit('APPLICATION_REDEPLOY', ours.org, { appId: ours.web });
      await world.emit('APPLICATION_STOP', theirs.org, { appId: theirs.web });
      await until('each has the last', () => alice.events.length > 2 && bob.events.length > 2);
      assert.deepEqual(kinds(alice).map(([kind]) => kind), ['GIT_PUSH', 'APPLICATION_STOP', 'APPLICATION_REDEPLOY']);
      assert.deepEqual(kinds(bob), [['GIT_PUSH', theirs.org], ['APPLICATION_STOP', ours.org], ['APPLICATION_STOP', theirs.org]]);
    });

    test('when the server comes again, so does the client', async (t) => {
      const { org, web } = await world.space();
      const told = await listen(t, version, world, world.alice);
      await world.stop();
      await until('it noticed', () => told.closed.length > 0);
      const before = told.pings.length;
      await world.serve();
      await until('it listens again', () => told.pings.length > before);
      assert.ok(told.opened > 1);
      const id = await world.emit('GIT_PUSH', org, { appId: web });
      await until('it is told', () => told.events.length > 0);
      assert.deepEqual([told.events.map((event) => event.id), told.errors], [[id], []]);
    });
  });
}
