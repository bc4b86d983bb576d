// Limits as the SDK's users meet them: what it tries again by itself, after how long, and what it does not.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { Stack, failure, user_says } from './stack.mjs';

let stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());

// A client of a location, with a name that its limits count by, and how often it has asked.
function client(where, team, maxRetries) {
  const tries = [];
  const fetch_counted = (...args) => {
    tries.push(performance.now());
    return fetch(...args);
  };
  const baseURL = `${stack.base}/${where}/v1`;
  return { tries, openai: stack.client({ baseURL, maxRetries, fetch: fetch_counted, defaultHeaders: { 'X-Team': team } }) };
}
const create = ({ openai }, request = {}) => openai.chat.completions.create({ model: 'near', messages: user_says('one two'), max_tokens: 5, ...request });

for (const stream of [true, false]) {
  const how = stream ? 'streamed' : 'whole';

  test(`a limit of a second is waited for, ${how}`, async () => {
    const caller = client('pace', `pace-${how}`, 5);
    const ask = async () => {
      const answer = await create(caller, { stream });
      if (stream) for await (const chunk of answer) assert.ok(chunk.id);
    };
    await Promise.all([ask(), ask(), ask()]);
    assert.ok(caller.tries.length > 3, 'at least one was refused');
    // retry-after-ms says when; the SDK's own times would be half of a second and more, doubled each time
    assert.ok(caller.tries.length <= 8, `asked ${caller.tries.length} times`);
  });

  test(`a limit of an hour is not, ${how}`, async () => {
    const caller = client('hour', `hour-${how}`, 5);
    await create(caller, { max_tokens: 80 }).then((answer) => assert.equal(answer.usage.total_tokens, 4));
    const error = await failure(create(caller, { stream, max_tokens: 88 }));
    assert.ok(error instanceof OpenAI.RateLimitError, String(error));
    assert.equal(error.code, 'rate_limit_exceeded');
    assert.equal(error.type, 'rate_limit_error');
    assert.match(error.message, /limit of tokens 100\/hour/);
    assert.equal(error.headers.get('x-should-retry'), 'false');
    assert.equal(error.headers.get('x-ratelimit-limit-tokens'), '100');
    assert.match(error.headers.get('x-ratelimit-remaining-tokens'), /^\d+$/);
    assert.equal(caller.tries.length, 2);
  });
}
