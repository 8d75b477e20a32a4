// What the services' own JavaScript says of our requests. SONNETTE_REQUESTS is the file `run` makes.
//
// Each check is also given something broken, and has to say so: a check that takes everything would prove nothing.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { EmbedBuilder } from '@discordjs/builders';
// Its entry is written for bundlers; this is the same library in one file.
import adaptivecards from 'adaptivecards/dist/adaptivecards.js';
import { HTTP } from 'cloudevents';
import { Webhook } from 'standardwebhooks';

const requests = readFileSync(process.env.SONNETTE_REQUESTS, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));

/** The requests of a format, those that are wanted of them; there are some. */
function of(format, wanted = () => true) {
  const found = requests.filter((one) => one.format === format && wanted(one));
  assert.ok(found.length > 20, `${found.length} requests of ${format}`);
  return found;
}

const body = (request) => JSON.parse(request.body);
const isSample = (request) => request.words === 'sample';
const isCard = (request) => body(request).type === 'message';

/** Runs a check over requests; which of them fails is said with the failure. */
function all(found, check) {
  for (const request of found) {
    try {
      check(request);
    } catch (error) {
      throw new Error(`${request.format} ${request.url} ${request.kind} ${request.words}: ${error.message}`, { cause: error });
    }
  }
}

// ------------------------------------------------------------------------------------------------ @discordjs/builders

/** Every part goes through the setter that knows its limits, and what comes out is what was put in. */
function discord({ embeds }) {
  assert.ok(embeds.length <= 10);
  for (const embed of embeds) {
    const built = new EmbedBuilder().setColor(embed.color).addFields(embed.fields);
    if (embed.title !== undefined) built.setTitle(embed.title);
    if (embed.description !== undefined) built.setDescription(embed.description);
    if (embed.url !== undefined) built.setURL(embed.url);
    if (embed.author !== undefined) built.setAuthor(embed.author);
    if (embed.timestamp !== undefined) built.setTimestamp(new Date(embed.timestamp));
    const { timestamp, ...rest } = JSON.parse(JSON.stringify(built));
    const { timestamp: ours, ...given } = embed;
    assert.deepEqual(rest, given);
    assert.equal(timestamp && Date.parse(timestamp), ours && Date.parse(ours));
  }
}

test('@discordjs/builders takes every embed', () => all(of('discord'), (request) => discord(body(request))));

test('@discordjs/builders refuses a broken embed', () => {
  const good = body(of('discord', isSample)[0]);
  const broken = (change) => ({ embeds: [{ ...good.embeds[0], ...change }] });
  discord(good);
  assert.throws(() => discord(broken({ title: 'x'.repeat(257) })));
  assert.throws(() => discord(broken({ url: 'javascript:alert(1)' })));
  assert.throws(() => discord(broken({ fields: [{ name: 'x', value: 'x'.repeat(1025), inline: true }] })));
  assert.throws(() => discord(broken({ fields: Array(26).fill({ name: 'x', value: 'x', inline: true }) })));
  assert.throws(() => discord(broken({ surprise: 1 })));
});

// ------------------------------------------------------------------------------------------------------ adaptivecards

/** Reads and validates a card as Teams' own library does: every warning counts. */
function teams({ attachments: [{ contentType, content }] }) {
  assert.equal(contentType, 'application/vnd.microsoft.card.adaptive');
  const context = new adaptivecards.SerializationContext(adaptivecards.Versions.v1_5);
  const card = new adaptivecards.AdaptiveCard();
  card.parse(content, context);
  const said = Array.from({ length: context.eventCount }, (_, at) => context.getEventAt(at).message);
  said.push(...card.validateProperties().validationEvents.map((event) => event.message));
  assert.deepEqual(said, []);
  const count = (value) => (typeof value !== 'object' || value === null ? 0 : Number('type' in value) + Object.values(value).map(count).reduce((a, b) => a + b, 0));
  assert.equal(count(card.toJSON()), count(content), 'elements were left out');
}

test('adaptivecards takes every card', () => all(of('teams', isCard), (request) => teams(body(request))));

test('adaptivecards refuses a broken card', () => {
  const good = body(of('teams', (request) => isSample(request) && isCard(request))[0]);
  const broken = (change) => ({ attachments: [{ ...good.attachments[0], content: { ...good.attachments[0].content, ...change } }] });
  teams(good);
  assert.throws(() => teams(broken({ body: [{ type: 'TextBlok', text: 'x' }] })));
  assert.throws(() => teams(broken({ body: [{ type: 'TextBlock', text: 'x', color: 'purple' }] })));
  assert.throws(() => teams(broken({ actions: [{ type: 'Action.OpenUrl', title: 'x' }] })));
  assert.throws(() => teams(broken({ version: '9.0' })));
});

// -------------------------------------------------------------------------------------------------------- cloudevents

