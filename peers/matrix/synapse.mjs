// A homeserver of one's own, its people, and a way to it on which answers get lost. All on the loopback.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';

import { run, until } from '../../clients/world.mjs';

const SECRET = 'registers the people of the tests';

/** A port nobody has: Synapse takes none from the system by itself. */
async function freePort() {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** A running homeserver. */
export class Synapse {
  static async start() {
    const synapse = new Synapse();
    synapse.folder = await fs.mkdtemp(path.join(os.tmpdir(), 'sonnette-synapse-'));
    const inside = (name) => path.join(synapse.folder, name);
    const port = await freePort();
    synapse.url = `http://127.0.0.1:${port}`;
    const config = {
      server_name: 'localhost',
      listeners: [{ port, bind_addresses: ['127.0.0.1'], type: 'http', resources: [{ names: ['client'] }] }],
      database: { name: 'sqlite3', args: { database: inside('homeserver.db') } },
      media_store_path: inside('media'),
      signing_key_path: inside('signing.key'),
      pid_file: inside('pid'),
      registration_shared_secret: SECRET,
      macaroon_secret_key: SECRET,
      form_secret: SECRET,
      // It asks nobody else, and tells nobody of itself.
      report_stats: false,
      trusted_key_servers: [],
      federation_domain_whitelist: [],
      // Low enough to be met.
      rc_message: { per_second: 1, burst_count: 3 },
    };
    // JSON is YAML.
    await fs.writeFile(inside('homeserver.yaml'), JSON.stringify(config));
    const words = [process.env.SONNETTE_TEST_PYTHON, '-m', 'synapse.app.homeserver', '--config-path', inside('homeserver.yaml')];
    const keys = await run([...words, '--generate-keys'], { cwd: synapse.folder });
    assert.equal(keys.code, 0, keys.err);
    const log = await fs.open(inside('log'), 'a');
    synapse.child = spawn(words[0], words.slice(1), { cwd: synapse.folder, stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    await until('the homeserver starts', async () => {
      assert.equal(synapse.child.exitCode, null, await fs.readFile(inside('log'), 'utf8'));
      return fetch(`${synapse.url}/_matrix/client/versions`).then((reply) => reply.ok, () => false);
    });
    return synapse;
  }

  async end() {
    const ended = once(this.child, 'exit');
    this.child.kill();
    await ended;
    await fs.rm(this.folder, { recursive: true });
  }

  /** Asks as somebody, or as nobody: the answer, which is a good one. */
  async ask(token, method, where, body) {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
    const reply = await fetch(`${this.url}${where}`, { method, headers, body: body && JSON.stringify(body) });
    const text = await reply.text();
    assert.ok(reply.ok, `${method} ${where}: ${reply.status} ${text}`);
    return JSON.parse(text);
  }

  /** Somebody new: `{ user_id, access_token }`. */
  async person(name) {
    const username = `${name}-${randomUUID().slice(0, 8)}`;
    const { nonce } = await this.ask(null, 'GET', '/_synapse/admin/v1/register');
    const password = randomUUID();
    const mac = createHmac('sha1', SECRET).update([nonce, username, password, 'notadmin'].join('\0')).digest('hex');
    return this.ask(null, 'POST', '/_synapse/admin/v1/register', { nonce, username, password, admin: false, mac });
  }

  /** A room a bot has made, with somebody who reads. */
  async room() {
    const [bot, reader] = [await this.person('bot'), await this.person('reader')];
    const made = await this.ask(bot.access_token, 'POST', '/_matrix/client/v3/createRoom', { preset: 'private_chat', invite: [reader.user_id] });
    const id = made.room_id;
    await this.ask(reader.access_token, 'POST', `/_matrix/client/v3/join/${encodeURIComponent(id)}`, {});
    return { id, bot, reader };
  }

  /** What stands in a room, the oldest first. */
  async messages({ id, reader }) {
    const where = `/_matrix/client/v3/rooms/${encodeURIComponent(id)}/messages?dir=f&limit=500`;
    const { chunk } = await this.ask(reader.access_token, 'GET', where);
    return chunk.filter((event) => event.type === 'm.room.message');
  }

  /** How many messages call the reader of a room, by the homeserver's push rules. */
  async calls({ id, reader }) {
    const { notifications } = await this.ask(reader.access_token, 'GET', '/_matrix/client/v3/notifications?only=highlight');
    return notifications.filter(({ room_id: room }) => room === id).length;
  }
}

/** A way to a server that brings every request there, and loses as many answers as it is told to. */
export class LossyWay {
  static async to(url) {
    const way = new LossyWay();
    way.lose = 0;
    way.answers = [];
    way.server = http.createServer(async (asked, reply) => {
      const pieces = [];
      for await (const piece of asked) pieces.push(piece);
      const { 'content-type': type, authorization } = asked.headers;
      const answer = await fetch(`${url}${asked.url}`, {
        method: asked.method, headers: { 'content-type': type, authorization }, body: Buffer.concat(pieces),
      });
      const text = await answer.text();
      way.answers.push({ where: asked.url, text });
      if (way.lose > 0) {
        way.lose -= 1;
        return asked.socket.destroy();
      }
      return reply.writeHead(answer.status, { 'content-type': 'application/json' }).end(text);
    });
    way.server.listen(0, '127.0.0.1');
    await once(way.server, 'listening');
    way.url = `http://127.0.0.1:${way.server.address().port}`;
    return way;
  }

  async end() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }
}
