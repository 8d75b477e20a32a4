// What the tests stand on: the real server, the real command lines, and a receiver, all on the loopback.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as later } from 'node:timers/promises';

/** The pair the command line is handed out with: public, and preconfigured. */
export const CONSUMER = { key: 'T5nFjKeHH4AIlEveuGhB5S3xg8T19e', secret: 'MgVMqTr6fWlf2M0tkC2MXOnhfqBWDT' };
/** Whatever is waited for is there within this, in milliseconds, or the test fails. */
const LIMIT = 120_000;

const HERE = import.meta.dirname;
const CLEVER = {
  3: [process.env.SONNETTE_TEST_NODE_20, path.join(HERE, 'node_modules/clever3/bin/clever.js')],
  4: [process.execPath, path.join(HERE, 'node_modules/clever4/bin/clever.js')],
};

/** Asks until there is an answer. */
export async function until(what, ask) {
  const end = Date.now() + LIMIT;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(Date.now() < end, `not in time: ${what}`);
    await later(25);
  }
}

/** Runs a program to its end: `{ code, out, err }`. */
export async function run(words, options) {
  const child = spawn(words[0], words.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT, ...options });
  const texts = [child.stdout, child.stderr].map(async (stream) => {
    let text = '';
    for await (const piece of stream.setEncoding('utf8')) text += piece;
    return text;
  });
  const [[code], out, err] = await Promise.all([once(child, 'close'), ...texts]);
  return { code, out, err };
}