function cloudevent({ headers, body }) {
  const event = HTTP.toEvent({ headers, body });
  assert.ok(!Array.isArray(event) && event.validate());
  return event;
}

const isBinary = (request) => 'ce-id' in request.headers;

test('the SDK of CloudEvents takes every event, and both modes say the same', () => {
  const [binary, structured] = [of('cloudevents', isBinary), of('cloudevents', (request) => !isBinary(request))];
  assert.equal(binary.length, structured.length);
  const read = [];
  all(binary, (request) => read.push(cloudevent(request)));
  all(structured, (request) => {
    const one = read.shift();
    const other = cloudevent(request);
    for (const attribute of ['specversion', 'id', 'source', 'type', 'subject', 'time', 'ownerid', 'authorid', 'datacontenttype', 'data']) {
      assert.deepEqual(other[attribute], one[attribute], attribute);
    }
  });
});

test('the SDK of CloudEvents refuses a broken event', () => {
  const binary = of('cloudevents', (request) => isSample(request) && isBinary(request))[0];
  const structured = of('cloudevents', (request) => isSample(request) && !isBinary(request))[0];
  const without = (headers, name) => Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
  assert.throws(() => cloudevent({ ...binary, headers: without(binary.headers, 'ce-id') }));
  assert.throws(() => cloudevent({ ...structured, body: JSON.stringify({ ...body(structured), type: undefined }) }));
  assert.throws(() => cloudevent({ ...structured, body: JSON.stringify({ ...body(structured), owner_id: 'x' }) }));
});

// --------------------------------------------------------------------------------------------------- standardwebhooks

const isSigned = (request) => request.secret !== null;

test('the library of Standard Webhooks verifies every signed request and no other', () => {
  const signed = requests.filter(isSigned);
  assert.deepEqual([...new Set(signed.map((request) => request.format))].sort(), ['cloudevents', 'raw']);
  all(signed, ({ secret, body, headers }) => new Webhook(secret).verify(body, headers));
  assert.ok(requests.every((request) => isSigned(request) || !Object.keys(request.headers).some((name) => name.startsWith('webhook-'))));
});

test('the library of Standard Webhooks refuses what was changed, and what is old', () => {
  const { secret, body, headers } = of('raw', isSample)[0];
  const refused = (text, change) => assert.throws(() => new Webhook(secret).verify(text, { ...headers, ...change }));
  refused(`${body} `, {});
  refused(body, { 'webhook-id': 'dlv_another' });
  refused(body, { 'webhook-timestamp': String(Number(headers['webhook-timestamp']) - 3600) });
  refused(body, { 'webhook-signature': 'v1,AAAA' });
});

// --------------------------------------------------------------------------------- @slack/types and discord-api-types

/** What the compiler says of these messages as values of the services' own types. */
function compiled(name, messages) {
  mkdirSync('generated', { recursive: true });
  const file = `generated/${name}.ts`;
  const values = messages.map(([type, value], at) => `export const message${at}: ${type} = ${JSON.stringify(value)};`);
  writeFileSync(
    file,
    [
      "import type { KnownBlock, MessageAttachment } from '@slack/types';",
      "import type { RESTPostAPIWebhookWithTokenJSONBody } from 'discord-api-types/v10';",
      'interface Slack { text: string; blocks: KnownBlock[]; attachments: (MessageAttachment & { blocks: KnownBlock[] })[]; unfurl_links: boolean; unfurl_media: boolean }',
      'type Discord = RESTPostAPIWebhookWithTokenJSONBody;',
      ...values,
      '',
    ].join('\n'),
  );
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'nodenext', '--moduleResolution', 'nodenext', '--types', ''];
  const { status, stdout } = spawnSync('node_modules/.bin/tsc', [...options, file], { encoding: 'utf8' });
  return { status, said: stdout };
}

const typed = (request) => [request.format === 'slack' ? 'Slack' : 'Discord', body(request)];

test('the types of Slack and Discord fit every message', () => {
  const found = [...of('slack', isSample), ...of('discord', isSample)];
  assert.deepEqual(compiled('messages', found.map(typed)), { status: 0, said: '' });
});

test('the types of Slack and Discord do not fit a broken message', () => {
  const [slack, discord] = [body(of('slack', isSample)[0]), body(of('discord', isSample)[0])];
  const { status, said } = compiled('broken', [
    ['Slack', { ...slack, attachments: [{ ...slack.attachments[0], blocks: [{ type: 'heading', text: 'x' }] }] }],
    ['Slack', { ...slack, link_names: true }],
    ['Discord', { ...discord, embeds: [{ titel: 'x' }] }],
    ['Discord', { ...discord, allowed_mentions: { parse: 'none' } }],
  ]);
  assert.notEqual(status, 0);
  for (const line of [5, 6, 7, 8]) assert.match(said, new RegExp(`broken\\.ts\\(${line},`));
});
