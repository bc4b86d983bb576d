// Pages of other origins in a headless Chromium: what fetch lets a page of an allowed origin see, and what it keeps from all others.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Browser } from './browser.mjs';
import { freePort } from '../port.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'aigw-cors-'));
const run = path.join(folder, 'httpd');
const key = `aigw_page_${'k'.repeat(43)}`;
let httpd;
let httpdGone;
let said = '';
let browser;
let gateway;
let allowed;
let subdomain;
let foreign;

const environment = (name) => process.env[name] ?? assert.fail(`${name} is not set: ./runtests --only browser`);

// Root's httpd gives its children another name.
function user() {
  if (process.getuid() !== 0) return {};
  const names = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const [name, , , gid] = names.find(([n]) => n === 'www-data') ?? names.find(([n]) => n === 'nobody');
  return { AIGW_USER: name, AIGW_GROUP: `#${gid}` };
}

before(async () => {
  const port = await freePort();
  const page = await freePort();
  gateway = `http://127.0.0.1:${port}`;
  allowed = `http://127.0.0.1:${page}`;
  subdomain = `http://some.app.localhost:${page}`;
  foreign = `http://localhost:${page}`;
  mkdirSync(path.join(run, 'pages'), { recursive: true });
  chmodSync(folder, 0o755);
  writeFileSync(path.join(run, 'pages', 'page'), '<!doctype html><title>a page</title>');
  writeFileSync(path.join(run, 'keys'), `${JSON.stringify({ id: 'page', user: 'page', sha256: createHash('sha256').update(key).digest('hex') })}\n`);
  const defines = {
    AIGW_LIBEXEC: environment('AIGW_LIBEXEC'),
    AIGW_MODULES: environment('AIGW_MODULES'),
    AIGW_RUN: run,
    AIGW_PORT: port,
    AIGW_PAGE_PORT: page,
    ...user(),
  };
  const conf = path.join(path.dirname(fileURLToPath(import.meta.url)), 'cors.conf');
  const args = Object.entries(defines).flatMap(([name, value]) => ['-C', `Define ${name} "${value}"`]);
  // should this program be killed, the kernel ends httpd
  httpd = spawn('setpriv', ['--pdeathsig', 'TERM', environment('AIGW_HTTPD'), '-DFOREGROUND', '-d', run, ...args, '-f', conf], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [httpd.stdout, httpd.stderr])
    stream.on('data', (text) => {
      said += text;
    });
  httpdGone = once(httpd, 'exit');
  for (const end = Date.now() + 30_000; ; await sleep(30)) {
    if (await fetch(`${gateway}/any`).then((r) => r.ok, () => false)) break;
    assert.ok(httpd.exitCode === null && httpd.signalCode === null && Date.now() < end, `httpd does not answer: ${said}`);
  }
  browser = await Browser.start(folder);
});

after(async () => {
  await browser?.close();
  if (httpd) {
    httpd.kill('SIGTERM');
    await httpdGone;
    assert.doesNotMatch(readFileSync(path.join(run, 'error.log'), 'utf8'), /exit signal|Sanitizer|runtime error:|assertion/i);
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

// What fetch gives to a page of this origin: { status, type, headers, body }, or { error }.
async function fetched(origin, where, init = {}) {
  await browser.open(`${origin}/page`);
  return browser.run(`
    fetch(${JSON.stringify(gateway + where)}, ${JSON.stringify(init)})
      .then(async (r) => ({ status: r.status, type: r.type, headers: Object.fromEntries(r.headers), body: await r.text() }),
        (error) => ({ error: error.name }))`);
}

const with_key = { Authorization: `Bearer ${key}` };
const question = (more, headers = with_key) => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/json', ...headers },
  body: JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'one two three' }], ...more }),
});

// The lines of the gateway's access log since it was last asked for: "POST /v1/models 200".
let seen = 0;
async function asked(last) {
  for (const end = Date.now() + 20_000; ; await sleep(20)) {
    const lines = readFileSync(path.join(run, 'access.log'), 'utf8').split('\n').filter(Boolean).slice(seen);
    if (lines.at(-1) === last || Date.now() > end) {
      seen += lines.length;
      return lines;
    }
  }
}

test('an allowed origin: an answer, and the headers that are exposed', async () => {
  const answer = await fetched(allowed, '/v1/chat/completions', question());
  assert.equal(answer.status, 200);
  assert.equal(answer.type, 'cors');
  assert.equal(JSON.parse(answer.body).choices[0].message.content, 'one two three');
  assert.match(answer.headers['x-request-id'], /^[0-9a-f-]{36}$/);
  assert.match(answer.headers['x-process-time'], /^[0-9.]+$/);
  assert.match(answer.headers['server-timing'], /upstream/);
  assert.equal(answer.headers.server, undefined, 'a header that is not exposed');
});