/** A server with two people who have nothing to do with each other, and what belongs to them. */
export class World {
  /** Over http, or over https with `tls`; with lines of `settings`, in which the names of `files` stand for their paths. */
  static async start({ tls = false, settings = [], files = {} } = {}) {
    const world = new World();
    world.folder = await fs.mkdtemp(path.join(os.tmpdir(), 'sonnette-clients-'));
    world.settings = settings;
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(world.folder, name);
      await fs.writeFile(file, text);
      world.settings = world.settings.map((line) => line.replaceAll(name, file));
    }
    world.data = path.join(world.folder, 'data');
    await world.serve();
    world.operator = (await fs.readFile(path.join(world.data, 'operator-token'), 'utf8')).trim();
    world.alice = await world.person('Alice', 'alice@example.com');
    world.bob = await world.person('Bob', 'bob@example.com');
    if (tls) {
      // Only now: our own command line believes in the authorities of the world.
      await world.stop();
      await world.serve({ tls });
    }
    return world;
  }

  /** Starts the server; again on the same port, if it ran before over the same. */
  async serve({ tls = this.tls } = {}) {
    const port = this.tls === tls ? this.port : 0;
    const made = process.env.SONNETTE_TEST_CERTIFICATES;
    const config = path.join(this.folder, 'sonnette.toml');
    const lines = [...this.settings, '[streams]', 'heartbeat_seconds = 1'];
    if (tls) lines.push('[tls]', `certificate = "${made}/server.pem"`, `key = "${made}/server.key"`);
    await fs.writeFile(config, lines.join('\n'));
    const words = ['serve', '--dev', '--config', config, '--data', this.data, '--listen', `127.0.0.1:${port ?? 0}`];
    const log = await fs.open(path.join(this.folder, 'log'), 'a');
    this.child = spawn(process.env.SONNETTE_BIN, words, { stdio: ['ignore', 'pipe', log.fd] });
    await log.close();
    for await (const line of createInterface(this.child.stdout)) {
      const origin = /^listening on (\S+)$/.exec(line)?.[1];
      if (!origin) continue;
      this.tls = tls;
      this.port = Number(new URL(origin).port);
      this.url = `${tls ? 'https' : 'http'}://localhost:${this.port}`;
      // What a client signs in the second a server starts in may have been seen before, by the last one.
      await later(1000 - Date.now() % 1000);
      return;
    }
    throw new Error(`the server does not start: ${await fs.readFile(path.join(this.folder, 'log'), 'utf8')}`);
  }

  /** SIGTERM, which ends it well. */
  async stop() {
    const ended = once(this.child, 'exit');
    this.child.kill();
    assert.equal((await ended)[0], 0, 'the server ends well');
  }

  async end() {
    await this.stop();
    await fs.rm(this.folder, { recursive: true });
  }

  /** Our own command line, as the operator. Its answers. */
  async sonnette(...words) {
    const env = { ...process.env, SONNETTE_URL: this.url, SONNETTE_DATA: this.data };
    const { code, out, err } = await run([process.env.SONNETTE_BIN, '--json', ...words], { env });
    assert.equal(code, 0, `sonnette ${words.join(' ')}: ${err}`);
    return out.trim().split('\n').filter(Boolean).map(JSON.parse);
  }

  /** A user, and a pair of theirs made the way an operator makes one. */
  async person(name, email) {
    const [user] = await this.sonnette('user', 'add', email, '--name', name);
    const [pair] = await this.sonnette('token', 'create', 'clever', '--user', user.id);
    return { id: user.id, email, token: pair.token, secret: pair.secret };
  }

  /** Our own API, as the operator. */
  async api(method, where, body) {
    const headers = { authorization: `Bearer ${this.operator}`, 'content-type': 'application/json' };
    const response = await fetch(`${this.url}/api/v1${where}`, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${where}: ${text}`);
    return text && JSON.parse(text);
  }

  /** An organisation of one's own, with two applications and an add-on, and a folder linked to the first. */
  async space({ name = 'ACME', admin = this.alice } = {}) {
    const org = (await this.api('POST', '/organisations', { name, founder: admin.id })).id;
    const web = await this.app(org, 'web');
    const shop = await this.app(org, 'shop');
    const realId = `postgresql_${crypto.randomUUID()}`;
    const db = (await this.api('POST', `/owners/${org}/resources`, { kind: 'addon', name: 'db', realId })).id;
    return { org, web, shop, db, realId, folder: await this.linked({ [web]: org }) };
  }

  async app(owner, name) {
    return (await this.api('POST', `/owners/${owner}/resources`, { kind: 'application', name })).id;
  }

  /** A folder as `clever link` leaves it. */
  async linked(apps) {
    const folder = await fs.mkdtemp(path.join(this.folder, 'repo-'));
    const entries = Object.entries(apps).map(([app_id, org_id], at) => ({
      app_id, org_id, deploy_url: '', git_ssh_url: '', name: `app${at}`, alias: `app${at}`,
    }));
    if (entries.length > 0) await fs.writeFile(path.join(folder, '.clever.json'), JSON.stringify({ apps: entries }));
    return folder;
  }

  /** Publishes an event; its id. */
  async emit(event, ownerId, data, more = {}) {
    return (await this.api('POST', '/events', { event, ownerId, data, ...more })).id;
  }

  /** Takes every hook of an owner away, those it was born with too. */
  async unhook(owner) {
    for (const hook of (await this.api('GET', `/owners/${owner}/hooks`)).items) {
      await this.api('DELETE', `/hooks/${hook.id}`);
    }
  }

  /** What the environment of a command line is: its own home, this server, and a person's pair. */
  async surroundings(person = this.alice) {
    const home = await fs.mkdtemp(path.join(this.folder, 'home-'));
    const credentials = person && { CLEVER_TOKEN: person.token, CLEVER_SECRET: person.secret };
    const { PATH, NODE_EXTRA_CA_CERTS } = process.env;
    return {
      PATH, NODE_EXTRA_CA_CERTS, CURL_CA_BUNDLE: NODE_EXTRA_CA_CERTS, HOME: home, XDG_CONFIG_HOME: home, TZ: 'UTC', NO_COLOR: '1', NO_UPDATE_NOTIFIER: '1',
      API_HOST: this.url, AUTH_BRIDGE_HOST: this.url, ...credentials,
    };
  }

  /** The real `clever` of this version: `{ code, out, err }`. */
  async clever(version, words, { cwd = this.folder, env, as } = {}) {
    // `curl` hands on whatever it is given.
    const flags = words[0] === 'curl' ? [] : ['--no-update-notifier'];
    const surroundings = { ...(await this.surroundings(as)), ...env };
    return run([...CLEVER[version], ...flags, ...words], { cwd, env: surroundings });
  }

  /** A `clever` that does not end by itself: what it has `printed` so far, whether it `listens`, and how to `end` it. */
  async following(version, words, { cwd, as } = {}) {
    const [program, ...rest] = CLEVER[version];
    // Only when asked to be talkative it says when it listens; what it says then stands between what it prints.
    const env = { ...(await this.surroundings(as)), CLEVER_VERBOSE: '1' };
    const child = spawn(program, [...rest, '--no-update-notifier', ...words], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (piece) => (said.out += piece));
    child.stderr.setEncoding('utf8').on('data', (piece) => (said.err += piece));
    const ended = once(child, 'close');
    return {
      printed: () => said.out.split('\n').slice(0, -1).filter((line) => !line.startsWith('[DEBUG] ')),
      listens: () => said.out.includes('(ping)'),
      end: async () => (child.kill(), { signal: (await ended)[1], err: said.err }),
    };
  }

  /** Letters written so far to an address: their texts. */
  async letters(address) {
    const folder = path.join(this.data, 'mail/new');
    const names = await fs.readdir(folder);
    const texts = await Promise.all(names.map((name) => fs.readFile(path.join(folder, name), 'utf8')));
    return texts.filter((text) => /^To: (.*)$/m.exec(text)[1].includes(address));
  }

  /** Waits until nothing is on its way of what an owner is owed; all of it. */
  async settled(owner) {
    return until('all is delivered', async () => {
      const { items, next } = await this.api('GET', `/deliveries?owner=${owner}&limit=200`);
      assert.equal(next, null, 'the test looks at all of them');
      return items.every((one) => ['delivered', 'dead', 'held', 'cancelled'].includes(one.state)) && items;
    });
  }
}

/** A receiver of webhooks that can be taken down. */
export class Receiver {
  static async start() {
    const receiver = new Receiver();
    receiver.got = [];
    receiver.answer = { status: 200, body: 'ok' };
    await receiver.up();
    return receiver;
  }

  async up() {
    this.server = http.createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (piece) => (body += piece));
      request.on('end', () => {
        this.got.push({ path: request.url, headers: request.headers, body });
        response.writeHead(this.answer.status).end(this.answer.body);
      });
    });
    this.server.listen(this.port ?? 0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
  }

  /** Refuses connections. */
  async down() {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  url(door) {
    return `http://127.0.0.1:${this.port}/${door}`;
  }

  /** What came to a door. */
  at(door) {
    return this.got.filter((one) => one.path === `/${door}`);
  }
}
