// The gateway under test with what is behind it, on free ports: the server of upstream.mjs and a second httpd with the built-in model.
// AIGW_HTTPD, AIGW_LIBEXEC and AIGW_MODULES say where httpd, its modules and ours are; AIGW_MPM, which MPM (event).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { freePort } from '../port.mjs';
import { RecordedUpstream } from './upstream.mjs';

const CONF = path.dirname(fileURLToPath(import.meta.url));
const START_LIMIT = 30_000;
const STOP_LIMIT = 20_000;
// what a child that crashed, or a sanitizer, leaves in the log
const CRASH = /exit signal|Sanitizer|runtime error:|assertion|AH00052|AH00046/i;

export const UPSTREAM_KEY = 'sk-of-the-gateway';
export const CLIENT_KEY = 'sk-of-the-client';

export const environment = (name) => process.env[name] ?? assert.fail(`${name} is not set: ./runtests --only node`);

// Root's httpd gives its children another name.
export function user() {
  if (process.getuid() !== 0) return {};
  const names = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const [name, , , gid] = names.find(([n]) => n === 'www-data') ?? names.find(([n]) => n === 'nobody');
  return { AIGW_USER: name, AIGW_GROUP: `#${gid}` };
}

// What the configurations need to know of this machine.
export const defines = () => ({
  AIGW_CONF: CONF,
  AIGW_LIBEXEC: environment('AIGW_LIBEXEC'),
  AIGW_MODULES: environment('AIGW_MODULES'),
  AIGW_MPM: process.env.AIGW_MPM ?? 'event',
  ...user(),
});

export class Httpd {
  #child;
  #said = '';

  // prepare gets the folder, which is ServerRoot, before httpd starts.
  static async start(folder, conf, defines, prepare = () => {}) {
    for (let tries = 3; ; tries--) {
      const httpd = new Httpd();
      httpd.run = path.join(folder, `${path.basename(conf, '.conf')}-${tries}`);
      httpd.port = await freePort();
      mkdirSync(httpd.run, { recursive: true });
      await prepare(httpd.run);
      try {
        await httpd.#start(conf, { ...defines, AIGW_PORT: httpd.port, AIGW_RUN: httpd.run });
        return httpd;
      } catch (error) {
        await httpd.stop();
        // another program was faster
        if (tries === 1 || !/AH00072/.test(error.message)) throw error;
      }
    }
  }

