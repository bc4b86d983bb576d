// Without an SDK: fetch, ReadableStream and AbortController of Node itself.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Gate, Stack, events, failure, user_says, within } from './stack.mjs';

let stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());

const collect = async (response) => {
  const all = [];
  for await (const event of events(response)) all.push(event);
  return all;
};

for (const model of ['near', 'far']) {
  test(`${model}: headers and events of a stream`, async () => {
    const response = await stack.post(
      '/v1/chat/completions',
      { model, messages: user_says('one two three'), stream: true },
      { headers: { 'X-Request-ID': 'fetch-1' } },
    );
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
    assert.equal(response.headers.get('cache-control'), 'no-cache');
    assert.equal(response.headers.get('x-accel-buffering'), 'no');
    assert.equal(response.headers.get('content-length'), null);
    assert.equal(response.headers.get('content-encoding'), null);
    assert.equal(response.headers.get('x-request-id'), 'fetch-1');
    const all = await collect(response);
    for (const event of all) assert.deepEqual(Object.keys(event), ['data']);
    assert.equal(all.at(-1).data, '[DONE]');
    const chunks = all.slice(0, -1).map(({ data }) => JSON.parse(data));
    assert.equal(chunks.map((c) => c.choices[0].delta.content ?? '').join(''), 'one two three');
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
  });
}

test('a ReadableStream delivers each word when it is made', async () => {
  const gate = new Gate();
  const metadata = stack.upstream.play(async (exchange) => {
    for (const word of ['one', 'two', 'three', 'four']) {
      exchange.word(word);
      await gate.pass();
    }
    exchange.finish();
  });
  const response = await stack.post('/v1/chat/completions', { model: 'recorded', messages: user_says('x'), metadata, stream: true });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  await within(
    (async () => {
      for (const word of ['one', 'two', 'three', 'four']) {
        while (!text.includes(`"${word}"`)) {
          const { value, done } = await reader.read();
          assert.ok(!done, text);
          text += value;
        }
        gate.open();
      }
      for (let end = false; !end;) {
        const { value, done } = await reader.read();
        text += value ?? '';
        end = done;
      }
    })(),
    'word by word',
    60_000,
  );
  assert.match(text, /data: \[DONE\]\n\n$/);
});

for (const stream of [true, false]) {
  test(`AbortController, ${stream ? 'in mid-stream' : 'in a whole answer'}`, async () => {
    const metadata = stack.upstream.play((exchange) => {
      if (stream) exchange.word('one');
    });
    const controller = new AbortController();
    const call = stack.post(
      '/v1/chat/completions',
      { model: 'recorded', messages: user_says('x'), metadata, stream },
      { signal: controller.signal },
    );
    const exchange = await stack.upstream.exchange(metadata);
    if (stream) {
      const reader = (await call).body.getReader();
      assert.match(new TextDecoder().decode((await reader.read()).value), /"one"/);
      const read = failure(reader.read());
      controller.abort();
      assert.equal((await read).name, 'AbortError');
    } else {
      const error = failure(call);
      controller.abort();
      assert.equal((await error).name, 'AbortError');
    }
    await within(exchange.over, 'the end of the upstream call');
    assert.ok(exchange.cancelled);
  });
}

test('reader.cancel() is heard upstream', async () => {
  const metadata = stack.upstream.play((exchange) => exchange.word('one'));
  const response = await stack.post('/v1/chat/completions', { model: 'recorded', messages: user_says('x'), metadata, stream: true });
  const reader = response.body.getReader();
  await reader.read();
  await reader.cancel();
  const exchange = await stack.upstream.exchange(metadata);
  await within(exchange.over, 'the end of the upstream call');
  assert.ok(exchange.cancelled);
});