test('an allowed origin: a stream, read while it goes on', async () => {
  await browser.open(`${allowed}/page`);
  const { status, id, text, times } = await browser.run(`(async () => {
    const response = await fetch('${gateway}/v1/chat/completions', ${JSON.stringify(
      question({ stream: true, messages: [{ role: 'user', content: Array.from({ length: 20 }, (_, i) => `w${i}`).join(' ') }] }),
    )});
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const times = [];
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      times.push(performance.now());
      text += value;
    }
    return { status: response.status, id: response.headers.get('x-request-id'), text, times };
  })()`);
  assert.equal(status, 200);
  assert.ok(id);
  assert.match(text, /data: \[DONE\]\n\n$/);
  // 19 pauses of 60 ms, and a busy machine may show a few words together
  assert.ok(times.length >= 5 && times.at(-1) - times[0] >= 500, `${times.length} reads within ${times.at(-1) - times[0]} ms`);
});

test('an allowed origin: errors can be read', async () => {
  for (const [where, init, status, code] of [
    ['/v1/models', {}, 401, 'missing_api_key'],
    ['/v1/chat/completions', question({}, { Authorization: 'Bearer wrong' }), 401, 'invalid_api_key'],
    ['/v1/chat/completions', question({ model: 'refused', stream: true }), 502, 'upstream_connect_failed'],
    ['/v1/chat/completions', question({ messages: [] }), 400, 'validation_error'],
    ['/v1/nothing', { headers: with_key }, 404, 'not_found'],
    ['/v1/chat/completions', { method: 'DELETE', headers: with_key }, 405, 'method_not_allowed'],
  ]) {
    const answer = await fetched(allowed, where, init);
    assert.equal(answer.status, status, `${where}: ${JSON.stringify(answer)}`);
    assert.equal(JSON.parse(answer.body).error.code, code);
    assert.ok(answer.headers['x-request-id'], where);
  }
});

test("an allowed origin: the fields that OpenAI's SDK sends", async () => {
  const headers = { ...with_key };
  for (const name of ['arch', 'lang', 'os', 'package-version', 'retry-count', 'runtime', 'runtime-version', 'timeout']) headers[`X-Stainless-${name}`] = 'x';
  for (const name of ['OpenAI-Organization', 'OpenAI-Project', 'OpenAI-Beta', 'Idempotency-Key', 'X-Request-ID']) headers[name] = 'x';
  const answer = await fetched(allowed, '/v1/chat/completions', question({}, headers));
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['x-request-id'], 'x');
});

test('an allowed origin: what is not allowed', async () => {
  assert.deepEqual(await fetched(allowed, '/v1/models', { headers: { ...with_key, 'X-Evil': '1' } }), { error: 'TypeError' }, 'a field');
  assert.deepEqual(await fetched(allowed, '/v1/models', { method: 'PUT', headers: with_key }), { error: 'TypeError' }, 'a method');
  assert.deepEqual(await fetched(allowed, '/open', { credentials: 'include' }), { error: 'TypeError' }, 'credentials');
  assert.deepEqual(await fetched(allowed, '/none'), { error: 'TypeError' }, 'an address without CORS');
  assert.equal((await fetched(allowed, '/open')).status, 200);
  assert.equal((await fetched(allowed, '/cookies', { credentials: 'include' })).status, 200);
});

test('a subdomain', async () => {
  assert.equal((await fetched(subdomain, '/v1/chat/completions', question())).status, 200);
  assert.deepEqual(await fetched(subdomain, '/open'), { error: 'TypeError' }, 'not in this list');
});

test('a foreign origin sees nothing', async () => {
  await fetched(allowed, '/open?begin');
  await asked('GET /open 200');
  assert.deepEqual(await fetched(foreign, '/open'), { error: 'TypeError' }, 'a simple request');
  assert.deepEqual(await asked('GET /open 200'), ['GET /open 200'], 'it is made, and its answer is kept from the page');
  assert.deepEqual(await fetched(foreign, '/v1/chat/completions', question()), { error: 'TypeError' }, 'one with a preflight');
  assert.deepEqual(await asked('OPTIONS /v1/chat/completions 204'), ['OPTIONS /v1/chat/completions 204'], 'it is not made');
  assert.deepEqual(await fetched(foreign, '/v1/models'), { error: 'TypeError' }, 'an error');
  assert.deepEqual(await fetched(foreign, '/v1/nothing', { headers: with_key }), { error: 'TypeError' }, 'with a key that is good');
  assert.deepEqual(await fetched(foreign, '/cookies', { credentials: 'include' }), { error: 'TypeError' }, 'with cookies');
});

test('a star', async () => {
  assert.equal((await fetched(foreign, '/any')).status, 200);
  assert.equal((await fetched(foreign, '/any', { headers: with_key })).status, 200, 'with a preflight');
  assert.deepEqual(await fetched(foreign, '/any', { credentials: 'include' }), { error: 'TypeError' }, 'not with credentials');
});
