// Errors as the SDK's users meet them: classes, codes, retries, and streams that fail half-way.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { Stack, UPSTREAM_KEY, failure, user_says, within } from './stack.mjs';

let stack;
let client;
before(async () => {
  stack = await Stack.start();
  client = stack.client();
});
after(() => stack?.stop());

const create = (request, settings) => client.chat.completions.create({ model: 'recorded', messages: user_says('x'), ...request }, settings);

// An error is of the class, has all four members, and a request ID to ask about.
function is_error(error, kind, status, members) {
  assert.ok(error instanceof kind, `${error?.constructor?.name}: ${error}`);
  assert.equal(error.status, status);
  assert.deepEqual(Object.keys(error.error).sort(), ['code', 'message', 'param', 'type']);
  for (const [name, value] of Object.entries(members)) assert.equal(error[name], value, name);
  assert.ok(error.requestID, 'X-Request-ID');
  assert.doesNotMatch(JSON.stringify(error.error), new RegExp(`127\\.0\\.0\\.1|${UPSTREAM_KEY}`));
}

for (const stream of [true, false]) {
  const how = stream ? 'streamed' : 'whole';

  test(`BadRequestError names the parameter, ${how}`, async () => {
    const type = 'invalid_request_error';
    const code = 'validation_error';
    for (const [request, param] of [
      [{ temperature: 9 }, 'temperature'],
      [{ temperature: '1' }, 'temperature'],
      [{ messages: [] }, 'messages'],
      [{ messages: 'hello' }, 'messages'],
      [
        {
          messages: [
            { role: 'user', content: 'a' },
            { role: 'robot', content: 'x' },
          ],
        },
        'messages[1].role',
      ],
      [{ messages: [{ role: 'user', content: [{ type: 'text', text: 1 }] }] }, 'messages[0].content[0].text'],
      [{ max_tokens: 0 }, 'max_tokens'],
      [{ n: 1000 }, 'n'],
      [{ tools: {} }, 'tools'],
      [{ model: 7 }, 'model'],
      [{ top_p: 2 }, 'top_p'],
    ]) {
      is_error(await failure(create({ stream, ...request })), OpenAI.BadRequestError, 400, { type, code, param });
    }
    is_error(await failure(create({ stream: 'yes' })), OpenAI.BadRequestError, 400, { type, code, param: 'stream' });
  });

  test(`NotFoundError, ${how}`, async () => {
    const members = { type: 'invalid_request_error', code: 'model_not_found', param: 'model' };
    is_error(await failure(create({ stream, model: 'no-such-model' })), OpenAI.NotFoundError, 404, members);
    const lost = stack.client({ baseURL: `${stack.base}/no/such/place` });
    is_error(await failure(lost.chat.completions.create({ model: 'near', messages: user_says('x'), stream })), OpenAI.NotFoundError, 404, {
      type: 'invalid_request_error',
      code: 'not_found',
      param: null,
    });
  });

  test(`the upstream's own errors keep status and message, ${how}`, async () => {
    for (const [status, kind, type] of [
      [400, OpenAI.BadRequestError, 'invalid_request_error'],
      [404, OpenAI.NotFoundError, 'invalid_request_error'],
      [409, OpenAI.ConflictError, 'invalid_request_error'],
      [422, OpenAI.UnprocessableEntityError, 'invalid_request_error'],
      [429, OpenAI.RateLimitError, 'rate_limit_error'],
      [500, OpenAI.InternalServerError, 'server_error'],
      [503, OpenAI.InternalServerError, 'server_error'],
    ]) {
      const own = { message: `Not so: ${status}.`, type: 'its_type', param: 'messages[0]', code: 'its_code' };
      const metadata = stack.upstream.play((exchange) => exchange.fail(status, own));
      const error = await failure(create({ stream, metadata }));
      is_error(error, kind, status, { type, param: own.param, code: own.code });
      assert.equal(error.error.message, own.message);
    }
  });

  test(`RateLimitError has the upstream's Retry-After, ${how}`, async () => {
    const metadata = stack.upstream.play((exchange) =>
      exchange.fail(429, { type: 'rate_limit_error', code: 'rate_limit_exceeded' }, { 'Retry-After': '17' }),
    );
    const error = await failure(create({ stream, metadata }));
    is_error(error, OpenAI.RateLimitError, 429, { type: 'rate_limit_error', code: 'rate_limit_exceeded' });
    assert.equal(error.headers.get('retry-after'), '17');
  });

  test(`an upstream that refuses the gateway's key is a 502, ${how}`, async () => {
    for (const status of [401, 403]) {
      const metadata = stack.upstream.play((exchange) =>
        exchange.fail(
          status,
          { message: `Incorrect API key provided: ${UPSTREAM_KEY}`, code: 'invalid_api_key' },
          { 'WWW-Authenticate': 'Bearer' },
        ),
      );
      const error = await failure(create({ stream, metadata }));
      is_error(error, OpenAI.InternalServerError, 502, { type: 'upstream_error', code: 'upstream_auth_failed' });
      assert.equal(error.headers.get('www-authenticate'), null);
    }
  });

  test(`an upstream that does not speak JSON, hangs up or is not there, ${how}`, async () => {
    const odd = (how_not) => create({ stream, metadata: stack.upstream.play(how_not) });
    const is_502 = async (call, code) => is_error(await failure(call), OpenAI.InternalServerError, 502, { type: 'upstream_error', code });
    await is_502(
      odd((e) => e.answer(200, '<html>hello</html>', { 'Content-Type': 'text/html' })),
      'upstream_invalid_response',
    );
    await is_502(
      odd((e) => e.breakOff()),
      'upstream_reset',
    );
    await is_502(create({ stream, model: 'refused' }), 'upstream_connect_failed');
    const html = await failure(odd((e) => e.answer(500, '<h1>Oops</h1>', { 'Content-Type': 'text/html' })));
    is_error(html, OpenAI.InternalServerError, 500, { code: 'internal_error' });
  });

  test(`the built-in model's errors, near and far, ${how}`, async () => {
    for (const model of ['near', 'far']) {
      for (const [fail, kind] of [
        [429, OpenAI.RateLimitError],
        [500, OpenAI.InternalServerError],
        [503, OpenAI.InternalServerError],
        [400, OpenAI.BadRequestError],
      ]) {
        is_error(await failure(create({ stream, model, aigw_echo: { fail } })), kind, fail, {});
      }
    }
    is_error(await failure(create({ stream, model: 'far', aigw_echo: { fail: 401 } })), OpenAI.InternalServerError, 502, {
      code: 'upstream_auth_failed',
    });
  });

  test(`an upstream too slow for the gateway is a 504, ${how}`, async () => {
    const metadata = stack.upstream.play(() => {});
    const hasty = stack.client({ baseURL: `${stack.base}/hasty/v1` });
    const error = await failure(hasty.chat.completions.create({ model: 'recorded', messages: user_says('x'), metadata, stream }));
    is_error(error, OpenAI.InternalServerError, 504, { type: 'upstream_error', code: 'upstream_timeout' });
    await within((await stack.upstream.exchange(metadata)).over, 'the end of the upstream call');
  });

  // --- retries: the SDK's own, counted at the upstream ---

  test(`retries until it works, ${how}`, async () => {
    const metadata = stack.upstream.play((exchange) => {
      if (exchange.nth === 0) return exchange.fail(429, {}, { 'Retry-After': '1' });
      if (exchange.nth === 1) return exchange.fail(500);
      return stream ? (exchange.word('at last'), exchange.finish()) : exchange.completion('at last');
    });
    const answer = await create({ stream, metadata }, { maxRetries: 3 });
    let text = '';
    if (stream)
      for await (const {
        choices: [c],
      } of answer)
        text += c.delta.content ?? '';
    else text = answer.choices[0].message.content;
    assert.equal(text, 'at last');
    const made = stack.upstream.of(metadata.id);
    assert.equal(made.length, 3, 'calls of the upstream');
    assert.ok(made[1].at - made[0].at >= 950, `Retry-After: 1 was followed after ${made[1].at - made[0].at} ms`);
    for (const { body } of made) assert.deepEqual(body, made[0].body);
  });

  test(`no retry where the client wants none, and none by the gateway, ${how}`, async () => {
    for (const status of [429, 500, 503]) {
      const metadata = stack.upstream.play((exchange) => exchange.fail(status, {}, status === 429 ? { 'Retry-After': '1' } : {}));
      await failure(create({ stream, metadata }));
      assert.equal(stack.upstream.of(metadata.id).length, 1);
    }
  });

  test(`a client's mistake is not retried, ${how}`, async () => {
    const metadata = stack.upstream.play((exchange) => exchange.fail(400));
    await failure(create({ stream, metadata }, { maxRetries: 3 }));
    assert.equal(stack.upstream.of(metadata.id).length, 1);
  });

  test(`retries are given up, ${how}`, async () => {
    const metadata = stack.upstream.play((exchange) => exchange.fail(503));
    is_error(await failure(create({ stream, metadata }, { maxRetries: 1 })), OpenAI.InternalServerError, 503, {});
    assert.equal(stack.upstream.of(metadata.id).length, 2);
  });
}

