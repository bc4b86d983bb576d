// A headless Chromium driven over its debugging pipe (descriptors 3 and 4, JSON between NUL bytes): no package is needed for it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const ANSWER_LIMIT = 60_000; // for one command or one page: far more than a busy machine takes

function within(promise, what) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`Chromium: no answer to ${what} in ${ANSWER_LIMIT} ms`)), ANSWER_LIMIT);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export class Browser {
  #child;
  #next = 1;
  #waiting = new Map();
  #listeners = new Set();
  #session;
  #lost; // why there is no browser any more

  static async start(folder) {
    const browser = new Browser();
    const program = process.env.CHROMIUM ?? 'chromium';
    const args = [
      '--headless=new',
      '--remote-debugging-pipe',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--no-proxy-server',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--user-data-dir=${path.join(folder, 'profile')}`,
    ];
    // its sandbox needs what root and most containers do not give; only our own page is opened
    args.push('--no-sandbox', 'about:blank');
    // should this program be killed, the kernel ends the browser
    browser.#child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, HOME: folder },
    });
    browser.#child.once('error', (error) => browser.#fail(error));
    browser.#child.once('exit', () => browser.#fail(new Error('Chromium has ended')));
    for (const pipe of [browser.#child.stdio[3], browser.#child.stdio[4]]) pipe.on('error', (error) => browser.#fail(error));
    browser.#read(browser.#child.stdio[4]);
    const { targetId } = await browser.#send('Target.createTarget', { url: 'about:blank' });
    browser.#session = (await browser.#send('Target.attachToTarget', { targetId, flatten: true })).sessionId;
    await browser.#send('Page.enable');
    return browser;
  }

  #fail(error) {
    this.#lost ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #read(pipe) {
    let held = Buffer.alloc(0);
    pipe.on('data', (bytes) => {
      held = Buffer.concat([held, bytes]);
      for (let end = held.indexOf(0); end >= 0; end = held.indexOf(0)) {
        this.#message(JSON.parse(held.subarray(0, end).toString()));
        held = held.subarray(end + 1);
      }
    });
  }

  #message(message) {
    if (message.id === undefined) {
      for (const listener of this.#listeners) listener(message.method);
      return;
    }
    const { resolve, reject } = this.#waiting.get(message.id) ?? {};
    if (!this.#waiting.delete(message.id)) return;
    if (message.error) reject(new Error(message.error.message));
    else resolve(message.result);
  }

  #send(method, params = {}) {
    const id = this.#next++;
    return within(
      new Promise((resolve, reject) => {
        if (this.#lost) throw this.#lost;
        this.#waiting.set(id, { resolve, reject });
        this.#child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: this.#session })}\0`);
      }),
      method,
    );
  }

  // Opens a page and waits until it has loaded.
  async open(url) {
    const loaded = new Promise((resolve) => {
      const listener = (method) => {
        if (method !== 'Page.loadEventFired') return;
        this.#listeners.delete(listener);
        resolve();
      };
      this.#listeners.add(listener);
    });
    const { errorText } = await this.#send('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await within(loaded, `load of ${url}`);
  }

  // The value of an expression in the page; a promise is awaited.
  async run(expression) {
    const { result, exceptionDetails } = await this.#send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async close() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return;
    const gone = once(this.#child, 'exit');
    await this.#send('Browser.close').catch(() => this.#child.kill('SIGKILL'));
    await gone;
  }
}
