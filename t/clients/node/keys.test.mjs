// What a new user does, from docs/auth.md alone: a key is made, used with the SDK, changed, disabled and refused, and httpd is not restarted. Commands,
// configuration and program are taken from the page itself, with its paths and names replaced by the test's own, so that the page stays right.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { Httpd, defines, environment, failure, user, user_says } from './stack.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const TOP = environment('AIGW_TOP');
const PAGE = readFileSync(path.join(TOP, 'docs/auth.md'), 'utf8');
const PATIENCE = 20_000;

// --- the page -------------------------------------------------------------------------------------------------------------------------

const blocks = (language) => [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1]);
const unused = new Set(
  blocks('sh')
    .join('')
    .split('\n')
    .filter((line) => line.trim()),
);

// The lines of the page's commands from the one with these words on, so many.
function shown(words, lines = 1) {
  const block = blocks('sh').find((text) => text.includes(words)) ?? assert.fail(`docs/auth.md does not show: ${words}`);
  const all = block.split('\n');
  const from = all.findIndex((line) => line.includes(words));
  const found = all.slice(from, from + lines);
  for (const line of found) unused.delete(line);
  return found.join('\n');
}

const PASSWORD = 'correct horse, battery & staple+%';

let folder;
let run;
let gateway;
let group;
const keys = {};

// As a user would type it; gives what it prints.
async function type(command, { id, env } = {}) {
  const text = command
    .replaceAll('/etc/apache2/', `${run}/`)
    .replaceAll('chgrp www-data', `chgrp ${group}`)
    .replaceAll(/https?:\/\/localhost\//g, `http://127.0.0.1:${gateway?.port}/`)
    .replace(/(?<= )ID\b/, id);
  const PATH = `${environment('AIGW_TOOLS')}:${process.env.PATH}`;
  return output(spawn('bash', ['-euc', text], { cwd: HERE, env: { ...process.env, PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }), text);
}

async function output(child, what) {
  let out = '';
  let err = '';
  child.stdout.on('data', (data) => {
    out += data;
  });
  child.stderr.on('data', (data) => {
    err += data;
  });
  const status = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  assert.equal(status, 0, `${what}\n${out}${err}`);
  return out;
}

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'aigw-keys-'));
  chmodSync(folder, 0o755); // httpd's user looks for the key file
  group = user().AIGW_GROUP?.slice(1) ?? process.getgid();
  gateway = await Httpd.start(folder, 'keys.conf', { ...defines(), AIGW_THREADS: 25 }, async (where) => {
    run = where;
    rmSync(path.join(run, 'aigw.keys'), { force: true });
    const configuration = blocks('apache').filter((text) => /^Include conf\/(aigw|login)\.conf/m.test(text));
    assert.equal(configuration.length, 2);
    writeFileSync(
      path.join(run, 'site.conf'),
      configuration.join('').replace(/^Include (conf\/\S+).*$/gm, (_, name) => `Include "${path.join(TOP, name)}"`),
    );
    keys.alice = (await type(shown('--user alice', 3))).trim();
    await type(shown('htpasswd', 4), { env: { PASSWORD } });
  });
});
after(async () => {
  const crashes = gateway?.crashes() ?? [];
  const orderly = await gateway?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(crashes, [], 'crashes in the error log');
  assert.ok(orderly, 'httpd did not stop on SIGTERM');
});

// A token, as the page gets one.
async function login() {
  return (await type(`${shown('TOKEN=$(')}\necho "$TOKEN"`, { env: { PASSWORD } })).trim();
}

// --- the SDK --------------------------------------------------------------------------------------------------------------------------

const client = (apiKey) => new OpenAI({ baseURL: `http://127.0.0.1:${gateway.port}/v1`, apiKey, maxRetries: 0, timeout: 30_000 });
const ask = (apiKey, request = {}) => client(apiKey).chat.completions.create({ model: 'echo', messages: user_says('one two three'), ...request });
const listed = async (apiKey) => (await client(apiKey).models.list()).data.map((model) => model.id).sort();
const id_of = (key) => key.split('_')[1];

// A few seconds at most.
async function becomes(look, what) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(100)) {
    const found = await look();
    if (found) return found;
  }
  return assert.fail(`not within ${PATIENCE} ms: ${what}`);
}
const refused = (apiKey) =>
  becomes(
    () =>
      listed(apiKey).then(
        () => null,
        (error) => error,
      ),
    'the key is refused',
  );
const accepted = (apiKey) =>
  becomes(
    () =>
      listed(apiKey).then(
        () => true,
        () => false,
      ),
    'the key is accepted',
  );

function is_error(error, kind, status, code) {
  assert.ok(error instanceof kind, `${error?.constructor?.name}: ${error}`);
  assert.equal(error.status, status);
  assert.equal(error.code, code);
}

// What a client may show to be let in.
const credentials = { 'an API key': () => keys.alice, 'a login token': login };

