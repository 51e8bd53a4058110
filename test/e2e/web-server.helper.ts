/** @file A server of the web app in a process of its own: settings as JSON in, address as JSON out. */
import { startViewServer, type ViewOptions } from '../../src/server/index.ts';

const server = await startViewServer(JSON.parse(process.argv[2] ?? '') as ViewOptions);
process.stdout.write(JSON.stringify({ url: server.url, port: server.port, token: server.token }));
