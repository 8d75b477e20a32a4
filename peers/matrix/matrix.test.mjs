// What a hook of the format `matrix` brings into a room of a real homeserver.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { World } from '../../clients/world.mjs';
import { LossyWay, Synapse } from './synapse.mjs';

describe('matrix', () => {
  let world, synapse;
  before(async () => ([world, synapse] = await Promise.all([World.start(), Synapse.start()])));
  after(() => Promise.all([world?.end(), synapse?.end()]));

  /** A space whose only hook brings deployments that failed into a room of its own. */
  async function hooked({ url = synapse.url, ...more } = {}) {
    const [space, room] = [await world.space(), await synapse.room()];
    await world.unhook(space.org);
    const fields = { room: room.id, token: room.bot.access_token, ...more };
    const hook = { kind: 'webhook', name: 'Matrix', events: ['DEPLOYMENT_FAIL'], schedule: [1, 1, 1, 1, 1, 1, 1, 1, 1], urls: [{ format: 'matrix', url, fields }] };
    await world.api('POST', `/owners/${space.org}/hooks`, hook);
    return { ...space, room };
  }

  const failed = (space, data = {}) => world.emit('DEPLOYMENT_FAIL', space.org, { appId: space.web, ...data });
  /** The only delivery an owner is owed, once it is settled, with its attempts. */
  async function delivery({ org }) {
    const all = await world.settled(org);
    assert.equal(all.length, 1);
    return world.api('GET', `/deliveries/${all[0].id}`);
  }
  /** The same, of one that came. */
  async function delivered(space) {
    const one = await delivery(space);
    assert.equal(one.state, 'delivered', JSON.stringify(one));
    return one;
  }

  test('a message is a notice with text and HTML, and calls nobody', async () => {
    const space = await hooked();
    await failed(space, { commit: 'c0ffee5c6d1f', branch: 'main' });
    assert.equal((await delivered(space)).attempts.length, 1);
    const [message, ...more] = await synapse.messages(space.room);
    assert.deepEqual(more, []);
    assert.equal(message.sender, space.room.bot.user_id);
    const { content } = message;
    assert.equal(content.msgtype, 'm.notice');
    assert.equal(content.format, 'org.matrix.custom.html');
    assert.match(content.body, /Deployment of web failed\n/);
    assert.match(content.body, /\nCommit: c0ffee5c6d1f\nBranch: main\n/);
    assert.match(content.formatted_body, /Deployment of web failed<\/b><br>/);
    assert.deepEqual(content['m.mentions'], {});
  });

  test('an attempt whose answer is lost makes no second message', async () => {
    const way = await LossyWay.to(synapse.url);
    try {
      const space = await hooked({ url: way.url });
      way.lose = 2;
      await failed(space);
      const { id, attempts } = await delivered(space);
      assert.deepEqual(attempts.map(({ succeeded }) => succeeded), [false, false, true]);
      // It was there from the first attempt on, and every answer named the same event.
      const [message, ...more] = await synapse.messages(space.room);
      assert.deepEqual(more, []);
      assert.equal(way.answers.length, 3);
      for (const { where, text } of way.answers) {
        assert.ok(where.endsWith(`/send/m.room.message/${id}`), where);
        assert.equal(JSON.parse(text).event_id, message.event_id);
      }
    } finally {
      await way.end();
    }
  });

  test('what is sent again by hand is still one message, and another event is another', async () => {
    const space = await hooked();
    await failed(space);
    const { id } = await delivered(space);
    await world.api('POST', `/deliveries/${id}/resend`, {});
    assert.equal((await delivered(space)).attempts.length, 2);
    assert.equal((await synapse.messages(space.room)).length, 1);
    await failed(space);
    await world.settled(space.org);
    assert.equal((await synapse.messages(space.room)).length, 2);
  });

  test('what is about one application is one thread, and what is about another is another', async () => {
    const space = await hooked();
    for (const appId of [space.web, space.web, space.shop, space.web, space.shop]) {
      await failed(space, { appId });
      await world.settled(space.org);
    }
    const messages = await synapse.messages(space.room);
    const [web, , shop] = messages.map(({ event_id: id }) => id);
    const roots = messages.map(({ content }) => content['m.relates_to']?.event_id);
    assert.deepEqual(roots, [undefined, web, undefined, web, shop]);
    // The homeserver takes them for threads, too.
    const where = `/_matrix/client/v1/rooms/${encodeURIComponent(space.room.id)}/threads`;
    const { chunk } = await synapse.ask(space.room.reader.access_token, 'GET', where);
    const counts = Object.fromEntries(chunk.map((root) => [root.event_id, root.unsigned['m.relations']['m.thread'].count]));
    assert.deepEqual(counts, { [web]: 2, [shop]: 1 });
  });

  test('a user names the room and its reader, and calls neither', async () => {
    const space = await hooked();
    const { reader } = space.room;
    const name = reader.user_id.slice(1).split(':')[0];
    const link = `<a href="https://matrix.to/#/${reader.user_id}">${name}</a>`;
    await failed(space, { branch: `@room ${reader.user_id}`, cause: `${name} ${link}`, reason: `[${name}](https://matrix.to/#/${reader.user_id})` });
    await delivered(space);
    const [{ content }] = await synapse.messages(space.room);
    assert.doesNotMatch(content.formatted_body, /@room|matrix\.to/);
    // What is linked is ours.
    const links = [...content.formatted_body.matchAll(/<a href="([^"]*)"/g)].map(([, href]) => new URL(href).port);
    assert.deepEqual(links, [String(world.port)]);
    assert.equal(await synapse.calls(space.room), 0);
    // The count is one that counts: said by somebody who means it, the same name calls.
    const where = `/_matrix/client/v3/rooms/${encodeURIComponent(space.room.id)}/send/m.room.message/meant`;
    const meant = { msgtype: 'm.text', body: name, 'm.mentions': { user_ids: [reader.user_id] } };
    await synapse.ask(space.room.bot.access_token, 'PUT', where, meant);
    assert.equal(await synapse.calls(space.room), 1);
  });

  test('the longest message is not too long', async () => {
    for (const sign of ['\\', '"', '&', '😀']) {
      const space = await hooked();
      const long = sign.repeat(10_000);
      await failed(space, { commit: long, branch: long, cause: long, reason: long, action: long, uuid: long });
      await delivered(space);
      assert.equal((await synapse.messages(space.room)).length, 1);
    }
  });

  test('more than the homeserver takes at a time comes when it says, each once', async () => {
    const space = await hooked();
    const events = [];
    for (let n = 0; n < 6; n += 1) events.push(await failed(space, { branch: `b${n}` }));
    const all = await world.settled(space.org);
    assert.deepEqual([...new Set(all.map(({ state }) => state))], ['delivered']);
    const attempts = await Promise.all(all.map(async ({ id }) => (await world.api('GET', `/deliveries/${id}`)).attempts));
    assert.ok(attempts.flat().some(({ status, excerpt }) => status === 429 && excerpt.includes('M_LIMIT_EXCEEDED')), 'the limit was met');
    const branches = (await synapse.messages(space.room)).map(({ content }) => /Branch: (b\d)/.exec(content.body)[1]);
    assert.deepEqual(branches.toSorted(), ['b0', 'b1', 'b2', 'b3', 'b4', 'b5']);
  });

  test('a token that was taken back, and a room the bot was put out of, end the destination', async () => {
    const space = await hooked();
    await synapse.ask(space.room.bot.access_token, 'POST', '/_matrix/client/v3/logout', {});
    await failed(space);
    const one = await delivery(space);
    assert.deepEqual([one.state, one.reason, one.attempts.map(({ status }) => status)], ['dead', 'gone', [401]]);

    const other = await hooked();
    const where = `/_matrix/client/v3/rooms/${encodeURIComponent(other.room.id)}/leave`;
    await synapse.ask(other.room.bot.access_token, 'POST', where, {});
    await failed(other);
    const two = await delivery(other);
    assert.deepEqual([two.state, two.reason, two.attempts.map(({ status }) => status)], ['dead', 'gone', [403]]);
    assert.deepEqual(await synapse.messages(other.room), []);
  });

  test('neither the API nor the preview ever shows the token', async () => {
    const space = await hooked();
    const token = space.room.bot.access_token;
    await failed(space);
    const { id } = await delivered(space);
    const { items } = await world.api('GET', `/owners/${space.org}/hooks`);
    const asked = [items, await world.api('GET', `/deliveries/${id}`), await world.api('POST', `/hooks/${items[0].id}/test`, {})];
    assert.ok(!JSON.stringify(asked).includes(token));
    assert.equal(items[0].urls[0].fields.token, '…');
    // A test is a message of its own, whatever the number of its event.
    assert.equal((await synapse.messages(space.room)).length, 2);
  });
});