for (const [what, credential] of Object.entries(credentials)) {
  test(`${what}: the SDK gets a whole answer, a stream and the models`, async () => {
    const apiKey = await credential();
    const answer = await ask(apiKey);
    assert.equal(answer.choices[0].message.content, 'one two three');
    let text = '';
    for await (const chunk of await ask(apiKey, { stream: true })) text += chunk.choices[0]?.delta?.content ?? '';
    assert.equal(text, 'one two three');
    assert.deepEqual(await listed(apiKey), ['echo', 'gpt-4o-mini']);
  });

  test(`${what}: the page's own program`, async () => {
    const [program] = blocks('js');
    const text = program.replaceAll('http://localhost/', `http://127.0.0.1:${gateway.port}/`);
    assert.notEqual(text, program, 'the program has the address');
    const env = { ...process.env, KEY: await credential() };
    const child = spawn(process.execPath, ['--input-type=module', '-e', text], { cwd: HERE, env, stdio: ['ignore', 'pipe', 'pipe'] });
    assert.equal(await output(child, text), 'Hello, gateway');
  });

  test(`${what}: the page's own curl`, async () => {
    const answer = JSON.parse(await type(shown('curl'), { env: { KEY: await credential() } }));
    assert.deepEqual(answer.data.map((model) => model.id).sort(), ['echo', 'gpt-4o-mini']);
  });
}

test('no key, and one that nobody has made', async () => {
  const response = await fetch(`http://127.0.0.1:${gateway.port}/v1/models`);
  assert.equal(response.status, 401);
  assert.equal((await response.json()).error.code, 'missing_api_key');
  is_error(await failure(ask('aigw_nobody_x')), OpenAI.AuthenticationError, 401, 'invalid_api_key');
  is_error(await failure(ask('aigw_nobody_x', { stream: true })), OpenAI.AuthenticationError, 401, 'invalid_api_key');
});

test('list shows who has a key, and no key', async () => {
  const list = await type(shown('aigw-key list'));
  assert.match(list, new RegExp(`^${id_of(keys.alice)} +alice +pro +chat +all +never +active$`, 'm'));
  assert.ok(!list.includes(keys.alice.split('_').slice(2).join('_'))); // base64url: a secret has _ in it, too
});

test('a second key, for some models: PermissionDeniedError for the others', async () => {
  keys.bob = (await type(shown('--user bob'))).trim();
  await accepted(keys.bob);
  assert.deepEqual(await listed(keys.bob), ['gpt-4o-mini']);
  assert.equal((await ask(keys.bob, { model: 'gpt-4o-mini' })).choices[0].message.content, 'one two three');
  for (const stream of [false, true]) {
    const error = await failure(ask(keys.bob, { stream }));
    is_error(error, OpenAI.PermissionDeniedError, 403, 'model_not_allowed');
    assert.equal(error.param, 'model');
  }
});

test('a scope that is missing: PermissionDeniedError', async () => {
  keys.carol = (await type(shown('--user bob').replace('bob --scope chat', 'carol --scope read'))).trim();
  await accepted(keys.carol);
  is_error(await failure(ask(keys.carol, { model: 'gpt-4o-mini' })), OpenAI.PermissionDeniedError, 403, 'insufficient_scope');
});

test('rotate: the new key works, the old one is refused', async () => {
  const old = keys.alice;
  keys.alice = (await type(shown('aigw-key rotate'), { id: id_of(old) })).trim();
  assert.equal(id_of(keys.alice), id_of(old));
  await accepted(keys.alice);
  is_error(await refused(old), OpenAI.AuthenticationError, 401, 'invalid_api_key');
  assert.equal((await ask(keys.alice)).choices[0].message.content, 'one two three');
});

test('disable: AuthenticationError; enable: let in again', async () => {
  await type(shown('aigw-key disable'), { id: id_of(keys.alice) });
  is_error(await refused(keys.alice), OpenAI.AuthenticationError, 401, 'invalid_api_key');
  for (const stream of [false, true]) is_error(await failure(ask(keys.alice, { stream })), OpenAI.AuthenticationError, 401, 'invalid_api_key');
  assert.equal((await ask(keys.bob, { model: 'gpt-4o-mini' })).choices[0].message.content, 'one two three');
  await type(shown('aigw-key enable'), { id: id_of(keys.alice) });
  await accepted(keys.alice);
});

test('who am I, and a logout: AuthenticationError', async () => {
  const TOKEN = await login();
  const me = JSON.parse(await type(shown('/v1/me'), { env: { TOKEN } }));
  assert.deepEqual([me.user_id, me.tier, me.method, me.scopes], ['alice', 'pro', 'jwt', ['chat']]);
  assert.equal(JSON.parse(await type(shown('/auth/logout'), { env: { TOKEN } })).status, 'logged_out');
  is_error(await failure(ask(TOKEN)), OpenAI.AuthenticationError, 401, 'invalid_token');
  const wrong = await fetch(`http://127.0.0.1:${gateway.port}/auth/login`, { method: 'POST', body: new URLSearchParams({ username: 'alice', password: 'wrong' }) });
  assert.equal(wrong.status, 401);
  assert.equal((await wrong.json()).error.code, 'invalid_credentials');
});

test('httpd was not restarted', () => {
  assert.equal(gateway.log().match(/resuming normal operations/g).length, 1);
});

test('each command of the page was run', () => assert.deepEqual([...unused], []));
