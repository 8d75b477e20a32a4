// Every command of `clever` that has to do with notifications, in both versions people have, over http and https.

import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { World, until } from './world.mjs';

const ADDED = { code: 0, out: 'The webhook has been added\n', err: '' };
const REMOVED = { code: 0, out: 'The notification has been successfully removed\n', err: '' };
const NOT_LOGGED_IN = refusal("You're not logged in, use clever login command to connect to your Clever Cloud account");
const NO_APP = refusal('There is no linked or targeted application. Use `--app` option or `clever link` command.');
const NOWHERE = 'orga_99999999-9999-4999-8999-999999999999';
const NOTHING = 'app_99999999-9999-4999-8999-999999999999';

function refusal(message) {
  return { code: 1, out: '', err: `[ERROR] ${message}\n` };
}

/** What a list prints. */
function listed(...lines) {
  return { code: 0, out: lines.map((line) => `${line}\n`).join(''), err: '' };
}

describe('clever', { concurrency: 2 }, () => {
  for (const version of [3, 4]) {
    for (const tls of [false, true]) {
      describe(`${version}, over ${tls ? 'https' : 'http'}`, { concurrency: 1 }, () => suite(version, tls));
    }
  }
});

function suite(version, tls) {
  let world;
  before(async () => (world = await World.start({ tls })));
  after(() => world.end());

  const clever = (words, options) => world.clever(version, words, options);
  /** Ids by name, of what an owner has. */
  const ids = async (sort, owner) => {
    const { items } = await world.api('GET', `/owners/${owner}/hooks`);
    const mine = items.filter((hook) => hook.kind === sort);
    return Object.fromEntries(mine.map((hook) => [hook.name, hook.id]));
  };
  const nothingStored = async (owner, before) => {
    assert.deepEqual(await world.api('GET', `/owners/${owner}/hooks`), before);
  };

  // ------------------------------------------------------------------------------------------------ A. identity

  test('profile tells who one is', async () => {
    const { code, out, err } = await clever(['profile']);
    assert.deepEqual({ code, err }, { code: 0, err: '' });
    for (const part of [world.alice.id, 'Alice', 'alice@example.com']) assert.ok(out.includes(part), out);
    const json = JSON.parse((await clever(['profile', '--format', 'json'])).out);
    assert.deepEqual([json.id, json.name, json.email], [world.alice.id, 'Alice', 'alice@example.com']);
    assert.ok(new Date(json.tokenExpiration) > new Date(), json.tokenExpiration);
  });

  test('login with a pair is remembered, and needs no variables afterwards', async () => {
    const { token, secret } = world.alice;
    const options = { as: null, env: { CONFIGURATION_FILE: path.join(await world.linked({}), 'clever.json') } };
    const login = await clever(['login', '--token', token, '--secret', secret], options);
    assert.deepEqual([login.code, login.err], [0, '']);
    assert.deepEqual(await clever(['webhooks', '--list-all'], options), listed());
  });

  test('link finds the owner of an application by its id', async () => {
    const { org, web } = await world.space();
    const cwd = await world.linked({});
    const link = await clever(['link', web], { cwd });
    assert.equal(link.code, 0, link.err);
    const { apps } = JSON.parse(await fs.readFile(path.join(cwd, '.clever.json')));
    assert.deepEqual([apps[0].app_id, apps[0].org_id, apps[0].name], [web, org, 'web']);
    assert.deepEqual(await clever(['webhooks'], { cwd }), listed());
  });

  test('whoever has wrong credentials is not logged in', async () => {
    const wrong = [
      { CLEVER_SECRET: world.bob.secret },
      { CLEVER_TOKEN: 'nobody' },
      { OAUTH_CONSUMER_KEY: 'nobody' },
      { OAUTH_CONSUMER_SECRET: 'wrong' },
    ];
    for (const env of wrong) {
      assert.deepEqual(await clever(['webhooks', '--list-all'], { env }), NOT_LOGGED_IN, JSON.stringify(env));
    }
  });

  // -------------------------------------------------------------------------------------------- B. e-mail hooks

  test('a new owner has the default e-mail hooks, which can be removed', async () => {
    const { org, folder: cwd } = await world.space();
    const born = await ids('email', org);
    const [results, credits] = ['Default deployment result e-mails', 'Default credits warning e-mails'];
    assert.deepEqual(await clever(['notify-email'], { cwd }), listed(
      results, `  id: ${born[results]}`, `  services: ${org}`, '  events: META_DEPLOYMENT_RESULT', '  to: whole team',
      credits, `  id: ${born[credits]}`, `  services: ${org}`, '  events: CREDITS_WARNING, CREDITS_EXHAUSTED', '  to: whole team',
    ));
    for (const id of Object.values(born)) {
      assert.deepEqual(await clever(['notify-email', 'remove', '--org', org, id]), REMOVED);
      assert.deepEqual(await clever(['notify-email', 'remove', '--org', org, id]), refusal('hook not found'));
    }
    assert.deepEqual(await clever(['notify-email'], { cwd }), listed());
    assert.deepEqual(await clever(['notify-email', '--format', 'json'], { cwd }), listed('[]'));
  });

  test('e-mail hooks are added and listed as they were meant', async () => {
    const { org, web, shop, db, folder: cwd } = await world.space({ name: 'Mail & Söhne' });
    await world.unhook(org);
    const alice = world.alice.id;
    const add = async (...words) => assert.deepEqual(await clever(['notify-email', 'add', ...words], { cwd }), ADDED);
    await add('--notify', `alice@example.com,${alice},ORGANISATION,garbage`, '--event', 'META_DEPLOYMENT_RESULT,GIT_PUSH', 'mixed');
    await add('--notify', 'organisation', 'team');
    await add('--org', org, '--notify', 'organisation', 'org hook');
    await add('--org', 'Mail & Söhne', '--notify', 'a@b.example', 'by name');
    await add('--org', org, '--service', `${web},${db}`, '--notify', 'a@b.example', 'services');
    await add('--org', org, '--service', shop, '--notify', 'a@b.example', 'another');
    const id = await ids('email', org);

    const team = ['team', `  id: ${id.team}`, `  services: ${web}`, '  events: ALL', '  to: whole team'];
    const mixed = [
      'mixed', `  id: ${id.mixed}`, `  services: ${web}`, '  events: META_DEPLOYMENT_RESULT, GIT_PUSH', '  to:',
      '    alice@example.com', `    ${alice}`, '    whole team',
    ];
    const whole = ['org hook', `  id: ${id['org hook']}`, `  services: ${org}`, '  events: ALL', '  to: whole team'];
    const named = ['by name', `  id: ${id['by name']}`, `  services: ${org}`, '  events: ALL', '  to: a@b.example'];
    const some = ['services', `  id: ${id.services}`, `  services: ${web}, ${db}`, '  events: ALL', '  to: a@b.example'];
    const other = ['another', `  id: ${id.another}`, `  services: ${shop}`, '  events: ALL', '  to: a@b.example'];
    assert.deepEqual(await clever(['notify-email'], { cwd }), listed(...mixed, ...team, ...whole, ...named, ...some));
    const all = listed(...mixed, ...team, ...whole, ...named, ...some, ...other);
    assert.deepEqual(await clever(['notify-email', '--list-all', '--org', org], { cwd }), all);
    assert.deepEqual(await clever(['notify-email', '--list-all', '--org', 'Mail & Söhne'], { cwd }), all);
    // The client's own filter, by the other linked application.
    const second = await world.linked({ [shop]: org });
    assert.deepEqual(await clever(['notify-email'], { cwd: second }), listed(...whole, ...named, ...other));

    const json = JSON.parse((await clever(['notify-email', '--list-all', '-F', 'json', '--org', org], { cwd })).out);
    assert.deepEqual(json.slice(0, 3), [
      {
        id: id.mixed, name: 'mixed', ownerId: org, services: [web], events: ['META_DEPLOYMENT_RESULT', 'GIT_PUSH'],
        notified: ['alice@example.com', alice, 'whole team'],
      },
      { id: id.team, name: 'team', ownerId: org, services: [web], events: ['ALL'], notified: ['whole team'] },
      { id: id['org hook'], name: 'org hook', ownerId: org, services: [org], events: ['ALL'], notified: ['whole team'] },
    ]);
    const missing = await clever(['notify-email', 'add', 'nobody'], { cwd });
    assert.equal(missing.code, 1);
  });

  test('without an organisation, listing all, adding and removing mean one\'s own space', async () => {
    const mine = await world.app(world.alice.id, 'mine');
    await world.unhook(world.alice.id);
    const { org } = await world.space();
    const cwd = await world.linked({ [mine]: world.alice.id });
    assert.deepEqual(await clever(['notify-email', 'add', '--notify', 'a@b.example', 'mine'], { cwd }), ADDED);
    assert.deepEqual(await clever(['webhooks', 'add', 'mine', 'https://example.com/1'], { cwd }), ADDED);
    const [{ mine: mail }, { mine: hook }] = await Promise.all([ids('email', world.alice.id), ids('webhook', world.alice.id)]);
    const mails = listed('mine', `  id: ${mail}`, `  services: ${mine}`, '  events: ALL', '  to: a@b.example');
    assert.deepEqual(await clever(['notify-email', '--list-all']), mails);
    const hooks = listed('mine', `  id: ${hook}`, `  services: ${mine}`, '  events: ALL', '  hooks:', '    https://example.com/1 (raw)');
    assert.deepEqual(await clever(['webhooks', '--list-all']), hooks);
    const elsewhere = await ids('email', org);
    assert.deepEqual(await clever(['notify-email', 'remove', Object.values(elsewhere)[0]]), refusal('hook not found'));
    assert.deepEqual(await clever(['notify-email', 'remove', hook]), refusal('hook not found'));
    assert.deepEqual(await clever(['notify-email', 'remove', mail]), REMOVED);
    assert.deepEqual(await clever(['webhooks', 'remove', hook]), REMOVED);
    assert.deepEqual(await clever(['webhooks', '--list-all']), listed());

    // The older one puts services without an organisation into one's own space, the newer one wants to know whose they are.
    const services = await clever(['notify-email', 'add', '--service', mine, '--notify', 'a@b.example', 'services'], { cwd });
    assert.deepEqual(services, version === 3 ? ADDED : refusal('--org is required when using --service'));
    await world.unhook(world.alice.id);
  });

  // ------------------------------------------------------------------------------------------------ C. webhooks

  test('webhooks are added in every format, and listed as they were meant', async () => {
    const { org, web, shop, db, folder: cwd } = await world.space();
    const add = async (...words) => assert.deepEqual(await clever(['webhooks', 'add', ...words], { cwd }), ADDED);
    await add('raw hook', 'http://127.0.0.1:9999/cb');
    await add('--format', 'slack', '--event', 'META_DEPLOYMENT_RESULT', 'slack hook', 'https://hooks.slack.com/services/T0/B0/secret');
    await add('--org', org, '--service', `${web},${db}`, '--event', 'DEPLOYMENT_FAIL,GIT_PUSH', '--format', 'gitter', 'services', 'https://example.com/1');
    await add('--org', org, '--format', 'flowdock', 'org hook', 'https://api.flowdock.com/v1/messages/team_inbox/secret');
    await add('--org', org, '--service', shop, 'another', 'https://example.com/3?a=b&c');
    const id = await ids('webhook', org);
    const raw = ['raw hook', `  id: ${id['raw hook']}`, `  services: ${web}`, '  events: ALL', '  hooks:', '    http://127.0.0.1:9999/cb (raw)'];
    const slack = [
      'slack hook', `  id: ${id['slack hook']}`, `  services: ${web}`, '  events: META_DEPLOYMENT_RESULT', '  hooks:',
      '    https://hooks.slack.com/services/T0/B0/secret (slack)',
    ];
    const some = [
      'services', `  id: ${id.services}`, `  services: ${web}, ${db}`, '  events: DEPLOYMENT_FAIL, GIT_PUSH', '  hooks:',
      '    https://example.com/1 (gitter)',
    ];
    const whole = [
      'org hook', `  id: ${id['org hook']}`, `  services: ${org}`, '  events: ALL', '  hooks:',
      '    https://api.flowdock.com/v1/messages/team_inbox/secret (flowdock)',
    ];
    const other = ['another', `  id: ${id.another}`, `  services: ${shop}`, '  events: ALL', '  hooks:', '    https://example.com/3?a=b&c (raw)'];
    assert.deepEqual(await clever(['webhooks'], { cwd }), listed(...raw, ...slack, ...some, ...whole));
    const second = await world.linked({ [shop]: org });
    assert.deepEqual(await clever(['webhooks'], { cwd: second }), listed(...whole, ...other));
    const json = JSON.parse((await clever(['webhooks', '--format', 'json', '--list-all', '--org', org], { cwd })).out);
    assert.equal(json.length, 5);
    assert.deepEqual(json[0], {
      id: id['raw hook'], name: 'raw hook', ownerId: org, services: [web], events: ['ALL'],
      urls: [{ format: 'raw', url: 'http://127.0.0.1:9999/cb' }],
    });

    assert.deepEqual(await clever(['webhooks', 'remove', '--org', org, id['slack hook']]), REMOVED);
    assert.deepEqual(await clever(['webhooks', 'remove', '--org', org, id['slack hook']]), refusal('hook not found'));
    assert.deepEqual(await clever(['webhooks', 'remove', '--org', org, 'unknown-id']), refusal('hook not found'));
    assert.deepEqual(await clever(['webhooks', 'remove', id['raw hook']]), refusal('hook not found'), 'it is not in one\'s own space');
    assert.deepEqual(await clever(['webhooks'], { cwd }), listed(...raw, ...some, ...whole));
  });

  // ------------------------------------------------------------------------------------------------ E. clever curl

  test('clever curl changes a hook, and asks what there is', async () => {
    const { org, web, folder: cwd } = await world.space();
    const curl = async (where, ...words) => {
      const { code, out } = await clever(['curl', '-s', ...words, `${world.url}/v2/${where}`], { cwd });
      assert.equal(code, 0);
      return JSON.parse(out);
    };
    assert.deepEqual(await clever(['webhooks', 'add', 'before', 'https://example.com/1'], { cwd }), ADDED);
    const { before: id } = await ids('webhook', org);
    const [was] = await curl(`notifications/webhooks/${org}`);
    assert.deepEqual([was.id, was.scope, was.failures, was.state], [id, [web], [], 'ENABLED']);
    const body = JSON.stringify({ name: 'after', urls: [{ format: 'raw', url: 'https://example.com/2' }], events: ['GIT_PUSH'] });
    // The older one puts the words together again without quotes: the body comes from a file.
    await fs.writeFile(path.join(cwd, 'body.json'), body);
    const json = ['-H', 'Content-Type:application/json', '-d', '@body.json'];
    const now = await curl(`notifications/webhooks/${org}/${id}`, '-X', 'PUT', ...json);
    assert.deepEqual([now.id, now.name, now.scope, now.createdAt], [id, 'after', undefined, was.createdAt]);
    assert.deepEqual(await clever(['webhooks'], { cwd }), listed(
      'after', `  id: ${id}`, `  services: ${org}`, '  events: GIT_PUSH', '  hooks:', '    https://example.com/2 (raw)',
    ));

    const { events, meta_events: families } = await curl('notifications/info/events');
    assert.ok(events.includes('ORGANISATION_USER_ADDITION') && events.includes('META_SERVICE_LIFECYCLE'));
    assert.deepEqual(Object.fromEntries(families.map(({ key, events }) => [key, events.toSorted()])).META_DEPLOYMENT_RESULT, ['DEPLOYMENT_FAIL', 'DEPLOYMENT_SUCCESS']);
    const formats = await curl('notifications/info/webhookformats');
    assert.deepEqual(formats.slice(0, 4), ['raw', 'slack', 'flowdock', 'gitter']);
    const [{ member, role }] = await curl(`organisations/${org}/members`);
    assert.deepEqual([member.id, member.email, member.name, role], [world.alice.id, 'alice@example.com', 'Alice', 'ADMIN']);
    assert.equal(await curl('self/id'), world.alice.id);
    assert.deepEqual([(await curl(`organisations/${org}`)).name], ['ACME']);
  });

  // ------------------------------------------------------------------------------------------------- F. activity

  test('activity tells the deployments, oldest first', async () => {
    const { org, web, folder: cwd } = await world.space();
    const [first, second] = await deployments(world, org, web);
    assert.deepEqual(await clever(['activity'], { cwd }), listed(
      `2025-12-31T00:00:00+00:00  ${first}  FAIL         DEPLOY     aaaaaaaa  console`,
      `2026-01-01T00:00:00+00:00  ${second}  OK           DEPLOY     bbbbbbbb  Git`,
    ));
    const json = JSON.parse((await clever(['activity', '--format', 'json'], { cwd })).out);
    assert.deepEqual(json.map(({ uuid, state }) => [uuid, state]), [[first, 'FAIL'], [second, 'OK']]);
    const named = await clever(['activity', '--app', web, '--format', 'json']);
    assert.deepEqual(JSON.parse(named.out), json, named.err);
  });

  // The clients insist on TLS for it.
  if (tls) {
    test('activity --follow prints deployments as they happen', async () => {
      const { org, web, shop, folder: cwd } = await world.space();
      const [first, second] = await deployments(world, org, web);
      const [third, other] = [deployment(), deployment()];
      const human = await world.following(version, ['activity', '--follow'], { cwd });
      const stream = await world.following(version, ['activity', '--follow', '--format', 'json-stream'], { cwd });
      for (const one of [human, stream]) await until('it listens', () => one.listens());

      const commit = 'c'.repeat(40);
      const begun = Date.UTC(2026, 0, 2, 10, 0);
      const data = (app, uuid, state) => ({ id: app, appId: app, uuid, state, action: 'DEPLOY', commit, cause: 'Git' });
      await world.emit('DEPLOYMENT_ACTION_BEGIN', org, data(web, third, 'WIP'), { date: begun });
      await world.emit('DEPLOYMENT_ACTION_BEGIN', org, data(shop, other, 'WIP'), { date: begun });
      await world.emit('ORGANISATION_EDITION', org, undefined, { date: begun });
      await world.emit('DEPLOYMENT_ACTION_END', org, data(web, third, 'OK'), { date: begun + 60_000 });
      for (const one of [human, stream]) await until('both came', () => one.printed().length >= 4);
      assert.deepEqual(human.printed(), [
        `2025-12-31T00:00:00+00:00  ${first}  FAIL         DEPLOY     aaaaaaaa  console`,
        `2026-01-01T00:00:00+00:00  ${second}  OK           DEPLOY     bbbbbbbb  Git`,
        `2026-01-02T10:00:00+00:00  ${third}  IN PROGRESS  DEPLOY     cccccccc  Git`,
        `2026-01-02T10:01:00+00:00  ${third}  OK           DEPLOY     cccccccc  Git`,
      ]);
      const streamed = stream.printed().map(JSON.parse);
      assert.deepEqual(streamed.slice(2), [
        { uuid: third, date: begun, state: 'WIP', action: 'DEPLOY', commit, cause: 'Git' },
        { uuid: third, date: begun + 60_000, state: 'OK', action: 'DEPLOY', commit, cause: 'Git' },
      ]);
      for (const one of [human, stream]) {
        assert.deepEqual(await one.end(), { signal: 'SIGTERM', err: '' }, 'it runs until it is told to stop');
      }
    });

    test('whoever is not logged in cannot follow', async () => {
      const { web } = await world.space();
      const env = { CLEVER_TOKEN: 'nobody' };
      assert.deepEqual(await clever(['activity', '--follow', '--app', web], { env }), NOT_LOGGED_IN);
    });
    // What is refused is refused the same way, whatever carries it.
    return;
  }

  test('what the client sends unchecked is refused in words, and nothing is stored', async () => {
    const { org, web, folder: cwd } = await world.space();
    const before = await world.api('GET', `/owners/${org}/hooks`);
    const url = 'https://example.com/1';
    const [noUrl, noKind] = ['urls[0].url: must begin with http:// or https:// and a host', 'is neither a kind nor a family of the catalogue'];
    const foreign = `${NOTHING} is not an application or add-on of this owner`;
    const known = (await world.api('GET', '/formats')).items.map(({ name }) => name).join(', ');
    const wrong = [
      [['webhooks', 'add', '--format', 'bogus', 'n', url], `urls[0].format: a format is one of ${known}`],
      [['webhooks', 'add', 'n', 'notaurl'], noUrl],
      [['webhooks', 'add', 'n', 'ftp://example.com'], noUrl],
      [['webhooks', 'add', '--event', 'GIT_PUSH,DEPLOYED', 'n', url], `events[1]: \`DEPLOYED\` ${noKind}`],
      [['webhooks', 'add', '--org', org, '--service', NOTHING, 'n', url], foreign],
      [['webhooks', 'add', '--org', org, '--service', `${web},thing`, 'n', url], 'thing is not an application or add-on of this owner'],
      [
        ['notify-email', 'add', '--notify', 'garbage', 'n'],
        'notified: 1 to 100 targets: an e-mail address, a user id (`user_…`), or `organisation` for the whole team',
      ],
      [['notify-email', 'add', '--notify', 'a@b@c', 'n'], 'notified[0].target: an e-mail address has one `@`, with a name before and a domain after it'],
      [['notify-email', 'add', '--notify', 'organisation', '--event', 'META_NOTHING', 'n'], `events[0]: \`META_NOTHING\` ${noKind}`],
      [['notify-email', 'add', '--notify', world.bob.id, 'n'], `notified[0].target: ${world.bob.id} is not a member of ${org}`],
      [['notify-email', 'add', '--org', org, '--service', NOTHING, '--notify', 'organisation', 'n'], foreign],
    ];
    for (const [words, message] of wrong) {
      assert.deepEqual(await clever(words, { cwd }), refusal(message), words.join(' '));
    }
    await nothingStored(org, before);
  });

  // --------------------------------------------------------------------------------- D. which organisation is meant

  test('organisations are found by id and by name, and a folder without an application is told so', async () => {
    const { org, web, shop } = await world.space({ name: 'Only one' });
    await world.space({ name: 'Twins' });
    await world.space({ name: 'Twins' });
    const nowhere = await world.linked({});
    const both = await world.linked({ [web]: org, [shop]: org });
    assert.deepEqual(await clever(['webhooks'], { cwd: nowhere }), NO_APP);
    assert.deepEqual(await clever(['webhooks', 'add', 'n', 'https://example.com/1'], { cwd: nowhere }), NO_APP);
    const several = await clever(['webhooks'], { cwd: both });
    assert.equal(several.code, 1);
    assert.match(several.err, /^\[ERROR\] Several applications are linked\./);
    assert.deepEqual(await clever(['webhooks', '--org', 'Only one'], { cwd: nowhere }), version === 3 ? NO_APP : listed());
    assert.deepEqual(await clever(['webhooks', '--list-all', '--org', 'Only one']), listed());
    assert.deepEqual(await clever(['webhooks', '--list-all', '--org', 'NOPE']), refusal('Organisation not found'));
    assert.deepEqual(await clever(['webhooks', '--list-all', '--org', 'Twins']), refusal('Ambiguous organisation name'));
    assert.deepEqual(await clever(['webhooks', 'add', '--org', 'Only one', 'only org', 'https://example.com/3']), ADDED);
    const id = (await ids('webhook', org))['only org'];
    assert.deepEqual(await clever(['webhooks', 'remove', '--org', 'Only one', id]), REMOVED);
  });

  test('an owner that is somebody else\'s, or nobody\'s, is refused as such', async () => {
    const { org } = await world.space({ name: 'Theirs', admin: world.bob });
    const refused = refusal('no such owner, or you are not one of its members');
    for (const owner of [org, world.bob.id, NOWHERE]) {
      const cwd = await world.linked({ [NOTHING]: owner });
      assert.deepEqual(await clever(['webhooks'], { cwd }), refused, owner);
    }
    assert.deepEqual(await clever(['webhooks', 'add', '--org', org, 'n', 'https://example.com/1']), refused);
    assert.deepEqual(await clever(['notify-email', 'remove', '--org', org, 'unknown-id']), refused);
  });

  test('members see hooks, and change them as their role allows', async () => {
    const { org } = await world.space();
    await world.api('PUT', `/organisations/${org}/members/${world.bob.id}`, { role: 'DEVELOPER' });
    assert.deepEqual(await clever(['webhooks', 'add', '--org', org, 'hook', 'https://hooks.slack.com/services/T0/B0/secret', '--format', 'slack']), ADDED);
    const { hook } = await ids('webhook', org);
    const list = await clever(['webhooks', '--list-all', '--org', org], { as: world.bob });
    assert.equal(list.code, 0, list.err);
    assert.ok(list.out.includes(hook) && !list.out.includes('secret'), list.out);
    for (const words of [['add', '--org', org, 'n', 'https://example.com/1'], ['remove', '--org', org, hook]]) {
      const refused = refusal('your role in this organisation may read its hooks but not change them');
      assert.deepEqual(await clever(['webhooks', ...words], { as: world.bob }), refused);
    }
  });
}

function deployment() {
  return `deployment_${crypto.randomUUID()}`;
}

/** Two deployments of the past, the second of which went well. Their ids, which are as wide as the client expects. */
async function deployments(world, owner, app) {
  const uuids = [deployment(), deployment()];
  const told = [
    { state: 'FAIL', commit: 'a'.repeat(40), cause: 'console', date: Date.UTC(2025, 11, 31) },
    { state: 'OK', commit: 'b'.repeat(40), cause: 'Git', date: Date.UTC(2026, 0, 1) },
  ];
  for (const [at, { date, state, commit, cause }] of told.entries()) {
    const data = { id: app, appId: app, uuid: uuids[at], action: 'DEPLOY', commit, cause };
    await world.emit('DEPLOYMENT_ACTION_BEGIN', owner, { ...data, state: 'WIP' }, { date });
    await world.emit('DEPLOYMENT_ACTION_END', owner, { ...data, state }, { date: date + 60_000 });
  }
  return uuids;
}