// --- once the stream has begun ---

// Reads to the error; what came before it is in .said.
async function broken(call) {
  const said = [];
  const error = await failure(
    (async () => {
      for await (const {
        choices: [c],
      } of await call) {
        if (c?.delta?.content) said.push(c.delta.content);
        assert.ok(!c?.finish_reason, 'a finish_reason in a cut answer');
      }
      return said;
    })(),
  );
  return { error, said };
}

function is_error_event({ error, said }, words, members) {
  assert.deepEqual(said, words, `${error?.stack}`);
  assert.ok(error instanceof OpenAI.APIError, `${error?.stack}`);
  assert.ok(!(error instanceof OpenAI.APIConnectionError), 'an error event, not a broken connection');
  assert.deepEqual(Object.keys(error.error).sort(), ['code', 'message', 'param', 'type']);
  for (const [name, value] of Object.entries(members)) assert.equal(error[name], value, name);
}

test('an error event in mid-stream is thrown', async () => {
  const own = { message: 'The model is overloaded.', type: 'server_error', param: null, code: 'overloaded' };
  const metadata = stack.upstream.play((exchange) => {
    exchange.word('one');
    exchange.word('two');
    exchange.write(`data: ${JSON.stringify({ error: own })}\n\n`);
    exchange.response.end();
  });
  const result = await broken(create({ stream: true, metadata }));
  is_error_event(result, ['one', 'two'], { type: 'upstream_error', code: own.code });
  assert.equal(result.error.error.message, own.message);
});

