// A model server whose every answer a test writes down: what came in is kept, when the gateway hangs up is seen.
// A request says by itself what it is to be answered with: "metadata": {"play": "<name>", "id": "<one of the test's own>"}.
import { createServer } from 'node:http';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

export const sha256 = (data) => createHash('sha256').update(data).digest('hex');

// One request and its answer.
export class Exchange {
  cancelled = false; // the gateway has hung up before the answer was complete

  constructor(request, response, body) {
    this.url = request.url;
    this.headers = request.headers;
    this.body = body;
    this.json = JSON.parse(body.toString());
    this.response = response;
    this.at = performance.now();
    this.over = once(response, 'close').then(() => {
      this.overAt = performance.now();
      this.cancelled = !response.writableFinished;
    });
  }

  answer(status, json, headers = {}) {
    this.response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    this.response.end(typeof json === 'string' ? json : JSON.stringify(json));
  }

  fail(status, error, headers) {
    this.answer(status, { error: { message: `Status ${status} by order.`, type: null, param: null, code: null, ...error } }, headers);
  }

  completion(content, more = {}) {
    this.answer(200, {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1741570283,
      model: this.json.model,
      choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      ...more,
    });
  }

  // --- in pieces ---

  begin() {
    this.response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    this.response.flushHeaders();
  }

  write(text) {
    if (!this.response.headersSent) this.begin();
    this.response.write(text);
  }

  chunk(choices, more = {}) {
    const chunk = { id: 'chatcmpl-2', object: 'chat.completion.chunk', created: 1741570283, model: this.json.model, choices, ...more };
    this.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }

  delta(delta, finish_reason = null) {
    this.chunk([{ index: 0, delta, finish_reason }]);
  }

  word(content) {
    this.delta({ role: 'assistant', content });
  }

  finish() {
    this.delta({}, 'stop');
    if (this.json.stream_options?.include_usage) this.chunk([], { usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 } });
    this.response.end('data: [DONE]\n\n');
  }

  breakOff() {
    this.response.socket.destroy();
  }
}

export class RecordedUpstream {
  exchanges = [];
  #plays = new Map();
  #ids = 0;
  #server;

  static async start() {
    const upstream = new RecordedUpstream();
    upstream.#server = createServer((request, response) => upstream.#serve(request, response));
    upstream.#server.keepAliveTimeout = 60_000;
    upstream.#server.listen(0, '127.0.0.1');
    await once(upstream.#server, 'listening');
    upstream.port = upstream.#server.address().port;
    return upstream;
  }

  async #serve(request, response) {
    const parts = [];
    try {
      for await (const part of request) parts.push(part);
    } catch {
      return; // hung up in the middle of the body
    }
    const exchange = new Exchange(request, response, Buffer.concat(parts));
    const { play, id } = exchange.json.metadata ?? {};
    exchange.id = id;
    exchange.nth = this.of(id).length;
    this.exchanges.push(exchange);
    try {
      await this.#plays.get(play)(exchange);
    } catch (error) {
      if (!exchange.cancelled) exchange.fail(500, { message: `upstream.mjs: ${error.stack}` });
    }
  }

  // The metadata of a request that is answered by the function.
  play(how) {
    const id = `t${++this.#ids}`;
    this.#plays.set(id, how);
    return { play: id, id };
  }

  of(id) {
    return this.exchanges.filter((e) => e.id === id);
  }

  // The nth request with these metadata, waited for.
  async exchange({ id }, nth = 0, limit = 30_000) {
    for (const end = Date.now() + limit; Date.now() < end; await sleep(5)) {
      if (this.of(id)[nth]) return this.of(id)[nth];
    }
    throw new Error(`request ${nth} of ${id} did not come to the upstream in ${limit} ms`);
  }

  stop() {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
