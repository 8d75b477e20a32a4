// The client libraries: the commands and the older functions of @clevercloud/client 12, and the functions of 9, whose
// requests are signed with HMAC-SHA512.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { CcApiClient } from '@clevercloud/client/cc-api-client.js';
import { CreateApplicationCommand } from '@clevercloud/client/cc-api-commands/application/create-application-command.js';
import { DeleteApplicationCommand } from '@clevercloud/client/cc-api-commands/application/delete-application-command.js';
import { CreateEmailNotificationCommand } from '@clevercloud/client/cc-api-commands/notification/create-email-notification-command.js';
import { CreateWebhookNotificationCommand } from '@clevercloud/client/cc-api-commands/notification/create-webhook-notification-command.js';
import { DeleteEmailNotificationCommand } from '@clevercloud/client/cc-api-commands/notification/delete-email-notification-command.js';
import { DeleteWebhookNotificationCommand } from '@clevercloud/client/cc-api-commands/notification/delete-webhook-notification-command.js';
import { GetNotificationInfoCommand } from '@clevercloud/client/cc-api-commands/notification/get-notification-info-command.js';
import { ListEmailNotificationCommand } from '@clevercloud/client/cc-api-commands/notification/list-email-notification-command.js';
import { ListWebhookNotificationCommand } from '@clevercloud/client/cc-api-commands/notification/list-webhook-notification-command.js';

import { functions } from './library.mjs';
import { CONSUMER, World } from './world.mjs';

const FAMILIES = {
  META_SERVICE_LIFECYCLE: ['APPLICATION_STOP', 'DEPLOYMENT_ACTION_BEGIN', 'DEPLOYMENT_FAIL', 'DEPLOYMENT_SUCCESS'],
  META_DEPLOYMENT_RESULT: ['DEPLOYMENT_FAIL', 'DEPLOYMENT_SUCCESS'],
  META_SERVICE_MANAGEMENT: ['ADDON_CREATION', 'ADDON_DELETION', 'APPLICATION_CREATION', 'APPLICATION_EDITION', 'APPLICATION_DELETION'],
};

