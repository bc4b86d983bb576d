// A port for a server of a test's own.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

// Outside of the range that outgoing connections take theirs from: it stays free until it is used. As t/lib/AIGW/Services.pm.
export async function freePort() {
  const [first] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split('\t').map(Number);
  const [, low, number] = /^(\d+):([1-9]\d+)$/.exec(process.env.AIGW_TEST_PORTS ?? '')?.map(Number) ?? [0, 10_240, first - 10_240];
  for (let tries = 200; tries > 0; tries--) {
    const port = number > 900 ? low + Math.floor(Math.random() * (number - 32)) : 0;
    const server = createServer().listen(port, '127.0.0.1');
    const listens = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!listens) continue;
    const { port: free } = server.address();
    server.close();
    await once(server, 'close');
    return free;
  }
  throw new Error('no free port');
}