test('errors of the HTTP kind have the shape too', async () => {
  const error_of = async (response) => {
    const text = await response.text();
    assert.match(response.headers.get('content-type'), /^application\/json/, text);
    const { error } = JSON.parse(text);
    assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
    assert.ok(response.headers.get('x-request-id'));
    return [response.status, error.type, error.code, error.message];
  };
  const raw = (body, headers) => stack.post('/v1/chat/completions', undefined, { body, headers });
  const [status, , code, message] = await error_of(await raw('{"model":"near",\n "messages":[}'));
  assert.deepEqual([status, code], [400, 'invalid_json']);
  assert.match(message, /line 2\b/);
  assert.deepEqual((await error_of(await raw(''))).slice(0, 3), [400, 'invalid_request_error', 'invalid_json']);
  assert.deepEqual((await error_of(await raw('[]'))).slice(0, 3), [400, 'invalid_request_error', 'validation_error']);
  assert.deepEqual((await error_of(await raw('{}', { 'Content-Type': 'text/plain' }))).slice(0, 3), [
    415,
    'invalid_request_error',
    'unsupported_media_type',
  ]);
  const got = await fetch(`${stack.base}/v1/chat/completions`);
  assert.equal(got.headers.get('allow'), 'POST');
  assert.deepEqual((await error_of(got)).slice(0, 3), [405, 'invalid_request_error', 'method_not_allowed']);
  assert.deepEqual((await error_of(await fetch(`${stack.base}/nothing/here`))).slice(0, 3), [404, 'invalid_request_error', 'not_found']);
});

for (const model of ['near', 'far']) {
  test(`the simple dialects, ${model}`, async () => {
    const tokens = (await collect(await stack.post('/v1/chat/stream', { model, message: 'one two three' }))).map((e) => e.data);
    assert.equal(tokens.at(-1), '[DONE]');
    assert.equal(
      tokens
        .slice(0, -1)
        .map((t) => JSON.parse(t).token)
        .join(''),
      'one two three',
    );
    const chat = await (await stack.post('/v1/chat', { model, message: 'one two three' })).json();
    assert.deepEqual([chat.content, chat.usage], ['one two three', { prompt_tokens: 3, completion_tokens: 3 }]);
    const generated = await collect(await stack.post('/api/v1/stream/generate', { model, prompt: 'one two three' }));
    assert.deepEqual(
      generated.slice(0, -1).map((e) => JSON.parse(e.data)),
      [
        { token: 'one', index: 1 },
        { token: ' two', index: 2 },
        { token: ' three', index: 3 },
      ],
    );
    const done = generated.at(-1);
    assert.equal(done.event, 'done');
    assert.equal(JSON.parse(done.data).done, true);
  });
}

test('a connection is used again between streams', async () => {
  for (let i = 0; i < 20; i++) {
    const all = await collect(await stack.post('/v1/chat/completions', { model: 'far', messages: user_says(`round ${i}`), stream: true }));
    assert.equal(all.at(-1).data, '[DONE]');
  }
});

test('a connection goes on after an error event, or the client is told that it does not', async () => {
  // a client that has read the last chunk takes the connection for its next request: nothing may close it behind that
  const gate = new Gate();
  const metadata = stack.upstream.play(async (exchange) => {
    exchange.word('one');
    await gate.pass(); // the head of the answer is out
    exchange.write('data: {"error":{"message":"No more.","type":"server_error","param":null,"code":null}}\n\n');
    exchange.response.end();
  });
  const request = (body) =>
    `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  const socket = connect(stack.gateway.port, '127.0.0.1');
  let text = '';
  let closed = false;
  socket.on('data', (bytes) => {
    text += bytes;
  });
  socket.on('close', () => {
    closed = true;
  });
  socket.on('error', () => {});
  socket.write(request(JSON.stringify({ model: 'recorded', messages: user_says('x'), metadata, stream: true })));
  const until = async (what, condition) => {
    for (const end = Date.now() + 20_000; !condition() && Date.now() < end; await sleep(10));
    assert.ok(condition(), `no ${what} in: ${text}`);
  };
  try {
    await until('first word', () => text.includes('"one"') || closed);
    gate.open();
    await until('last chunk', () => /"No more\."[^]*\r\n0\r\n\r\n$/.test(text) || closed);
    if (/^Connection: close\r$/im.test(text)) return;
    assert.ok(text.endsWith('\r\n0\r\n\r\n'), `the answer is not complete: ${text}`);
    await sleep(200); // a close that was on its way has come
    text = '';
    socket.write(request(JSON.stringify({ model: 'near', messages: user_says('the second') })));
    await until('second answer', () => text.includes('the second') || closed);
    assert.ok(text.includes('the second'), 'the gateway has closed a connection that it had offered to keep');
  } finally {
    socket.destroy();
  }
});
