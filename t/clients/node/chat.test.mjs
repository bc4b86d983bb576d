// Answers of the built-in model, in the gateway itself and in a second httpd behind it: streams, whole answers, usage, the list of models.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { Gate, Stack, failure, user_says, within } from './stack.mjs';

let stack;
let client;
before(async () => {
  stack = await Stack.start();
  client = stack.client();
});
after(() => stack?.stop());

const collect = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
};
const text_of = (chunks) => chunks.map((c) => c.choices[0]?.delta?.content ?? '').join('');
const WORDS = 'one two three four five six seven eight';

for (const model of ['near', 'far']) {
  test(`${model}: a stream has all words in order and one end`, async () => {
    const chunks = await collect(await client.chat.completions.create({ model, messages: user_says(WORDS), stream: true }));
    assert.equal(text_of(chunks), WORDS);
    assert.equal(chunks.filter((c) => c.choices[0].delta.content).length, 8, 'a chunk for each word');
    for (const chunk of chunks) {
      assert.equal(chunk.object, 'chat.completion.chunk');
      for (const key of ['id', 'created', 'model']) assert.equal(chunk[key], chunks[0][key], key);
      assert.ok(!chunk.usage, 'usage that nobody asked for');
    }
    assert.equal(chunks[0].choices[0].delta.role, 'assistant');
    assert.deepEqual(
      chunks.map((c) => c.choices[0].finish_reason),
      [...Array(chunks.length - 1).fill(null), 'stop'],
    );
  });

  test(`${model}: words arrive while the answer goes on`, async () => {
    const began = performance.now();
    const arrivals = [];
    // 30 words take at least 2.9 s: a gateway that gathers them would deliver the first then
    const stream = await client.chat.completions.create({
      model,
      messages: user_says(WORDS),
      stream: true,
      aigw_echo: { words: 30, delay_ms: 100 },
    });
    for await (const chunk of stream) if (chunk.choices[0].delta.content) arrivals.push(performance.now() - began);
    assert.equal(arrivals.length, 30);
    assert.ok(arrivals.at(-1) >= 2850, `30 words in ${arrivals.at(-1)} ms`);
    assert.ok(arrivals[14] < arrivals.at(-1) - 700, `the first half came with the end: ${arrivals.map(Math.round)}`);
  });

  test(`${model}: a whole answer`, async () => {
    const answer = await client.chat.completions.create({ model, messages: user_says(WORDS) });
    assert.equal(answer.object, 'chat.completion');
    assert.equal(answer.choices.length, 1);
    assert.equal(answer.choices[0].message.content, WORDS);
    assert.equal(answer.choices[0].message.role, 'assistant');
    assert.equal(answer.choices[0].finish_reason, 'stop');
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
    assert.deepEqual({ prompt_tokens, completion_tokens, total_tokens }, { prompt_tokens: 8, completion_tokens: 8, total_tokens: 16 });
    assert.ok(answer._request_id, 'X-Request-ID');
  });

  test(`${model}: usage in a stream on request`, async () => {
    const ask = async (stream_options) =>
      collect(
        await client.chat.completions.create({
          model,
          messages: user_says(WORDS),
          stream: true,
          ...(stream_options && { stream_options }),
        }),
      );
    const chunks = await ask({ include_usage: true });
    assert.equal(text_of(chunks), WORDS);
    assert.deepEqual(chunks.at(-1).choices, []);
    const { prompt_tokens, completion_tokens, total_tokens } = chunks.at(-1).usage;
    assert.deepEqual([prompt_tokens, completion_tokens, total_tokens], [8, 8, 16]);
    for (const chunk of chunks.slice(0, -1)) {
      assert.equal(chunk.usage, null);
      assert.equal(chunk.choices.length, 1);
    }
    for (const not_asked of [{ include_usage: false }, undefined]) {
      for (const chunk of await ask(not_asked)) {
        assert.ok(!chunk.usage);
        assert.equal(chunk.choices.length, 1);
      }
    }
  });

  test(`${model}: max_tokens ends with length`, async () => {
    const answer = await client.chat.completions.create({ model, messages: user_says(WORDS), max_tokens: 3 });
    assert.equal(answer.choices[0].message.content, 'one two three');
    assert.equal(answer.choices[0].finish_reason, 'length');
    assert.equal(answer.usage.completion_tokens, 3);
    const chunks = await collect(
      await client.chat.completions.create({ model, messages: user_says(WORDS), max_completion_tokens: 2, stream: true }),
    );
    assert.equal(text_of(chunks), 'one two');
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'length');
  });

  test(`${model}: several choices`, async () => {
    const answer = await client.chat.completions.create({ model, messages: user_says('a b'), n: 3 });
    assert.deepEqual(
      answer.choices.map((c) => [c.index, c.message.content]),
      [
        [0, 'a b'],
        [1, 'a b'],
        [2, 'a b'],
      ],
    );
    const said = ['', '', ''];
    for (const { choices } of await collect(
      await client.chat.completions.create({ model, messages: user_says('a b'), n: 3, stream: true }),
    )) {
      for (const c of choices) said[c.index] += c.delta.content ?? '';
    }
    assert.deepEqual(said, ['a b', 'a b', 'a b']);
  });

  test(`${model}: all of Unicode comes back`, async () => {
    const content = 'Grüße 你好 🏔️👩‍🔬 \u{10FFFF} "quoted" \\back\\ \u2028line';
    const answer = await client.chat.completions.create({ model, messages: user_says(content) });
    assert.equal(answer.choices[0].message.content, content);
    assert.equal(
      text_of(await collect(await client.chat.completions.create({ model, messages: user_says(content), stream: true }))),
      content,
    );
  });

  test(`${model}: the .stream() helper`, async () => {
    const helper = client.chat.completions.stream({ model, messages: user_says(WORDS), stream_options: { include_usage: true } });
    const deltas = [];
    helper.on('content', (delta) => deltas.push(delta));
    assert.equal(await helper.finalContent(), WORDS);
    assert.equal(deltas.join(''), WORDS);
    assert.equal(deltas.length, 8);
    const final = await helper.finalChatCompletion();
    assert.equal(final.choices[0].finish_reason, 'stop');
    assert.equal((await helper.totalUsage()).total_tokens, 16);
  });

  test(`${model}: 50 streams at once through one client`, async () => {
    const one = async (i) => {
      const content = Array.from({ length: 20 }, (_, n) => `s${i}w${n}`).join(' ');
      const stream = await client.chat.completions.create({
        model,
        messages: user_says(content),
        stream: true,
        aigw_echo: { delay_ms: 20 },
      });
      assert.equal(text_of(await collect(stream)), content);
    };
    await Promise.all(Array.from({ length: 50 }, (_, i) => one(i)));
  });
}

