// What hooks made by the real clients bring, and to whom.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { functions } from './library.mjs';
import { CONSUMER, Receiver, until, World } from './world.mjs';

/** Who gets what, as the platform's documentation says. */
const FAMILIES = {
  META_SERVICE_LIFECYCLE: ['APPLICATION_STOP', 'DEPLOYMENT_ACTION_BEGIN', 'DEPLOYMENT_FAIL', 'DEPLOYMENT_SUCCESS'],
  META_DEPLOYMENT_RESULT: ['DEPLOYMENT_FAIL', 'DEPLOYMENT_SUCCESS'],
  META_SERVICE_MANAGEMENT: ['ADDON_CREATION', 'ADDON_DELETION', 'APPLICATION_CREATION', 'APPLICATION_EDITION', 'APPLICATION_DELETION'],
  META_CREDITS: ['CREDITS_ADDED'],
};

describe('delivery', () => {
  let world, receiver;
  before(async () => ([world, receiver] = await Promise.all([World.start({ tls: true }), Receiver.start()])));
  after(() => Promise.all([world.end(), receiver.down()]));

  const kinds = (door) => receiver.at(door).map(({ body }) => JSON.parse(body).event).toSorted();
  const added = async (options, ...words) => {
    const { code, err } = await world.clever(4, words, options);
    assert.equal(code, 0, err);
  };

  test('a raw webhook gets the very bytes the event socket sends', async () => {
    const { org, web, folder: cwd } = await world.space();
    await added({ cwd }, 'webhooks', 'add', 'raw', receiver.url('bytes'));
    const socket = new WebSocket(`wss://localhost:${world.port}/v2/events/event-socket`);
    const frames = [];
    socket.addEventListener('message', ({ data }) => frames.push(data));
    await new Promise((opened) => socket.addEventListener('open', opened));
    const { token, secret } = world.alice;
    const signature = `${CONSUMER.secret}%26${secret}`;
    const authorization = `OAuth oauth_consumer_key="${CONSUMER.key}", oauth_token="${token}", oauth_signature="${signature}"`;
    socket.send(JSON.stringify({ message_type: 'oauth', authorization }));
    await until('it is ready', () => frames.some((frame) => frame.includes('socket_ready')));
    await world.emit('GIT_PUSH', org, { appId: web, note: 'é \u2028 "quoted" \\ 1.50', size: 1e21 });
    await world.emit('DEPLOYMENT_FAIL', org, `{ "appId":"${web}",  "ratio": 1.50 }`, { authorId: world.alice.id, date: 1 });
    await until('both came', () => receiver.at('bytes').length >= 2);
    const told = () => frames.filter((frame) => frame.includes('"event":'));
    await until('both were told', () => told().length >= 2);
    assert.deepEqual(receiver.at('bytes').map(({ body }) => body).toSorted(), told().toSorted());
    for (const frame of told()) assert.equal(typeof JSON.parse(frame).data, 'string');
    for (const { headers } of receiver.at('bytes')) {
      assert.match(headers['webhook-signature'], /^v1,/);
      assert.equal(headers['content-type'], 'application/json');
    }
    socket.close();
  });

  test('a hook gets what its events and its scope say, and nothing else', async () => {
    const { org, web, shop, db, realId, folder } = await world.space();
    const mine = await world.app(world.alice.id, 'mine');
    const { send, createWebhook } = await functions(12, world.url, world.alice);
    const hook = (door, more = {}, ownerId = org) =>
      send(createWebhook({ ownerId }, { name: door, urls: [{ format: 'raw', url: receiver.url(door) }], ...more }));
    await hook('all');
    await hook('some', { events: ['GIT_PUSH', 'APPLICATION_STOP'] });
    for (const family of Object.keys(FAMILIES)) await hook(family, { events: [family] });
    await hook('web', { scope: [web] });
    await hook('db', { scope: [db] });
    await hook('real', { scope: [realId] });
    await hook('both', { scope: [shop, db], events: ['META_SERVICE_MANAGEMENT', 'GIT_PUSH'] });
    await hook('personal', {}, world.alice.id);
    // As the command line does in a linked folder.
    await added({ cwd: folder }, 'webhooks', 'add', '--event', 'META_DEPLOYMENT_RESULT', 'linked', receiver.url('linked'));

    const fresh = `app_${crypto.randomUUID()}`;
    const told = [
      ['APPLICATION_CREATION', { appId: fresh, name: 'fresh' }],
      ['APPLICATION_EDITION', { appId: web }],
      ['APPLICATION_REDEPLOY', { appId: web }],
      ['APPLICATION_STOP', { appId: shop }],
      ['APPLICATION_DELETION', { appId: fresh }],
      ['ADDON_CREATION', { addonId: db, realId, name: 'db' }],
      ['DEPLOYMENT_ACTION_BEGIN', { id: web, appId: web, uuid: 'deployment_1', state: 'WIP', action: 'DEPLOY' }],
      ['DEPLOYMENT_ACTION_END', { id: web, appId: web, uuid: 'deployment_1', state: 'OK', action: 'DEPLOY' }],
      ['DEPLOYMENT_SUCCESS', { appId: web }],
      ['DEPLOYMENT_FAIL', { appId: shop }],
      ['GIT_PUSH', { appId: shop }],
      ['ORGANISATION_EDITION', { name: 'ACME' }],
      ['CLEVER_TOOLS_REQUEST', { ownerId: org }],
      ['CREDITS_ADDED', { amount: 20, currency: 'EUR' }],
      // Last: it closes the add-on.
      ['ADDON_DELETION', { addonId: realId }],
    ];
    for (const [event, data] of told) await world.emit(event, org, data);
    await world.emit('GIT_PUSH', world.alice.id, { appId: mine });
    await Promise.all([world.settled(org), world.settled(world.alice.id)]);

    const every = told.map(([event]) => event).toSorted();
    assert.deepEqual(kinds('all'), every);
    assert.deepEqual(kinds('some'), ['APPLICATION_STOP', 'GIT_PUSH']);
    for (const [family, members] of Object.entries(FAMILIES)) {
      assert.deepEqual(kinds(family), every.filter((kind) => members.includes(kind)), family);
    }
    assert.deepEqual(kinds('web'), [
      'APPLICATION_EDITION', 'APPLICATION_REDEPLOY', 'DEPLOYMENT_ACTION_BEGIN', 'DEPLOYMENT_ACTION_END', 'DEPLOYMENT_SUCCESS',
    ]);
    assert.deepEqual(kinds('db'), ['ADDON_CREATION', 'ADDON_DELETION']);
    assert.deepEqual(kinds('real'), ['ADDON_CREATION', 'ADDON_DELETION'], 'the real id stands for the add-on');
    assert.deepEqual(kinds('both'), ['ADDON_CREATION', 'ADDON_DELETION', 'GIT_PUSH']);
    assert.deepEqual(kinds('personal'), ['GIT_PUSH'], 'an organisation\'s events are not its members\'');
    assert.deepEqual(kinds('linked'), ['DEPLOYMENT_SUCCESS']);
  });

  test('while a receiver is down nothing is lost, and its failures are shown', async () => {
    const { org, web, folder: cwd } = await world.space();
    const { send, getWebhooks } = await functions(9, world.url, world.alice);
    await added({ cwd }, 'webhooks', 'add', 'raw', receiver.url('down'));
    const shown = async () => (await send(getWebhooks({ ownerId: org })))[0];
    const failed = (count) => until(`${count} failures`, async () => {
      const { failures } = await shown();
      return failures.length >= count && failures;
    });
    await receiver.down();
    const first = await world.emit('GIT_PUSH', org, { appId: web });
    const [unreached] = await failed(1);
    assert.equal(unreached.url, receiver.url('down'));
    assert.ok(unreached.networkFailure.length > 0 && unreached.status === undefined, JSON.stringify(unreached));
    assert.ok(Math.abs(new Date(unreached.createdAt) - Date.now()) < 60_000);
    receiver.answer = { status: 502, body: '<html><body>Bad gateway' };
    await receiver.up();
    const second = await world.emit('GIT_PUSH', org, { appId: web });
    const refused = (await failed(2)).find((one) => one.status);
    assert.deepEqual([refused.status, refused.partialBody, refused.networkFailure], [502, '<html><body>Bad gateway', undefined]);
    receiver.answer = { status: 200, body: 'ok' };
    await world.settled(org);
    const tries = receiver.at('down');
    const delivered = Map.groupBy(tries, ({ body }) => JSON.parse(body).id);
    assert.deepEqual([...delivered.keys()].toSorted(), [first, second].toSorted());
    for (const same of delivered.values()) {
      assert.equal(new Set(same.map(({ headers }) => headers['webhook-id'])).size, 1, 'a repeat is recognised');
      assert.equal(new Set(same.map(({ body }) => body)).size, 1);
    }
    assert.equal((await shown()).state, 'ENABLED');
  });

  test('a paused hook shows as disabled, and what it was owed meanwhile comes when it is resumed', async () => {
    const { org, web, folder: cwd } = await world.space();
    const { send, getWebhooks } = await functions(12, world.url, world.alice);
    await added({ cwd }, 'webhooks', 'add', 'raw', receiver.url('paused'));
    const [{ id }] = await send(getWebhooks({ ownerId: org }));
    const state = async () => (await send(getWebhooks({ ownerId: org })))[0].state;
    await world.api('POST', `/hooks/${id}/pause`);
    assert.equal(await state(), 'DISABLED');
    const event = await world.emit('GIT_PUSH', org, { appId: web });
    await world.settled(org);
    assert.deepEqual(receiver.at('paused'), []);
    await world.api('POST', `/hooks/${id}/resume`, { held: 'deliver' });
    assert.equal(await state(), 'ENABLED');
    await until('it came', () => receiver.at('paused').length > 0);
    assert.equal(JSON.parse(receiver.at('paused')[0].body).id, event);
  });

  test('letters go to the team, to a user, and to addresses, once to each', async () => {
    const { org, web, folder: cwd } = await world.space();
    await world.unhook(org);
    await world.api('PUT', `/organisations/${org}/members/${world.bob.id}`, { role: 'DEVELOPER' });
    await added({ cwd }, 'notify-email', 'add', '--notify', 'organisation', '--event', 'DEPLOYMENT_FAIL', 'team');
    await added({ cwd }, 'notify-email', 'add', '--notify', world.bob.id, '--event', 'GIT_PUSH', 'bob');
    const notify = 'ops@example.org,dev@example.org,ops@example.org';
    await added({ cwd }, 'notify-email', 'add', '--notify', notify, '--event', 'GIT_PUSH,DEPLOYMENT_FAIL', 'addresses');
    const people = ['alice@example.com', 'bob@example.com', 'ops@example.org', 'dev@example.org'];
    const written = async () => Promise.all(people.map(async (one) => (await world.letters(one)).length));
    const before = await written();
    await world.emit('DEPLOYMENT_FAIL', org, { appId: web });
    await world.emit('GIT_PUSH', org, { appId: web });
    await world.settled(org);
    const now = await written();
    assert.deepEqual(now.map((count, at) => count - before[at]), [1, 2, 2, 2]);
  });
});