for (const [what, ending] of [
  ['is reset between events', (exchange) => exchange.breakOff()],
  [
    'is reset in mid-event',
    (exchange) => {
      exchange.write('data: {"id":"chatcmpl-2","choices":[{"index":0,"delta":{"content":"thr');
      setTimeout(() => exchange.breakOff(), 50);
    },
  ],
  ['ends without finish_reason and [DONE]', (exchange) => exchange.response.end()],
]) {
  test(`an upstream that ${what} is an error event`, async () => {
    const metadata = stack.upstream.play((exchange) => {
      exchange.word('one');
      exchange.word('two');
      setTimeout(ending, 50, exchange);
    });
    is_error_event(await broken(create({ stream: true, metadata })), ['one', 'two'], { type: 'upstream_error', code: 'upstream_reset' });
    assert.equal(stack.upstream.of(metadata.id).length, 1, 'no second call after the first byte');
  });
}

test('garbage in mid-stream is an error event', async () => {
  const metadata = stack.upstream.play((exchange) => {
    exchange.word('one');
    exchange.write('data: this is no JSON\n\n');
  });
  is_error_event(await broken(create({ stream: true, metadata })), ['one'], { type: 'upstream_error', code: 'upstream_invalid_response' });
});

test('silence in mid-stream ends with an error event', async () => {
  const metadata = stack.upstream.play((exchange) => exchange.word('one'));
  const hasty = stack.client({ baseURL: `${stack.base}/hasty/v1` });
  const call = hasty.chat.completions.create({ model: 'recorded', messages: user_says('x'), metadata, stream: true });
  is_error_event(await broken(call), ['one'], { type: 'upstream_error', code: 'upstream_timeout' });
  const exchange = await stack.upstream.exchange(metadata);
  await within(exchange.over, 'the end of the upstream call');
});

test('the built-in model breaks off, near and far', async () => {
  for (const model of ['near', 'far']) {
    const call = create({ model, messages: user_says('one two three four'), stream: true, aigw_echo: { reset: 2, delay_ms: 5 } });
    is_error_event(await broken(call), ['one', ' two'], { type: 'upstream_error', code: 'upstream_reset' });
  }
});
