// The page of ./quickstart in a headless Chromium: words stream into it with fetch, errors are shown, Stop stops.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Browser } from './browser.mjs';
import { freePort } from '../port.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'aigw-browser-'));
let gateway;
let gatewayGone;
let browser;
let base;
let accessLog;

async function until(what, condition, limit = 30_000) {
  const end = Date.now() + limit;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

before(async () => {
  const port = await freePort();
  base = `http://127.0.0.1:${port}`;
  accessLog = path.join(process.env.AIGW_BUILD_DIR ?? path.join(process.env.AIGW_TOP, 'build'), 'quickstart', `run-${port}`, 'access.log');
  // should this program be killed, the kernel ends the script, which ends httpd
  gateway = spawn('setpriv', ['--pdeathsig', 'TERM', `${process.env.AIGW_TOP}/quickstart`, '--serve', '--port', String(port)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  gatewayGone = once(gateway, 'exit');
  // the first one builds
  await until(
    'the gateway',
    () => {
      assert.ok(gateway.exitCode === null && gateway.signalCode === null, 'quickstart has ended');
      return fetch(`${base}/v1/models`).then(
        (r) => r.ok,
        () => false,
      );
    },
    600_000,
  );
  browser = await Browser.start(folder);
});

after(async () => {
  await browser?.close();
  gateway.kill('SIGTERM');
  await gatewayGone;
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

// The lines of the access log about answers that are over.
const answers = () =>
  readFileSync(accessLog, 'utf8')
    .split('\n')
    .filter((line) => line.includes('"POST /v1/chat/completions'));

const words = (n) => Array.from({ length: n }, (_, i) => `w${i}`).join(' ');

test('the models of the gateway are offered', async () => {
  await browser.open(`${base}/`);
  await until('the list', () => browser.run("[...document.querySelectorAll('#model option')].some((o) => o.value === 'echo')"));
});

test('words stream in one by one', async () => {
  await browser.open(`${base}/`);
  await browser.run(`
    window.seen = [];
    const box = document.getElementById('answer');
    new MutationObserver(() => seen.push(box.textContent)).observe(box, { childList: true });
    document.getElementById('question').value = '${words(40)}';
    document.getElementById('send').click()`);
  const status = await until('the end', () =>
    browser.run("(/pieces in/.test(document.getElementById('status').textContent) && document.getElementById('status').textContent)"),
  );
  assert.match(status, /^40 pieces in [0-9]+ ms$/);
  const seen = await browser.run('JSON.stringify(seen)').then(JSON.parse);
  // one state a word, and a busy machine may show a few words together
  assert.ok(seen.length >= 10, `states of the answer: ${seen.length}`);
  for (const [i, state] of seen.entries()) assert.ok(words(40).startsWith(state) && (i === 0 || state.length > seen[i - 1].length), state);
  assert.equal(seen.at(-1), words(40));
});

test('Stop stops, and the gateway hears of it', async () => {
  await browser.open(`${base}/`);
  const before_it = answers().length;
  await browser.run(`document.getElementById('question').value = '${words(1000)}'; document.getElementById('send').click()`);
  await until('the first word', () => browser.run("document.getElementById('answer').textContent.length > 0"));
  await browser.run("document.getElementById('stop').click()");
  await until('the word', () => browser.run("document.getElementById('status').textContent === 'Stopped'"));
  const said = await browser.run("document.getElementById('answer').textContent");
  assert.ok(words(1000).startsWith(said) && said.length < words(800).length, said);
  // a whole minute before the answer would have been over
  await until('the line in the log', () => answers().length > before_it);
  assert.equal(await browser.run("document.getElementById('answer').textContent"), said, 'words after the stop');
});

test('fetch in a page: words while the answer goes on', async () => {
  await browser.open(`${base}/`);
  const { text, times, type } = await browser.run(`(async () => {
    const response = await fetch('/v1/chat/completions', { method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ model: 'echo', stream: true, messages: [{ role: 'user', content: '${words(40)}' }] }) });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const times = [];
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      times.push(performance.now());
      text += value;
    }
    return { text, times, type: response.headers.get('content-type') };
  })()`);
  assert.equal(type, 'text/event-stream; charset=utf-8');
  const data = text
    .split('\n\n')
    .filter(Boolean)
    .map((event) => event.replace(/^data: /, ''));
  assert.equal(data.pop(), '[DONE]');
  assert.equal(data.map((d) => JSON.parse(d).choices[0].delta.content ?? '').join(''), words(40));
  // 39 pauses of 60 ms
  assert.ok(times.length >= 10, `${times.length} reads`);
  assert.ok(times.at(-1) - times[0] >= 1000, `all within ${times.at(-1) - times[0]} ms`);
});

test('fetch in a page: AbortController', async () => {
  await browser.open(`${base}/`);
  const before_it = answers().length;
  const name = await browser.run(`(async () => {
    const controller = new AbortController();
    const response = await fetch('/v1/chat/completions', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, signal: controller.signal,
      body: JSON.stringify({ stream: true, messages: [{ role: 'user', content: '${words(1000)}' }] }) });
    const reader = response.body.getReader();
    await reader.read();
    controller.abort();
    return reader.read().then(() => reader.read()).then(() => 'no error', (error) => error.name);
  })()`);
  assert.equal(name, 'AbortError');
  await until('the line in the log', () => answers().length > before_it);
});

test('fetch in a page: errors', async () => {
  await browser.open(`${base}/`);
  const ask = (body) =>
    browser.run(`
    fetch('/v1/chat/completions', { method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: ${JSON.stringify(JSON.stringify(body))} })
      .then(async (r) => ({ status: r.status, id: r.headers.get('x-request-id'), ...(await r.json()) }))`);
  const messages = [{ role: 'user', content: 'x' }];
  for (const [body, status, param, code] of [
    [{ model: 'no-such-model', messages, stream: true }, 404, 'model', 'model_not_found'],
    [{ messages, temperature: 3 }, 400, 'temperature', 'validation_error'],
    [{ messages: [] }, 400, 'messages', 'validation_error'],
  ]) {
    const answer = await ask(body);
    assert.equal(answer.status, status);
    assert.ok(answer.id);
    assert.deepEqual({ ...answer.error, message: '' }, { message: '', type: 'invalid_request_error', param, code });
  }
  const lost = await browser.run(`fetch('/v1/nothing').then(async (r) => [r.status, (await r.json()).error.code])`);
  assert.deepEqual(lost, [404, 'not_found']);
});

test('an error is shown in the words of the gateway', async () => {
  await browser.open(`${base}/`);
  await browser.run(`
    document.getElementById('model').append(new Option('no-such-model', 'no-such-model'));
    document.getElementById('model').value = 'no-such-model';
    document.getElementById('send').click()`);
  await until('the message', () => browser.run("document.getElementById('status').className === 'error'"));
  assert.match(await browser.run("document.getElementById('status').textContent"), /^404: .*no-such-model/);
});

test('the simple endpoint streams to fetch too', async () => {
  const text = await browser.run(`
    fetch('/v1/chat/stream', { method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ message: 'hello there' }) })
      .then((r) => r.text())`);
  assert.match(text, /data: \{"token":/);
  assert.match(text, /data: \[DONE\]/);
});

test('nothing on the page comes from elsewhere', async () => {
  await browser.open(`${base}/`);
  const names = await browser.run("JSON.stringify(performance.getEntriesByType('resource').map((e) => e.name))").then(JSON.parse);
  assert.ok(names.length > 0);
  for (const name of names) assert.ok(name.startsWith(`${base}/`), name);
});