for (const tls of [false, true]) {
  describe(`the library over ${tls ? 'https' : 'http'}`, () => {
    let world;
    before(async () => (world = await World.start({ tls, settings: ['[clever_cloud]', 'applications = true'] })));
    after(() => world.end());

    const oauth = ({ token, secret }) => {
      const oauthTokens = { consumerKey: CONSUMER.key, consumerSecret: CONSUMER.secret, token, secret };
      return new CcApiClient({ baseUrl: world.url, authMethod: { type: 'oauth-v1', oauthTokens } });
    };
    const bearer = ({ token, secret }) =>
      new CcApiClient({ baseUrl: world.url, authMethod: { type: 'api-token', apiToken: `${token}.${secret}` } });

    for (const [name, of] of Object.entries({ 'OAuth 1.0a': oauth, Bearer: bearer })) {
      test(`commands create, list and delete both sorts of hooks: ${name}`, async () => {
        const client = of(world.alice);
        const { org: ownerId, web, db } = await world.space();
        await world.unhook(ownerId);

        const targets = [
          { type: 'email', emailAddresses: ['test1@example.com', 'test2@example.com'] },
          { type: 'organisation' },
          { type: 'user' },
        ];
        const mail = await client.send(new CreateEmailNotificationCommand({
          ownerId, name: 'mail hook', targets, events: ['GIT_PUSH', 'META_DEPLOYMENT_RESULT'], scope: [web],
        }));
        assert.deepEqual([mail.name, mail.ownerId, mail.targets, mail.scope], ['mail hook', ownerId, targets, [web]]);
        assert.deepEqual(mail.events, ['GIT_PUSH', 'META_DEPLOYMENT_RESULT']);
        const free = await client.send(new CreateEmailNotificationCommand({ ownerId, name: 'all', targets: [{ type: 'organisation' }] }));
        assert.deepEqual([free.events, free.scope], [[], []]);
        assert.deepEqual(await client.send(new ListEmailNotificationCommand({ ownerId })), [free, mail], 'by name');

        const url = 'https://example.com';
        const urls = ['raw', 'flowdock', 'gitter', 'slack'].map((format) => ({ format, url }));
        const events = ['META_DEPLOYMENT_RESULT', 'ACCOUNT_CREATION'];
        const hook = await client.send(new CreateWebhookNotificationCommand({ ownerId, name: 'hook', urls, events, scope: [db] }));
        assert.deepEqual([hook.urls, hook.events, hook.scope, hook.failures, hook.state], [urls, events, [db], [], 'ENABLED']);
        assert.deepEqual(await client.send(new ListWebhookNotificationCommand({ ownerId })), [hook]);

        for (const emailNotificationId of [mail.id, free.id]) {
          assert.equal(await client.send(new DeleteEmailNotificationCommand({ ownerId, emailNotificationId })), null);
        }
        assert.equal(await client.send(new DeleteWebhookNotificationCommand({ ownerId, webhookNotificationId: hook.id })), null);
        assert.deepEqual(await client.send(new ListEmailNotificationCommand({ ownerId })), []);
        assert.deepEqual(await client.send(new ListWebhookNotificationCommand({ ownerId })), []);
        const again = client.send(new DeleteWebhookNotificationCommand({ ownerId, webhookNotificationId: hook.id }));
        await assert.rejects(again, { message: '[404]: hook not found', code: '20010' });
      });
    }

    test('commands create and delete an application, and hooks about it, in one\'s own space too', async () => {
      const client = oauth(world.alice);
      for (const ownerId of [(await world.space()).org, world.alice.id]) {
        await world.unhook(ownerId);
        const app = await client.send(new CreateApplicationCommand({ ownerId, name: 'made here', instance: { slug: 'node' } }));
        assert.deepEqual([app.name, app.ownerId, app.branches], ['made here', ownerId, ['master']]);
        assert.match(app.id, /^app_/);
        const urls = [{ format: 'raw', url: 'https://example.com' }];
        const scope = [app.id];
        const hook = await client.send(new CreateWebhookNotificationCommand({ ownerId, name: 'hook', urls, scope }));
        assert.deepEqual([hook.ownerId, hook.urls, hook.scope], [ownerId, urls, scope]);
        const targets = [{ type: 'user' }];
        const mail = await client.send(new CreateEmailNotificationCommand({ ownerId, name: 'mail', targets, scope }));
        assert.deepEqual([mail.ownerId, mail.targets, mail.scope], [ownerId, targets, scope]);
        assert.deepEqual(await client.send(new ListWebhookNotificationCommand({ ownerId })), [hook]);
        assert.deepEqual(await client.send(new ListEmailNotificationCommand({ ownerId })), [mail]);
        const gone = { ownerId, applicationId: app.id };
        assert.equal(await client.send(new DeleteApplicationCommand(gone)), null);
        await assert.rejects(client.send(new DeleteApplicationCommand(gone)), { message: '[404]: application not found', code: '20010' });
        await world.unhook(ownerId);
      }
    });

    test('commands with wrong credentials are refused with the platform\'s own number', async () => {
      const wrong = { ...world.alice, secret: world.bob.secret };
      for (const client of [oauth(wrong), bearer(wrong)]) {
        const asked = client.send(new ListWebhookNotificationCommand({ ownerId: world.alice.id }));
        await assert.rejects(asked, (error) => error.code === '2001' && error.message.startsWith('[401]: '));
      }
    });

    test('a scope that is not the owner\'s is refused with the platform\'s own number', async () => {
      const { org: ownerId } = await world.space();
      const { web } = await world.space({ admin: world.bob });
      const urls = [{ format: 'raw', url: 'https://example.com' }];
      const asked = oauth(world.alice).send(new CreateWebhookNotificationCommand({ ownerId, name: 'n', urls, scope: [web] }));
      await assert.rejects(asked, (error) => error.code === '4002' && error.message.startsWith('[403]: '));
      assert.deepEqual(await oauth(world.alice).send(new ListWebhookNotificationCommand({ ownerId })), []);
    });

    test('the information command tells formats and events', async () => {
      const { formats, events } = await oauth(world.alice).send(new GetNotificationInfoCommand());
      assert.deepEqual(formats.slice(0, 4), ['raw', 'slack', 'flowdock', 'gitter']);
      for (const event of [...Object.values(FAMILIES).flat(), ...Object.keys(FAMILIES)]) assert.ok(events.includes(event), event);
    });

    for (const version of [9, 12]) {
      test(`the functions of ${version} do everything, changing hooks included`, async () => {
        const { send, ...api } = await functions(version, world.url, world.alice);
        const { org: ownerId, web } = await world.space();
        await world.unhook(ownerId);

        const { events, meta_events: families } = await send(api.getAvailableEvents());
        const told = Object.fromEntries(families.map(({ key, events }) => [key, events.toSorted()]));
        for (const [key, members] of Object.entries(FAMILIES)) {
          assert.deepEqual(told[key], members.toSorted());
          assert.ok(events.includes(key) && members.every((one) => events.includes(one)));
        }
        assert.deepEqual((await send(api.getWebhookFormats())).slice(0, 4), ['raw', 'slack', 'flowdock', 'gitter']);

        const urls = [{ format: 'raw', url: 'https://example.com/1' }];
        const made = await send(api.createWebhook({ ownerId }, { name: 'before', urls, events: ['GIT_PUSH'], scope: [web] }));
        const same = { id: made.id, ownerId, createdAt: made.createdAt, failures: [], state: 'ENABLED' };
        assert.deepEqual(made, { ...same, name: 'before', urls, events: ['GIT_PUSH'], scope: [web] });
        const later = [{ url: 'https://example.com/2', format: 'slack' }];
        const all = { name: 'after', urls: later, events: null, scope: null };
        const edited = await send(api.editWebhook({ ownerId, id: made.id }, all));
        assert.deepEqual(edited, { ...same, name: 'after', urls: later });
        assert.deepEqual(await send(api.getWebhooks({ ownerId })), [edited]);
        const sentBack = await send(api.editWebhook({ ownerId, id: made.id }, edited));
        assert.deepEqual(sentBack, edited, 'what is read may be sent back');
        assert.equal(await send(api.deleteWebhook({ ownerId, id: made.id })), undefined);
        await assert.rejects(send(api.deleteWebhook({ ownerId, id: made.id })), { message: 'hook not found' });

        const notified = [{ type: 'email', target: 'a@example.com,b@example.com' }, { type: 'userid' }];
        const mail = await send(api.createEmailhook({ ownerId }, { name: 'mail', notified, events: ['META_CREDITS'] }));
        const kept = { id: mail.id, ownerId, createdAt: mail.createdAt, state: 'ENABLED' };
        assert.deepEqual(mail, { ...kept, name: 'mail', notified, events: ['META_CREDITS'] });
        const team = [{ type: 'organisation' }, { type: 'userid', target: world.alice.id }];
        const now = await send(api.editEmailhook({ ownerId, id: mail.id }, { name: 'mail', notified: team, scope: [web] }));
        assert.deepEqual(now, { ...kept, name: 'mail', notified: team, scope: [web] });
        assert.deepEqual(await send(api.getEmailhooks({ ownerId })), [now]);
        assert.equal(await send(api.deleteEmailhook({ ownerId, id: mail.id })), undefined);
      });
    }

    test('a signed request is good once, and only as it was signed', async () => {
      const { sign, ...api } = await functions(9, world.url, world.alice);
      const asked = async ({ url, headers }) => (await fetch(url, { headers })).status;
      const signed = await sign(api.getWebhooks({ ownerId: world.alice.id }));
      const change = (from, to) => ({ ...signed, headers: { ...signed.headers, Authorization: signed.headers.Authorization.replace(from, to) } });
      const other = change(/oauth_signature="(.)/, (_, first) => `oauth_signature="${first === 'A' ? 'B' : 'A'}`);
      assert.equal(await asked(other), 401, 'one character of the signature');
      assert.equal(await asked(change(/oauth_timestamp="\d/, 'oauth_timestamp="2')), 401, 'another time');
      assert.equal(await asked({ ...signed, url: `${signed.url}?more=1` }), 401, 'another address');
      assert.equal(await asked(signed), 200);
      assert.equal(await asked(signed), 401, 'the same again');
    });
  });
}
