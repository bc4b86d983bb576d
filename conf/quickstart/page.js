'use strict';

const form = document.getElementById('form');
const model = document.getElementById('model');
const question = document.getElementById('question');
const answer = document.getElementById('answer');
const statusLine = document.getElementById('status');
const send = document.getElementById('send');
const stop = document.getElementById('stop');
let running = null; // AbortController of the answer that is coming in

function report(text, isError) {
  statusLine.textContent = text;
  statusLine.classList.toggle('error', Boolean(isError));
}

// The gateway's error shape, or whatever else came instead of an answer.
async function failure(response) {
  const text = await response.text();
  try {
    return `${response.status}: ${JSON.parse(text).error.message}`;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

// The data of each server-sent event, as soon as its blank line is there.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split(/\r?\n\r?\n/);
    held = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trimStart());
      if (data.length > 0) yield data.join('\n');
    }
  }
}

async function ask(signal) {
  const began = performance.now();
  let pieces = 0;
  const response = await fetch('/v1/chat/completions', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ model: model.value, stream: true, messages: [{ role: 'user', content: question.value }] }),
    signal,
  });
  if (!response.ok) throw new Error(await failure(response));
  for await (const data of events(response.body)) {
    if (data === '[DONE]') {
      report(`${pieces} pieces in ${Math.round(performance.now() - began)} ms`);
      return;
    }
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message);
    const text = event.choices?.[0]?.delta?.content;
    if (text) {
      pieces += 1;
      answer.append(text);
    }
  }
  throw new Error('the answer broke off');
}

form.addEventListener('submit', async (submitted) => {
  submitted.preventDefault();
  if (running) return;
  running = new AbortController();
  send.disabled = true;
  stop.disabled = false;
  answer.replaceChildren();
  answer.setAttribute('aria-busy', 'true');
  report('Waiting for the first word');
  try {
    await ask(running.signal);
  } catch (error) {
    report(error.name === 'AbortError' ? 'Stopped' : error.message, error.name !== 'AbortError');
  } finally {
    running = null;
    send.disabled = false;
    stop.disabled = true;
    answer.removeAttribute('aria-busy');
  }
});

stop.addEventListener('click', () => running?.abort());

question.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

async function loadModels() {
  const response = await fetch('/v1/models');
  if (!response.ok) throw new Error(await failure(response));
  const { data } = await response.json();
  model.replaceChildren(...data.map(({ id }) => new Option(id, id)));
}

loadModels().catch((error) => report(`The list of models: ${error.message}`, true));