  async #start(conf, defines) {
    const args = Object.entries(defines).flatMap(([name, value]) => ['-C', `Define ${name} "${value}"`]);
    // A session of its own, so that all of it can be ended at once; should this program be killed with -9, the kernel ends httpd.
    this.#child = spawn(
      'setpriv',
      ['--pdeathsig', 'TERM', environment('AIGW_HTTPD'), '-DFOREGROUND', '-d', this.run, ...args, '-f', path.join(CONF, conf)],
      { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, AIGW_TEST_KEY: UPSTREAM_KEY } },
    );
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on('data', (text) => {
        this.#said += text;
      });
    this.#child.on('error', (error) => {
      this.#said += error.stack;
    });
    this.gone = new Promise((resolve) => {
      this.#child.once('close', resolve);
    });
    process.once('exit', this.#kill);
    for (const end = Date.now() + START_LIMIT; ; await sleep(30)) {
      const answer = await fetch(`http://127.0.0.1:${this.port}/v1/models`, { signal: AbortSignal.timeout(2000) }).catch(() => null);
      // 401: it wants a key
      if (answer?.status === 401 || (answer?.ok && (await answer.text()).includes('"list"'))) return;
      if (this.#child.pid === undefined || this.#child.exitCode !== null || Date.now() > end) {
        throw new Error(`httpd does not answer with ${conf}:\n${this.#said}${this.log()}`);
      }
    }
  }

  #kill = () => {
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // it is gone
    }
  };

  log(name = 'error.log') {
    try {
      return readFileSync(path.join(this.run, name), 'utf8');
    } catch {
      return '';
    }
  }

  crashes() {
    return this.log()
      .split('\n')
      .filter((line) => CRASH.test(line));
  }

  // true: in good order
  async stop() {
    if (this.#child?.pid === undefined) return false;
    this.#child.kill('SIGTERM');
    const orderly = await Promise.race([this.gone.then(() => true), sleep(STOP_LIMIT, false, { ref: false })]);
    this.#kill();
    process.removeListener('exit', this.#kill);
    await this.gone;
    return orderly;
  }
}

export class Stack {
  #folder;

  static async start() {
    const stack = new Stack();
    stack.#folder = mkdtempSync(path.join(tmpdir(), 'aigw-node-'));
    try {
      chmodSync(stack.#folder, 0o755); // www-data looks for its pid file's folder
      stack.upstream = await RecordedUpstream.start();
      stack.far = await Httpd.start(stack.#folder, 'upstream.conf', { ...defines(), AIGW_THREADS: 25 });
      stack.gateway = await Httpd.start(stack.#folder, 'gateway.conf', {
        ...defines(),
        AIGW_THREADS: 64,
        AIGW_FAR_PORT: stack.far.port,
        AIGW_RECORDED_PORT: stack.upstream.port,
      });
    } catch (error) {
      await stack.#end();
      throw error;
    }
    stack.base = `http://127.0.0.1:${stack.gateway.port}`;
    return stack;
  }

  client(settings = {}) {
    return new OpenAI({ baseURL: `${this.base}/v1`, apiKey: CLIENT_KEY, maxRetries: 0, timeout: 60_000, ...settings });
  }

  post(where, body, settings = {}) {
    const headers = { 'Content-Type': 'application/json', ...settings.headers };
    return fetch(this.base + where, { method: 'POST', body: JSON.stringify(body), ...settings, headers });
  }

  async #end() {
    const orderly = [];
    for (const httpd of [this.gateway, this.far]) if (httpd) orderly.push(await httpd.stop());
    this.upstream?.stop();
    if (process.env.AIGW_KEEP) console.error(`left in ${this.#folder}`);
    else rmSync(this.#folder, { recursive: true, force: true });
    return orderly.every(Boolean);
  }

  // Fails where an httpd had to be killed or one of its children crashed.
  async stop() {
    const crashes = [this.gateway, this.far].flatMap((httpd) => httpd.crashes());
    const orderly = await this.#end();
    assert.deepEqual(crashes, [], 'crashes in the error log');
    assert.ok(orderly, 'an httpd did not stop on SIGTERM');
  }
}

// --- what tests share -----------------------------------------------------------------------------------------------------------------

export const user_says = (content) => [{ role: 'user', content }];

// A gate that lets through one for each open(): the far end goes on only when the near end has seen what was sent.
export class Gate {
  #opened = 0;
  #waiting = [];

  open() {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#opened++;
  }

  pass() {
    if (this.#opened > 0) {
      this.#opened--;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}

// A promise with a bound that names what was waited for.
export async function within(promise, what, limit = 20_000) {
  const timer = new AbortController();
  const late = sleep(limit, undefined, { signal: timer.signal }).then(
    () => assert.fail(`waited ${limit} ms in vain for ${what}`),
    () => {},
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

// What a promise is rejected with.
export async function failure(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  return assert.fail(`no error but ${JSON.stringify(value)}`);
}

// The events of an SSE answer as they come: {data} or {comment}.
export async function* events(response) {
  let held = '';
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    held += decoder.decode(bytes, { stream: true });
    for (let end = held.indexOf('\n\n'); end >= 0; end = held.indexOf('\n\n')) {
      yield event(held.slice(0, end));
      held = held.slice(end + 2);
    }
  }
  assert.equal(held, '', 'the stream ends in mid-event');
}

function event(block) {
  const out = {};
  for (const line of block.split('\n')) {
    if (line.startsWith(':')) out.comment = line;
    else {
      const [, name, value] = /^(\w+): ?(.*)$/s.exec(line) ?? assert.fail(`not an SSE line: ${line}`);
      out[name] = value;
    }
  }
  return out;
}
