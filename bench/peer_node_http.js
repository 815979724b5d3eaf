// The peer: the same handler behind plain node:http, with as many processes as asked for sharing one listening socket.
//   node peer_node_http.js PORT PROCESSES
const cluster = require('node:cluster');
const http = require('node:http');
const { handler } = require('./handler.js');

const [port, processes] = [Number(process.argv[2]), Number(process.argv[3] ?? 1)];

function serve() {
  http.createServer((request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', async () => {
      const answer = JSON.stringify(await handler(JSON.parse(Buffer.concat(pieces).toString('utf8'))));
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(answer) });
      response.end(answer);
    });
  }).listen(port, '127.0.0.1', 1024);
}

if (processes > 1 && cluster.isPrimary) {
  cluster.schedulingPolicy = cluster.SCHED_NONE; // the workers accept by themselves: no hop through the primary
  for (let i = 0; i < processes; i++) cluster.fork();
  process.on('SIGTERM', () => { for (const worker of Object.values(cluster.workers)) worker.kill('SIGKILL'); process.exit(0); });
} else {
  serve();
}