test('each chunk is delivered before the next is made', async () => {
  // the upstream goes on only when the client has what it sent before: a gateway that holds anything back stops this for good
  const gate = new Gate();
  const words = Array.from({ length: 40 }, (_, i) => `w${i} `);
  const metadata = stack.upstream.play(async (exchange) => {
    for (const word of words) {
      exchange.word(word);
      await gate.pass();
    }
    exchange.finish();
  });
  const seen = [];
  const read = async () => {
    const stream = await client.chat.completions.create({ model: 'recorded', messages: user_says('go'), metadata, stream: true });
    for await (const { choices } of stream) {
      if (!choices[0].delta.content) continue;
      seen.push(choices[0].delta.content);
      gate.open();
    }
  };
  await within(read(), 'chunk after chunk', 60_000);
  assert.deepEqual(seen, words);
});

test('response headers reach the client before the first token', async () => {
  const gate = new Gate();
  const metadata = stack.upstream.play(async (exchange) => {
    exchange.begin();
    exchange.word('late');
    await gate.pass();
    exchange.finish();
  });
  const call = client.chat.completions.create({ model: 'recorded', messages: user_says('go'), metadata, stream: true });
  const { data, response, request_id } = await within(call.withResponse(), 'the headers');
  assert.match(response.headers.get('content-type'), /^text\/event-stream/);
  assert.equal(request_id, response.headers.get('x-request-id'));
  gate.open();
  assert.equal(text_of(await collect(data)), 'late');
});

test('a stream can be teed and turned into a ReadableStream', async () => {
  const stream = await client.chat.completions.create({ model: 'far', messages: user_says(WORDS), stream: true });
  const [left, right] = stream.tee();
  const [a, b] = await Promise.all([collect(left), collect(right)]);
  assert.equal(text_of(a), WORDS);
  assert.deepEqual(a, b);
});

test('an alias and no model at all', async () => {
  const answer = await client.chat.completions.create({ model: 'next-door', messages: user_says('hello') });
  assert.equal(answer.choices[0].message.content, 'hello');
  const without = await client.chat.completions.create({ messages: user_says('hello') });
  assert.equal(without.choices[0].message.content, 'hello');
});

test('models: list and retrieve', async () => {
  const ids = [];
  for await (const model of client.models.list()) {
    assert.equal(model.object, 'model');
    assert.equal(typeof model.created, 'number');
    assert.equal(typeof model.owned_by, 'string');
    ids.push(model.id);
  }
  assert.deepEqual(ids.sort(), ['far', 'near', 'recorded', 'refused', 'some-org/recorded-7b']);
  const near = await client.models.retrieve('near');
  assert.deepEqual([near.id, near.object, near.owned_by], ['near', 'model', 'the-tests']);
  assert.equal((await client.models.retrieve('some-org/recorded-7b')).id, 'some-org/recorded-7b');
  const error = await failure(client.models.retrieve('no-such-model'));
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(error.code, 'model_not_found');
});
