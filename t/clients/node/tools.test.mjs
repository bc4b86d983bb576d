// Tool calls, recorded from an upstream: they pass as they came, in streams and whole, and the SDK's helpers work on them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Stack, events, user_says } from './stack.mjs';

const recorded = (name) => readFileSync(new URL(`recorded/${name}`, import.meta.url), 'utf8');
const SSE = recorded('tools.sse');
const JSON_ANSWER = recorded('tools.json');
const CALLS = JSON.parse(JSON_ANSWER).choices[0].message.tool_calls;
const PAYLOADS = SSE.split('\n\n')
  .filter(Boolean)
  .map((event) => event.replace(/^data: /, ''));
const WITHOUT_USAGE = PAYLOADS.filter((payload) => !payload.includes('"choices":[]'));

const tools = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'Weather at a place',
      strict: true,
      parameters: {
        type: 'object',
        properties: { location: { type: 'string' }, unit: { enum: ['c', 'f'] } },
        required: ['location', 'unit'],
        additionalProperties: false,
      },
    },
  },
  { type: 'function', function: { name: 'get_time', parameters: { type: 'object', properties: { zone: { type: 'string' } } } } },
];

let stack;
let client;
before(async () => {
  stack = await Stack.start();
  client = stack.client();
});
after(() => stack?.stop());

// The recorded stream, in pieces of so many bytes, which need not end where events or characters do.
const recorded_stream = (size) => async (exchange) => {
  const bytes = Buffer.from(SSE);
  exchange.begin();
  for (let at = 0; at < bytes.length; at += size) {
    exchange.response.write(bytes.subarray(at, at + size));
    if ((at / size) % 16 === 0) await sleep(1);
  }
  exchange.response.end();
};
const whole = (exchange) => exchange.answer(200, JSON_ANSWER);

test('a tool call, not streamed', async () => {
  const metadata = stack.upstream.play(whole);
  const request = {
    model: 'recorded',
    messages: user_says('How is the weather?'),
    metadata,
    tools,
    tool_choice: 'auto',
    parallel_tool_calls: true,
  };
  const answer = await client.chat.completions.create(request);
  assert.deepEqual(JSON.parse(JSON.stringify(answer)), JSON.parse(JSON_ANSWER));
  const { json } = await stack.upstream.exchange(metadata);
  assert.deepEqual(json, { ...request, model: 'recorded-2024-07-18' });
});

for (const size of [1 << 20, 1000, 7]) {
  test(`a tool call, streamed in pieces of ${size} bytes`, async () => {
    const metadata = stack.upstream.play(recorded_stream(size));
    const request = { model: 'recorded', messages: user_says('How is the weather?'), metadata, tools, stream: true };
    const calls = [];
    let finish;
    for await (const {
      choices: [choice],
    } of await client.chat.completions.create(request)) {
      for (const { index, id, function: f } of choice.delta.tool_calls ?? []) {
        calls[index] ??= { id, type: 'function', function: { name: f.name, arguments: '' } };
        calls[index].function.arguments += f.arguments;
      }
      finish = choice.finish_reason ?? finish;
    }
    assert.deepEqual(calls, CALLS);
    assert.equal(finish, 'tool_calls');
    const { json } = await stack.upstream.exchange(metadata);
    assert.deepEqual(json, { ...request, model: 'recorded-2024-07-18', stream_options: { include_usage: true } });
  });
}

test('the events pass byte for byte; the usage only on request', async () => {
  for (const [stream_options, expected] of [
    [undefined, WITHOUT_USAGE],
    [{ include_usage: false }, WITHOUT_USAGE],
    [{ include_usage: true }, PAYLOADS],
  ]) {
    const metadata = stack.upstream.play(recorded_stream(333));
    const response = await stack.post('/v1/chat/completions', {
      model: 'recorded',
      messages: user_says('x'),
      metadata,
      tools,
      stream: true,
      stream_options,
    });
    const got = [];
    for await (const { data } of events(response)) if (data !== undefined) got.push(data);
    assert.deepEqual(got, expected);
    const { json } = await stack.upstream.exchange(metadata);
    assert.deepEqual(json.stream_options, { include_usage: true });
  }
});

test('other stream options are kept', async () => {
  const metadata = stack.upstream.play(recorded_stream(1 << 20));
  const stream = await client.chat.completions.create({
    model: 'recorded',
    messages: user_says('x'),
    metadata,
    stream: true,
    stream_options: { include_obfuscation: false, include_usage: false, new_one: [1] },
  });
  for await (const chunk of stream) assert.ok(!chunk.usage);
  const { json } = await stack.upstream.exchange(metadata);
  assert.deepEqual(json.stream_options, { include_obfuscation: false, include_usage: true, new_one: [1] });
});

test('the .stream() helper assembles the calls', async () => {
  const metadata = stack.upstream.play(recorded_stream(100));
  const helper = client.chat.completions.stream({ model: 'recorded', messages: user_says('x'), metadata, tools });
  const final = await helper.finalChatCompletion();
  assert.deepEqual(
    final.choices[0].message.tool_calls.map(({ id, function: f }) => [id, f.name, JSON.parse(f.arguments)]),
    CALLS.map(({ id, function: f }) => [id, f.name, JSON.parse(f.arguments)]),
  );
});

for (const stream of [true, false]) {
  test(`runTools calls the functions and goes on, ${stream ? 'streamed' : 'whole'}`, async () => {
    const metadata = stack.upstream.play((exchange) => {
      if (exchange.nth === 0) return stream ? recorded_stream(200)(exchange) : whole(exchange);
      if (!stream) return exchange.completion('It is 4 degrees at 12:30.');
      for (const word of ['It is ', '4 degrees ', 'at 12:30.']) exchange.word(word);
      return exchange.finish();
    });
    const asked = [];
    const runnable = (name, value) => ({
      type: 'function',
      function: {
        name,
        parse: JSON.parse,
        parameters: { type: 'object' },
        description: name,
        function: (args) => {
          asked.push([name, args]);
          return value;
        },
      },
    });
    const runner = client.chat.completions.runTools({
      model: 'recorded',
      messages: user_says('Weather and time?'),
      metadata,
      stream,
      tools: [runnable('get_weather', '4'), runnable('get_time', '12:30')],
    });
    assert.equal(await runner.finalContent(), 'It is 4 degrees at 12:30.');
    assert.deepEqual(asked, [
      ['get_weather', { location: 'Zürich 🏔', unit: 'c' }],
      ['get_time', { zone: 'Europe/Zurich' }],
    ]);
    const { json } = await stack.upstream.exchange(metadata, 1);
    assert.deepEqual(
      json.messages.map((m) => m.role),
      ['user', 'assistant', 'tool', 'tool'],
    );
    assert.deepEqual(
      json.messages.slice(2).map((m) => [m.tool_call_id, m.content]),
      [
        [CALLS[0].id, '4'],
        [CALLS[1].id, '12:30'],
      ],
    );
  });
}
