// What a client asks reaches the upstream as it was written: images, unknown fields, JSON mode; its credentials do not.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { CLIENT_KEY, Stack, UPSTREAM_KEY, user_says } from './stack.mjs';
import { sha256 } from './upstream.mjs';

let stack;
let client;
before(async () => {
  stack = await Stack.start();
  client = stack.client();
});
after(() => stack?.stop());

const ask = async (request, settings) => {
  const metadata = stack.upstream.play((exchange) =>
    request.stream ? (exchange.word('ok'), exchange.finish()) : exchange.completion('ok'),
  );
  const answer = await client.chat.completions.create({ model: 'recorded', ...request, metadata }, settings);
  let text = '';
  if (request.stream) for await (const chunk of answer) text += chunk.choices[0].delta.content ?? '';
  else text = answer.choices[0].message.content;
  assert.equal(text, 'ok');
  return stack.upstream.exchange(metadata);
};

for (const stream of [true, false]) {
  test(`an image of 2 MB passes byte for byte, ${stream ? 'streamed' : 'whole'}`, async () => {
    const images = [randomBytes(2 << 20), randomBytes(5000)];
    const urls = images.map((image) => `data:image/png;base64,${image.toString('base64')}`);
    const content = [
      { type: 'text', text: 'What is this? 🏔' },
      ...urls.map((url) => ({ type: 'image_url', image_url: { url, detail: 'high' } })),
    ];
    const { json, headers, body } = await ask({
      messages: [
        { role: 'system', content: 'See.' },
        { role: 'user', content },
      ],
      stream,
    });
    assert.equal(Number(headers['content-length'] ?? body.length), body.length);
    const passed = json.messages[1].content;
    assert.deepEqual(
      passed.slice(1).map((part) => sha256(Buffer.from(part.image_url.url.split(',')[1], 'base64'))),
      images.map(sha256),
    );
    assert.deepEqual(
      passed.map((part) => sha256(JSON.stringify(part))),
      content.map((part) => sha256(JSON.stringify(part))),
    );
  });
}

test('only the model changes in the bytes of a body', async () => {
  const metadata = stack.upstream.play((exchange) => exchange.completion('ok'));
  const text = (model) =>
    `{ "unknown" : 1.50e+01,\t"model":"${model}" , "messages":[ {"role":"user","content":"\\u00e9\\/\\ud83d\\ude00 é"}],` +
    `"metadata":${JSON.stringify(metadata)}, "big":12345678901234567890, "nested":{"a":[null,true,{}]} }\n`;
  const response = await stack.post('/v1/chat/completions', undefined, { body: text('recorded') });
  assert.equal(response.status, 200, await response.text());
  const { body } = await stack.upstream.exchange(metadata);
  assert.equal(body.toString(), text('recorded-2024-07-18'));
});

test('a model without another name upstream: the body stays as it was', async () => {
  const metadata = stack.upstream.play((exchange) => exchange.completion('ok'));
  const text = JSON.stringify({ model: 'some-org/recorded-7b', messages: user_says('x'), metadata });
  const response = await stack.post('/v1/chat/completions', undefined, { body: text });
  assert.equal(response.status, 200, await response.text());
  assert.equal((await stack.upstream.exchange(metadata)).body.toString(), text);
});

test('unknown fields pass', async () => {
  const unknown = { reasoning_effort: 'low', min_p: 0.05, guided_choice: ['a', 'b'], some_future_thing: { deep: [{ er: null }] } };
  const { json } = await ask({ messages: [{ role: 'user', content: 'x', name: 'me', new_member: 1 }], ...unknown });
  for (const [name, value] of Object.entries(unknown)) assert.deepEqual(json[name], value, name);
  assert.deepEqual(json.messages, [{ role: 'user', content: 'x', name: 'me', new_member: 1 }]);
});

test('JSON mode', async () => {
  const content = JSON.stringify({ answer: 42, text: 'Ünïcode "quoted"' });
  for (const response_format of [
    { type: 'json_object' },
    {
      type: 'json_schema',
      json_schema: { name: 'answer', strict: true, schema: { type: 'object', properties: { answer: { type: 'integer' } } } },
    },
  ]) {
    const metadata = stack.upstream.play((exchange) => exchange.completion(content));
    const answer = await client.chat.completions.create({
      model: 'recorded',
      messages: user_says('JSON, please'),
      response_format,
      metadata,
    });
    assert.equal(answer.choices[0].message.content, content);
    assert.deepEqual((await stack.upstream.exchange(metadata)).json.response_format, response_format);
  }
});

test('what the upstream adds to its answer reaches the client', async () => {
  const more = { system_fingerprint: 'fp_1', service_tier: 'default', new_member: { a: [1] } };
  const metadata = stack.upstream.play((exchange) => exchange.completion('ok', more));
  const answer = await client.chat.completions.create({ model: 'recorded', messages: user_says('x'), metadata });
  for (const [name, value] of Object.entries(more)) assert.deepEqual(answer[name], value, name);
});

test("the client's credentials and cookies stay here, the gateway's go", async () => {
  const { headers } = await ask(
    { messages: user_says('x') },
    {
      headers: {
        Cookie: 'session=of-the-client',
        'X-API-Key': 'x-of-the-client',
        'api-key': 'a-of-the-client',
        'X-Request-ID': 'test.of:request-1',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      },
    },
  );
  assert.equal(headers.authorization, `Bearer ${UPSTREAM_KEY}`);
  assert.doesNotMatch(JSON.stringify(headers), /of-the-client/);
  assert.doesNotMatch(JSON.stringify(headers), new RegExp(CLIENT_KEY));
  for (const name of ['cookie', 'x-api-key', 'api-key', 'x-forwarded-for', 'x-forwarded-host'])
    assert.equal(headers[name], undefined, name);
  assert.equal(headers['accept-encoding'], 'identity');
  assert.equal(headers['x-request-id'], 'test.of:request-1');
  assert.match(headers.traceparent, /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/);
});
