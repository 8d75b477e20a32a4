// The older functions and the event streams of @clevercloud/client, of either version.

import { CONSUMER } from './world.mjs';

const WHERE = {
  9: './node_modules/clever3/node_modules/@clevercloud/client/esm',
  12: './node_modules/@clevercloud/client/esm',
};

/** A person's pair, as the library wants it. */
function tokens({ token, secret }) {
  return {
    OAUTH_CONSUMER_KEY: CONSUMER.key, OAUTH_CONSUMER_SECRET: CONSUMER.secret,
    API_OAUTH_TOKEN: token, API_OAUTH_TOKEN_SECRET: secret,
  };
}

/** Its functions for notifications, `sign` for their requests, and `send`. */
export async function functions(version, apiHost, person) {
  const of = (name) => import(`${WHERE[version]}/${name}.js`);
  const [api, { prefixUrl }, { addOauthHeader }, { request }] = await Promise.all(
    ['api/v2/notification', 'prefix-url', 'oauth', 'request.fetch'].map(of),
  );
  const sign = async (asked) => addOauthHeader(tokens(person))(prefixUrl(apiHost)(await asked));
  return { ...api, sign, send: async (asked) => request(await sign(asked)) };
}

/** Its stream of events, not opened: of all of a person's, or of one application. */
export async function events(version, apiHost, person, appId) {
  const { EventsStream } = await import(`${WHERE[version]}/streams/${version === 9 ? 'events.node' : 'events'}.js`);
  return new EventsStream({ apiHost, tokens: tokens(person), appId });
}
